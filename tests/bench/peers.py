"""What mailfs is measured against, and the ways to start either."""

import pathlib
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import corpus
from harness import PASSWORD, Home, Mount

# What the runs made, removed at the end: ext4 is slow in making files for some seconds after many
# were removed, and that would be measured instead.
leavings = []


def remove_leavings():
    for directory in leavings:
        shutil.rmtree(directory)


def new_directory():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mailfs-bench-"))
    leavings.append(directory)
    return directory


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
                   env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})


class Link:
    """A server of the tests at some distance: 0 is next to us, over TLS; else so many seconds one
    way, in cleartext."""

    def __init__(self, server, delay=0):
        self.server = server
        self.delay = delay
        self.port = server.tls_port
        self.process = None

    def __enter__(self):
        if self.delay:
            relay = pathlib.Path(__file__).with_name("relay.py")
            self.process = subprocess.Popen(
                [sys.executable, relay, str(self.server.port), str(self.delay)],
                stdout=subprocess.PIPE, text=True)
            self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def socket(self):
        plain = socket.create_connection(("localhost", self.port))
        if self.delay:
            return plain
        context = ssl.create_default_context(cafile=str(self.server.ca))
        return context.wrap_socket(plain, server_hostname="localhost")

    def mount(self, options=(), home=None):
        """Listings are polled for by nobody."""
        options = ["poll=3600", *options]
        if self.delay:
            return Mount(f"imap://alice@127.0.0.1:{self.port}", [*options, "tls=off"], home=home)
        return Mount(self.server, options, home=home)

    # --- a client that asks one question and throws the answer away ---

    def raw_fetch(self, folder, items):
        """Seconds of it."""
        started = time.perf_counter()
        with self.socket() as s:
            s.recv(4096)
            for tag, command in (("a", f"LOGIN alice {PASSWORD}"), ("b", f"EXAMINE {folder}"),
                                 ("c", f"UID FETCH 1:* {items}")):
                s.sendall(f"{tag} {command}\r\n".encode())
                end, last = f"\r\n{tag} OK".encode(), b"\r\n"
                while end not in last:
                    data = s.recv(1 << 20)
                    last = last[-64:] + data
        return time.perf_counter() - started

    # --- the synchroniser ---

    def mbsync(self, sync="Pull New", fsync="no", folder="INBOX"):
        """A directory with its configuration."""
        directory = new_directory()
        security = "SSLType None" if self.delay \
            else f"SSLType IMAPS\nCertificateFile {self.server.ca}"
        (directory / "config").write_text(MBSYNC.format(
            port=self.port, password=PASSWORD, security=security, directory=directory,
            fsync=fsync, sync=sync, folder=folder))
        return directory

    def first_sync(self, fsync="no"):
        """Seconds of the corpus into an empty Maildir."""
        directory = self.mbsync(fsync=fsync)
        seconds = run_mbsync(directory)
        assert len(list((directory / "near").glob("*/*"))) >= len(corpus.files())
        return seconds


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
Inbox {directory}/near

Channel bench
Far :far:{folder}
Near :near:INBOX
Create Near
Sync {sync}
SyncState *
"""


def run_mbsync(directory):
    """Seconds."""
    command = ["mbsync", "-q", "-c", directory / "config", "bench"]
    return timed(lambda: subprocess.run(command, check=True))


# --- the fetcher of maildrops ---

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


def mpop(server):
    """Seconds of a maildrop into an empty Maildir."""
    directory = new_directory()
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


# --- mailfs ---


def empty_home():
    home = Home()
    leavings.append(home.dir)
    return home


def mounted(mount, command, folder="INBOX"):
    """Seconds from the start of mailfs to the end of the command."""
    started = time.perf_counter()
    with mount:
        shell(command, mount / folder)
        return time.perf_counter() - started
