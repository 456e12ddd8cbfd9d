"""The tools that people use: each writes exactly one message or says clearly why not, and none of
their temporary files becomes mail."""

import contextlib
import os
import shutil
import subprocess
import sys

from changing import MAILS, Site
from harness import Dovecot, Skip, case, equal, main, run, scratch, wait_until

NOTE = b"From: a@example.org\nSubject: note\nMessage-ID: <n@example.org>\n\none\ntwo\nthree\n"
CRLF = NOTE.replace(b"\n", b"\r\n")
SHELL = {"LC_ALL": "C", "PATH": os.environ["PATH"], "TERM": "xterm", "HOME": "/nonexistent"}


@contextlib.contextmanager
def fixture():
    with Dovecot() as server:
        yield server


def tool(*programs):
    """A case that gets a Site, and a directory with note.eml in it. Its folder In has the one
    message that the case returns when it ends; it returns None if it looked itself."""
    def wrap(function):
        def run_one(server):
            for program in programs:
                if shutil.which(program) is None:
                    raise Skip(f"there is no {program}")
            with Site(server, folders=["In"]) as site, scratch() as directory:
                (directory / "note.eml").write_bytes(NOTE)
                os.utime(directory / "note.eml", (1500000000, 1500000000))
                wanted = function(site, directory)
                if wanted is not None:
                    holds_one(site, wanted)
        run_one.__name__ = function.__name__
        case(run_one)
    return wrap


def holds_one(site, wanted, name="note.eml"):
    site.sync("In")
    equal([m.data for m in site.live("In").values()], [wanted])
    equal(os.listdir(site / "In"), [name])
    equal(run("cat", site / "In" / name).stdout, wanted)
    equal(len(site.wire.seen("^APPEND")), 1)


def shell(site, script, **options):
    options.setdefault("env", SHELL)
    return run("bash", "-c", script, cwd=site / "In", **options)


def vim():
    found = shutil.which("vim") or shutil.which("vim.tiny")
    if found is None:
        raise Skip("there is no vim")
    return found


# --- copies ---

@tool()
def cp_a_of_a_file(site, directory):
    run("cp", "-a", directory / "note.eml", site / "In")
    site.sync("In")
    equal(site.only("In")[1].date, 1500000000)
    return CRLF


@tool()
def cp_a_of_a_directory(site, directory):
    run("cp", "-a", directory, site / "In/copied")
    site.sync("In/copied")
    equal(site.only("In/copied")[1].data, CRLF)
    equal(os.listdir(site / "In/copied"), ["note.eml"])


@tool("rsync")
def rsync_twice(site, directory):
    (directory / "note.eml").write_bytes(CRLF)
    (directory / "second.eml").write_bytes(CRLF + b"second\r\n")
    for name in ("note.eml", "second.eml"):
        os.utime(directory / name, (1500000000, 1500000000))
    run("rsync", "-a", f"{directory}/", site / "In/")
    site.sync("In")
    equal(sorted(m.data for m in site.live("In").values()), [CRLF, CRLF + b"second\r\n"])
    equal({m.date for m in site.live("In").values()}, {1500000000})
    for _ in range(2):
        done = run("rsync", "-ai", f"{directory}/", site / "In/")
        assert b">f" not in done.stdout, done.stdout
        site.remount()
    equal(sorted(os.listdir(site / "In")), ["note.eml", "second.eml"])
    equal(len(site.wire.seen("^APPEND")), 2)


@tool("rsync")
def rsync_inplace(site, directory):
    run("rsync", "-a", "--inplace", f"{directory}/", site / "In/")
    return CRLF


@tool("tar")
def tar_x(site, directory):
    run("tar", "cf", directory / "a.tar", "-C", directory, "note.eml")
    run("tar", "xf", directory / "a.tar", "-C", site / "In")
    site.sync("In")
    equal(site.only("In")[1].date, 1500000000)
    return CRLF


@tool("install")
def install(site, directory):
    run("install", "-m", "600", directory / "note.eml", site / "In")
    return CRLF


@tool("gio")
def gio_copy(site, directory):
    run("gio", "copy", directory / "note.eml", site / "In/note.eml", env=SHELL)
    return CRLF


@tool("gio")
def gio_save(site, directory):
    """Through .goutputstream-XXXXXX."""
    with open(directory / "note.eml", "rb") as note:
        run("gio", "save", site / "In/note.eml", env=SHELL, stdin=note)
    return CRLF


@tool()
def mv_from_another_file_system(site, directory):
    run("mv", directory / "note.eml", site / "In")
    equal(os.listdir(directory), [])
    return CRLF


@tool()
def dd_with_fsync(site, directory):
    run("dd", f"if={directory}/note.eml", f"of={site / 'In/note.eml'}", "conv=fsync", "bs=7",
        "status=none")
    equal(site.only("In")[1].data, CRLF)
    return CRLF


@tool()
def tee(site, directory):
    shell(site, f"cat {directory}/note.eml | tee note.eml >/dev/null")
    return CRLF


# --- shells, which close many times before the end ---

@tool()
def a_group_of_commands(site, directory):
    shell(site, f"{{ head -n 2 {directory}/note.eml; sleep 0.3; tail -n +3 {directory}/note.eml; }}"
                " > note.eml")
    return CRLF


@tool()
def an_open_descriptor(site, directory):
    shell(site, f"exec 3> note.eml; head -n 2 {directory}/note.eml >&3; /bin/true; sleep 0.3;"
                f"tail -n +3 {directory}/note.eml >&3; exec 3>&-")
    return CRLF


@tool("perl")
def perl_with_a_child(site, directory):
    shell(site, "perl -e 'open F, \">\", \"note.eml\"; $| = 1; print F \"Subject: x\\n\"; "
                "F->flush(); system(\"true\"); print F \"\\nbody\\n\"; close F'")
    return b"Subject: x\r\n\r\nbody\r\n"


@tool()
def append_to_what_was_just_written(site, directory):
    """`printf > f; cat >> f`: one message with all of it; or, if it was on its way already, the
    second fails and says so."""
    done = shell(site, f"head -n 2 {directory}/note.eml > note.eml &&"
                       f" tail -n +3 {directory}/note.eml >> note.eml", check=False)
    if done.returncode == 0:
        return CRLF
    assert b"Operation not permitted" in done.stderr, done.stderr
    return b"".join(CRLF.splitlines(True)[:2])


@tool()
def written_with_pauses_and_many_writes(site, directory):
    shell(site, "for n in 1 2 3 4 5; do echo Line$n: x; sleep 0.1; done > note.eml")
    return b"".join(b"Line%d: x\r\n" % n for n in range(1, 6))


@tool()
def touch_then_write(site, directory):
    shell(site, f"touch note.eml; sleep 0.3; cat {directory}/note.eml > note.eml")
    return CRLF


# --- programs that write a temporary file and rename it ---

ATOMIC = """
import os, sys, tempfile
file = tempfile.NamedTemporaryFile(dir=sys.argv[1], delete=False)
file.write(sys.stdin.buffer.read()); file.flush(); os.fsync(file.fileno()); file.close()
os.replace(file.name, sys.argv[1] + "/note.eml")
"""


@tool()
def python_atomic_write(site, directory):
    with open(directory / "note.eml", "rb") as note:
        run(sys.executable, "-c", ATOMIC, site / "In", stdin=note)
    return CRLF


@tool()
def as_mail_programs_save(site, directory):
    """Create, write, fsync, link (which fails), rename, set the time."""
    path = site / "In/tmp.1234.host"
    with open(path, "xb") as file:
        file.write(NOTE)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(path, site / "In/note.eml")
    except PermissionError:
        os.rename(path, site / "In/note.eml")
    os.utime(site / "In/note.eml")
    return CRLF


@tool()
def python_maildir_like(site, directory):
    """A second file of the name must not replace the message."""
    shutil.copyfile(directory / "note.eml", site / "In/note.eml")
    site.sync("In")
    path = site / "In/second"
    path.write_bytes(b"Subject: other\n\n")
    try:
        os.replace(path, site / "In/note.eml")
    except FileExistsError:
        os.unlink(path)
    else:
        raise AssertionError("a message was replaced")
    return CRLF


# --- editors ---

@tool()
def vim_makes_a_message(site, directory):
    keys = directory / "keys"
    keys.write_text("iSubject: hi\n\nbody\x1b:wq\r")
    command = f"{vim()} -N -u NONE -i NONE -s {keys} {site / 'In/note.eml'}"
    run("script", "-qec", command, "/dev/null", env=SHELL)
    return b"Subject: hi\r\n\r\nbody\r\n"


@tool()
def ex_makes_a_message(site, directory):
    with open(directory / "note.eml", "rb") as note:
        text = note.read().decode()
    run("sh", "-c", f"printf '%s' \"$TEXT\" | {vim()} -es -u NONE -i NONE note.eml",
        cwd=site / "In", env={**SHELL, "TEXT": f"a\n{text}.\nwq\n"})
    return CRLF


def edited(site, new):
    """Either nothing changed, or the new text stands in its place. The server holds nothing else,
    and nothing is left beside it."""
    site.sync()
    held = [m.data for m in site.live().values()]
    others = [m[0] for n, m in enumerate(MAILS) if n != 1]
    equal(len(held), len(MAILS))
    equal([m for m in others if m not in held], [])
    mine = next(m for m in held if m not in others)
    equal(mine in (MAILS[1][0], new), True, f"text {mine}")
    if mine != new:
        equal(site.wire.seen(r"APPEND|\bSTORE|EXPUNGE"), [])
    names = os.listdir(site / "INBOX")
    equal((len(names), [n for n in names if not n.endswith(".eml")]), (len(MAILS), []))
    return mine == new


THAT = MAILS[1][0].replace(b"This", b"That")


@tool()
def vim_leaves_a_message_whole(site, directory):
    run(vim(), "-es", "-u", "NONE", "-i", "NONE", "-c", "%s/This/That/", "-c", "wq!", site.find(2),
        env=SHELL, check=False)
    edited(site, THAT)


@tool()
def sed_i_leaves_a_message_whole(site, directory):
    done = run("sed", "-i", "s/This/That/", site.find(2), env=SHELL, check=False)
    equal(edited(site, THAT), done.returncode == 0, done.stderr.decode())


@tool("perl")
def perl_i_leaves_a_message_whole(site, directory):
    """It unlinks the file and makes a new one; the old one is in .deleted then."""
    done = run("perl", "-pi", "-e", "s/This/That/", site.find(2), env=SHELL, check=False)
    equal(edited(site, THAT), done.returncode == 0, done.stderr.decode())


# --- others ---

@tool("git")
def git_adds_a_message(site, directory):
    git = ["git", f"--git-dir={directory}/repository", f"--work-tree={site.mount.path}"]
    run("git", "init", "-q", "--bare", directory / "repository", env=SHELL)
    env = {**SHELL, "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1"}
    (directory / ".gitconfig").write_text("[core]\nbare = false\n[safe]\ndirectory = *\n")
    name = f"INBOX/{site.find(2).name}"
    run(*git, "-c", "core.bare=false", "add", name, env=env, cwd=site.mount.path)
    blob = run(*git, "-c", "core.bare=false", "cat-file", "blob", f":{name}", env=env,
               cwd=site.mount.path)
    equal(blob.stdout, MAILS[1][0])
    equal(site.wire.seen(r"\bSTORE|APPEND"), [])


@tool()
def a_program_dies_while_it_writes(site, directory):
    """What it wrote is what there is: the kernel closes its files."""
    writer = subprocess.Popen(["sh", "-c", f"exec 3> {site / 'In/note.eml'}; echo 'Subject: x' >&3;"
                               "echo ready; exec sleep 1000"], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL)
    equal(writer.stdout.readline(), b"ready\n")
    equal(site.view("In"), {})
    writer.kill()
    writer.wait()
    wait_until(lambda: site.live("In"), 20, "the message")
    return b"Subject: x\r\n"


@tool()
def two_programs_write_one_file(site, directory):
    first = open(site / "In/note.eml", "wb", buffering=0)
    second = open(site / "In/note.eml", "ab", buffering=0)
    first.write(b"Subject: x\n")
    first.close()
    second.write(b"\nbody\n")
    equal(site.view("In"), {})
    second.close()
    return b"Subject: x\r\n\r\nbody\r\n"


main(fixture)
