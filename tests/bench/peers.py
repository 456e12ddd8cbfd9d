"""What mailfs is measured against, and the ways to start either."""

import pathlib
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import corpus
import dovecot
import harness
from harness import PASSWORD, Home, Mount, die_with_parent

TIMEOUT = 900  # seconds, after which something hangs
harness.PAUSE = 0.002


class Dovecot(dovecot.Dovecot):
    """Its mail stays until all is removed: ext4 is slow in making files for some seconds after many
    were removed, and that would be measured instead."""

    def __exit__(self, *_):
        self.stop()


def new_directory():
    return pathlib.Path(tempfile.mkdtemp(prefix="mailfs-bench-"))


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


def tool(*command, **options):
    """Waited for without a deadline: with one, Python looks only every 50 ms whether it has ended."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **options) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            status = process.wait()
        finally:
            watchdog.cancel()
    if status:
        raise subprocess.CalledProcessError(status, command)


def shell(command, directory):
    tool("sh", "-ec", command, cwd=directory, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})


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
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                start_new_session=True, preexec_fn=die_with_parent)
            self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def socket(self):
        plain = socket.create_connection(("localhost", self.port), TIMEOUT)
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
                    assert data, "the server went away"
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
    return timed(tool, *command)


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
    seconds = timed(tool, *command)
    assert len(list((directory / "Maildir").glob("*/*"))) == len(corpus.files())
    return seconds


# --- mailfs ---


def cpu_ticks(mount):
    """What the daemon has used of processors."""
    stat = pathlib.Path(f"/proc/{mount.process.pid}/stat").read_text()
    return sum(int(n) for n in stat.rpartition(")")[2].split()[11:13])


def wait_for_rest(mount):
    """Until the daemon has nothing to do: none of what was before is measured."""
    ticks = None
    while ticks != (ticks := cpu_ticks(mount)):
        time.sleep(0.1)


def mounted(mount, command, folder="INBOX"):
    """Seconds from the start of mailfs to the end of the command."""
    started = time.perf_counter()
    with mount:
        shell(command, mount / folder)
        return time.perf_counter() - started
