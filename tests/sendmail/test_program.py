#!/usr/bin/env python3
"""test_program.py MAILFS-SENDMAIL: what it leaves in a plain directory that is its outbox. TAP.

Such a directory, with another one "failed" in it, sends nothing, but shows the order of what is
done, and fsync() succeeds in it.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

PROGRAM = os.path.abspath(sys.argv[1])
MAIL = b"From: Al <al@x.org>\nTo: bob@x.org\nSubject: hi\n\nlunch?\n"
NAME = r"sendmail-\d{8}T\d{6}Z-\d+-[0-9a-f]{8}"
CASES = []


def case(function):
    CASES.append(function)
    return function


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


@contextlib.contextmanager
def outbox():
    with tempfile.TemporaryDirectory(prefix="mailfs-test-") as path:
        os.mkdir(os.path.join(path, "failed"))
        yield pathlib.Path(path)


def listed(path):
    return [name for name in os.listdir(path) if name != "failed"]


def environment(path):
    env = {name: value for name, value in os.environ.items() if name != "MAILFS_OUTBOX"}
    return env | ({"MAILFS_OUTBOX": str(path)} if path else {})


def send(path, *words, text=MAIL, **more):
    return subprocess.run([PROGRAM, *words], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False, env=environment(path),
                          **more)


def handed_over(path):
    """The message and its envelope, of which there is one each, and nothing else."""
    names = sorted(listed(path))
    equal(len(names), 2, names)
    equal(bool(re.fullmatch(rf"\.{NAME}\.eml\.envelope", names[0])), True, names)
    equal(names[0], f".{names[1]}.envelope")
    for name in names:
        equal((path / name).stat().st_mode & 0o777, 0o600, name)
    return (path / names[1]).read_bytes(), (path / names[0]).read_text()


def sent(*words, text=MAIL):
    with outbox() as path:
        done = send(path, *words, text=text)
        equal((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        return handed_over(path)


def refused(*words, status, text=MAIL, says=b"", **more):
    """Fails with one line that does not repeat the mail, and leaves nothing."""
    with outbox() as path:
        done = send(path, *words, text=text, **more)
        equal(done.returncode, status, done.stderr)
        equal(bool(re.fullmatch(rb"mailfs-sendmail: [^\n]+\n", done.stderr)), True, done.stderr)
        equal(says in done.stderr, True, done.stderr)
        equal(b"lunch" in done.stderr, False)
        equal(listed(path), [])


def wait_for(function, what):
    for _ in range(3000):
        if function():
            return
        time.sleep(0.01)
    raise AssertionError(f"in vain: {what}")


@contextlib.contextmanager
def begun(path, *words, **more):
    """Its draft is there, and the rest of the message is still to come."""
    with subprocess.Popen([PROGRAM, *words], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(path), **more) as process:
        process.stdin.write(MAIL)
        process.stdin.flush()
        wait_for(lambda: listed(path), "a draft")
        yield process


@case
def the_message_and_its_envelope():
    equal(sent("bob@x.org"), (MAIL, "header\nbob@x.org\n"))
    equal(sent("-t"), (MAIL, "header\nheader\n"))
    equal(sent("-t", "-i", "-f", "al@x.org", "c@x"), (MAIL, "al@x.org\nc@x\nheader\n"))
    equal(sent("-f", "", "--", "c@x"), (MAIL, "\nc@x\n"))
    equal(sent("-odq", "c@x"), (MAIL, "header\nc@x\n"))


@case
def any_bytes():
    text = MAIL + bytes(range(256)) * 20000 + b"\r\n..\r\n.\n\0no line end"
    equal(sent("-oi", "c@x", text=text)[0], text)
    equal(sent("-ti", text=b"x")[0], b"x")


@case
def a_dot_ends_it():
    equal(sent("-t", text=MAIL + b"..\n.x\n.\nnot this\n")[0], MAIL + b"..\n.x\n")
    equal(sent("-t", text=MAIL + b".\r\nnot this\n")[0], MAIL)
    equal(sent("-ti", text=MAIL + b".\nthis\n")[0], MAIL + b".\nthis\n")


@case
def a_name_for_mail_without_from():
    bare = MAIL.split(b"\n", 1)[1]
    equal(sent("-FAl B", "-f", "al@x", "-t", text=bare)[0], b'From: "Al B" <al@x>\n' + bare)
    equal(sent("-FAl B", "-t", text=bare)[0], bare)
    equal(sent("-FAl B", "-f", "al@x", "-t")[0], MAIL)


@case
def in_order():
    """The draft, its envelope, then the rename that hands it over."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    with outbox() as path:
        created, moved = 0x100, 0x80
        equal(libc.inotify_add_watch(watch, str(path).encode(), created | moved) >= 0, True)
        equal(send(path, "-t").returncode, 0)
        steps, raw = [], os.read(watch, 65536)
        while raw:
            _, mask, _, size = struct.unpack_from("iIII", raw)
            steps.append((mask, re.sub(NAME, "NAME", raw[16:16 + size].rstrip(b"\0").decode())))
            raw = raw[16 + size:]
        equal(steps, [(created, "NAME.tmp"), (created, ".NAME.eml.envelope"),
                      (moved, "NAME.eml")])
    os.close(watch)


@case
def nothing_before_the_end():
    with outbox() as path, begun(path, "-t") as process:
        equal([name.endswith(".tmp") for name in listed(path)], [True])
        process.communicate(b"more\n", timeout=60)
        equal(process.returncode, 0)
        equal(handed_over(path)[0], MAIL + b"more\n")


@case
def interrupted():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with outbox() as path, begun(path, "-t") as process:
            process.send_signal(number)
            process.wait(timeout=60)
            equal(process.returncode, -number)
            equal(listed(path), [])


@case
def not_by_what_is_ignored():
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with outbox() as path, begun(path, "-t", preexec_fn=ignore) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(b"", timeout=60)
        equal(process.returncode, 0)
        equal(handed_over(path)[0], MAIL)


@case
def wrong_usage():
    for words, says in {("-i",): b"no recipients", ("-bs",): b"-bm", ("-bp",): b"-bm",
                        ("-q",): b"-q", ("-N", "never", "c@x"): b"dsn_notify",
                        ("-R", "hdrs", "c@x"): b"dsn_notify", ("c@x", "-t"): b"before",
                        ("c@x\nd@x",): b"control", ("-f", "a b", "c@x"): b"sender"}.items():
        refused(*words, status=64, says=says)
    refused("bob", status=67, says=b"no domain")


@case
def nothing_to_send():
    refused("-t", status=65, text=b"", says=b"empty")
    refused("-t", status=65, text=b".\n" + MAIL, says=b"empty")


@case
def files_that_fail():
    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    refused("-t", status=65, text=MAIL * 100, says=b"File too large", preexec_fn=small_files)
    with outbox() as path:
        done = send(path / "none", "-t")
        equal((done.returncode, b"No such file" in done.stderr), (73, True), done.stderr)
        folder = os.open(path, os.O_RDONLY)
        done = subprocess.run([PROGRAM, "-t"], stdin=folder, stderr=subprocess.PIPE, check=False,
                              env=environment(path), timeout=60)
        os.close(folder)
        equal((done.returncode, listed(path)), (74, []), done.stderr)


@case
def which_outbox():
    with outbox() as path, outbox() as other:
        equal(send(other, "--outbox", path, "-t").returncode, 0)
        equal((len(listed(path)), listed(other)), (2, []))
        equal(send(None, f"--outbox={other}", "-t").returncode, 0)
        equal(len(listed(other)), 2)
        equal(send(None, "--outbox=.", "-t", cwd=path).returncode, 0)
        equal(len(listed(path)), 4)


@case
def what_is_no_outbox():
    """A mail would lie there, and seem to be sent."""
    with tempfile.TemporaryDirectory(prefix="mailfs-test-") as path:
        for _ in range(2):
            done = send(path, "-t")
            equal((done.returncode, b"is not the outbox" in done.stderr), (73, True), done.stderr)
            equal(listed(path), [])
            pathlib.Path(path, "failed").touch()


@case
def help_and_version():
    for word, says in {"--help": b"Usage: mailfs-sendmail", "--version": b"mailfs-sendmail "}.items():
        done = send(None, word)
        equal((done.returncode, done.stdout.startswith(says), done.stderr), (0, True, b""))


def main():
    failed = 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # whatever nohup and a shell's & have handed down
    print(f"1..{len(CASES)}")
    for number, function in enumerate(CASES, 1):
        try:
            function()
            print(f"ok {number} - {function.__name__}")
        except Exception:  # one case must not end the others
            failed += 1
            traceback.print_exc()
            print(f"not ok {number} - {function.__name__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
