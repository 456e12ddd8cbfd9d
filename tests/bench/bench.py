"""The measurements of tests/bench/run: pairs in alternation, medians, ratios."""

import os
import pathlib
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

import corpus  # noqa: E402
from harness import PASSWORD, Dovecot, Home, Mount, mail, ok  # noqa: E402
from wire import Wire  # noqa: E402

FOLDER_SIZE = int(os.environ.get("MAILFS_BENCH_MESSAGES", "100000"))
REMOVED = min(10000, FOLDER_SIZE)
ONE_WAY = 0.025  # seconds


# What the runs made, removed at the end: ext4 is slow in making files for some seconds after many
# were removed, and that would be measured instead.
leavings = []


def timed(function, *args):
    started = time.perf_counter()
    function(*args)
    return time.perf_counter() - started


def pairs(count, ours, theirs):
    """Medians of both, taken in turn so that a slow moment hits both."""
    results = [], []
    for n in range(count):
        for which in ((0, 1) if n % 2 == 0 else (1, 0)):
            results[which].append((ours, theirs)[which]())
    return [statistics.median(r) for r in results]


def shell(command, directory):
    subprocess.run(["sh", "-c", command], cwd=directory, check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "LC_ALL": "C"})


def mounted(server, command, folder):
    """Seconds from the start of mailfs without a cache to the end of the command."""
    home = Home()
    leavings.append(home.dir)
    mount = Mount(server, options=["poll=3600"], home=home)
    started = time.perf_counter()
    with mount:
        shell(command, mount / folder)
        return time.perf_counter() - started


MBSYNC = """
FSync {fsync}

IMAPAccount bench
Host localhost
Port {port}
User alice
Pass {password}
{security}

IMAPStore far
Account bench

MaildirStore near
Path {directory}/
Inbox {directory}/INBOX

Channel bench
Far :far:INBOX
Near :near:INBOX
Create Near
Sync {sync}
SyncState *
"""


def mbsync_config(port, security, sync, fsync="no"):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mailfs-bench-"))
    leavings.append(directory)
    (directory / "config").write_text(MBSYNC.format(
        port=port, password=PASSWORD, security=security, directory=directory, fsync=fsync,
        sync=sync))
    return directory


def run_mbsync(directory):
    command = ["mbsync", "-q", "-c", directory / "config", "bench"]
    return timed(lambda: subprocess.run(command, check=True))


def mbsync(server, fsync):
    """Seconds of the synchroniser for the same folder into an empty Maildir."""
    directory = mbsync_config(server.tls_port, f"SSLType IMAPS\nCertificateFile {server.ca}",
                              "Pull New", fsync)
    seconds = run_mbsync(directory)
    assert len(list((directory / "INBOX").glob("*/*"))) >= len(corpus.files())
    return seconds


def raw_fetch(server, folder):
    """Seconds of a client that asks the one question and throws the answer away."""
    context = ssl.create_default_context(cafile=str(server.ca))
    started = time.perf_counter()
    plain = socket.create_connection(("localhost", server.tls_port))
    with context.wrap_socket(plain, server_hostname="localhost") as s:
        s.recv(4096)
        for tag, command in (("a", f"LOGIN alice {PASSWORD}"), ("b", f"EXAMINE {folder}"),
                             ("c", "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE "
                                   "BODY.PEEK[HEADER.FIELDS (SUBJECT)])")):
            s.sendall(f"{tag} {command}\r\n".encode())
            end, last = f"\r\n{tag} OK".encode(), b"\r\n"
            while end not in last:
                data = s.recv(1 << 20)
                last = last[-4096:] + data[-4096:] if len(data) >= 4096 else last[-4096:] + data
    return time.perf_counter() - started


MPOP = """
defaults
host localhost
port {port}
auth plain
user alice
password {password}
tls on
tls_starttls off
tls_trust_file {ca}
keep on
uidls_file {directory}/uidls
delivery maildir {directory}/Maildir

account bench
"""


def mounted_drop(server):
    """Seconds from the start of mailfs without a cache to the end of `cat` of all."""
    home = Home()
    leavings.append(home.dir)
    mount = Mount(server.pop3_url(), [f"tls_ca={server.ca}", "poll=3600"], home=home)
    started = time.perf_counter()
    with mount:
        shell("cat *.eml", mount / "INBOX")
        return time.perf_counter() - started


def mpop(server):
    """Seconds of the fetcher for the same maildrop into an empty Maildir."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mailfs-bench-"))
    leavings.append(directory)
    for part in ("cur", "new", "tmp"):
        (directory / "Maildir" / part).mkdir(parents=True)
    config = directory / "config"
    config.touch(mode=0o600)
    config.write_text(MPOP.format(port=server.pop3s_port, password=PASSWORD, ca=server.ca,
                                  directory=directory))
    command = ["mpop", "--quiet", f"--file={config}", "bench"]
    seconds = timed(lambda: subprocess.run(command, check=True))
    assert len(list((directory / "Maildir").glob("*/*"))) == len(corpus.files())
    return seconds


def read_drop(count):
    with Dovecot(pop3=True) as server:
        server.deliver(corpus.mails())
        mpop(server)
        return pairs(count, lambda: mounted_drop(server), lambda: mpop(server))


def read_corpus(count):
    with Dovecot() as server:
        server.deliver(corpus.mails())
        client = server.imap(folder="INBOX")
        ok(client.uid("FETCH", "1:*", "(RFC822.SIZE BODY.PEEK[])"))
        client.logout()
        raw_fetch(server, "INBOX")
        for fsync in "yes", "no":
            yield pairs(count, lambda: mounted(server, "cat *.eml", "INBOX"),
                        lambda: mbsync(server, fsync))


def list_folder(count):
    """First listing, warm `ls -l`, memory."""
    mails = ((mail(f"Message number {n} of many"), 1600000000 + n) for n in range(FOLDER_SIZE))
    with Dovecot() as server, tempfile.TemporaryDirectory() as local:
        server.deliver(mails, folder="bulk")
        for _ in range(2):
            raw_fetch(server, "bulk")
        first = pairs(count, lambda: mounted(server, "ls -U", "bulk"),
                      lambda: raw_fetch(server, "bulk"))
        with Mount(server, options=["poll=3600"]) as mount:
            for name in mount.messages("bulk", timeout=600):
                pathlib.Path(local, name).touch()
            listing = [lambda d=d: timed(shell, "ls -l", d) for d in (mount / "bulk", local)]
            for warm_up in listing:
                warm_up()
            warm = pairs(count, *listing)
            return first, warm, mount.memory_kib()


def put_back(server):
    client = server.imap(folder="INBOX")
    ok(client.uid("STORE", "1:*", "-FLAGS.SILENT", "(\\Deleted)"))
    client.logout()


def count_deleted(server):
    client = server.imap(folder="INBOX")
    equal = len(ok(client.uid("SEARCH", "DELETED"))[0].split()) == REMOVED
    client.logout()
    assert equal, "not all are deleted"


def rm_far(server, wire):
    """Seconds of `rm` and `sync` of a folder that was listed before."""
    home = Home()
    leavings.append(home.dir)
    put_back(server)
    with Mount(wire.url("alice"), ["poll=3600", "tls=off"], home=home) as mount:
        mount.messages(timeout=600)
        seconds = timed(shell, "find . -name '*.eml' -delete; sync .", mount / "INBOX")
        count_deleted(server)
        return seconds


def mbsync_far(server, wire):
    """Seconds of the synchroniser to tell the server what was removed from its Maildir."""
    put_back(server)
    directory = mbsync_config(wire.port, "SSLType None", "All")
    run_mbsync(directory)
    for path in (directory / "INBOX").glob("*/*"):
        path.unlink()
    seconds = run_mbsync(directory)
    count_deleted(server)
    return seconds


def remove_far(count):
    mails = ((mail(f"Message number {n}"), 1600000000 + n) for n in range(REMOVED))
    with Dovecot() as server, Wire(server.port, ONE_WAY) as wire:
        server.deliver(mails)
        raw_fetch(server, "INBOX")
        return pairs(count, lambda: rm_far(server, wire), lambda: mbsync_far(server, wire))


def row(name, ours, theirs):
    print(f"| {name} | {ours:.3f} s | {theirs:.3f} s | {ours / theirs:.2f} |", flush=True)


def main(count):
    print(f"| median of {count} pairs | mailfs | other | ratio |\n|---|---|---|---|")
    synced, unsynced = read_corpus(count)
    row("`cat INBOX/*.eml`, nothing cached : `mbsync` into an empty Maildir", *synced)
    row("the same : `mbsync` with `FSync no`", *unsynced)
    row("`cat` of the same as a maildrop of POP3, nothing cached : `mpop` into an empty Maildir",
        *read_drop(count))
    first, warm, memory = list_folder(count)
    row(f"first `ls` of {FOLDER_SIZE:,} messages : bare FETCH", *first)
    row(f"warm `ls -l` of {FOLDER_SIZE:,} messages : local file system", *warm)
    print(f"| daemon's memory after that | {memory / 1024:.1f} MiB | | |")
    row(f"`rm` of {REMOVED:,} messages and `sync`, 50 ms away : `mbsync` of as many removals",
        *remove_far(count))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    finally:
        for directory in leavings:
            shutil.rmtree(directory)
