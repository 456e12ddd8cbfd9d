"""What the tests of POP3 share: one user's maildrop, mounted; a server that is a real Dovecot or a
scripted one, and what another client finds there."""

import itertools
import os
import poplib
import re
import time

from dovecot import PASSWORD
from harness import Home, Mount, equal, mail, run, start_error, wait_until
from pop3_script import Mail, Pop3Server

# Longer than a session is held without a job, or takes for its last one.
IDLE = 30
poplib._MAXLINE = 1 << 25  # its own are too short for mail
_users = itertools.count(1)


def note(name, body="Hello.\r\n", extra=""):
    """A message unlike all others."""
    return mail(name, body, extra=f"Message-ID: <{name}@example.org>\r\n{extra}")


def notes(*names):
    """A drop of them, each with its name as its UIDL."""
    return [Mail(note(name), name) for name in names]


def uid_at(path):
    """A message's number is the lower half of its inode number."""
    return os.stat(path).st_ino & 0xffffffff


class Maildrop:
    """`with Maildrop(server) as drop: drop.read("1")`: `server` is a Dovecot or a Pop3Server.

    In the end all that was removed is gone for good, and the client has done nothing that it must
    never do.
    """

    def __init__(self, server, options=(), user=None, home=None, arguments=()):
        self.server = server
        self.scripted = isinstance(server, Pop3Server)
        self.user = user or ("alice" if self.scripted else f"user{next(_users)}")
        self.home = home or Home()
        self.owns_home = home is None
        self.arguments = arguments
        given = {option.partition("=")[0] for option in options}
        usual = ["poll=3600"] if "poll" not in given else []
        if not self.scripted and "tls_ca" not in given:
            usual.append(f"tls_ca={server.ca}")
        elif self.scripted and server.tls is None and "tls" not in given:
            usual.append("tls=off")
        self.options = [*usual, *options]
        self.mount = None

    def url(self):
        if self.scripted:
            return self.server.url(self.user)
        return self.server.pop3_url(self.user)

    def new_mount(self):
        return Mount(self.url(), self.options, home=self.home, arguments=self.arguments)

    def __enter__(self):
        self.mount = self.new_mount()
        self.mount.start()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.scripted:
                self.server.clear()
            self.mount.__exit__(kind)
            if kind is None and self.scripted:
                equal(self.server.faults, [], "what no client must do")
        finally:
            if kind is not None:
                self.mount.abandon()
            if self.owns_home:
                self.home.remove()

    def remount(self, *options):
        """Perhaps with other options."""
        self.mount.unmount(30)
        self.mount.abandon()
        given = {option.partition("=")[0] for option in options}
        self.options = [o for o in self.options if o.partition("=")[0] not in given]
        self.options += options
        self.mount = self.new_mount()
        self.mount.start()

    def kill_and_mount(self):
        """As after a crash."""
        self.mount.kill()
        self.home.check_reports()
        self.mount.abandon()
        self.mount = self.new_mount()
        self.mount.start()

    def __truediv__(self, name):
        return self.mount / "INBOX" / name

    # --- what a user does ---

    def rm(self, *labels):
        run("rm", *(self / self.name(label) for label in labels))

    def take_back(self, label):
        run("mv", self / ".deleted" / self.name(label, ".deleted"), self / "")

    def sync(self, **options):
        """All that was removed is gone from the server, or 1."""
        return run("sync", self / "", check=options.pop("check", True), **options).returncode

    # --- what is seen ---

    def names(self, folder="", **options):
        return self.mount.messages(f"INBOX/{folder}".rstrip("/"), **options)

    def labels(self, folder=""):
        """Of the listed messages: the names without their numbers."""
        return [name.split(".")[1] for name in self.names(folder)]

    def name(self, label, folder=""):
        """The one name with that label."""
        found = [n for n in self.names(folder) if n.split(".")[1] == label]
        equal(len(found), 1, f"messages {label!r} in {self.names(folder)}")
        return found[0]

    def read(self, label):
        return run("cat", self / self.name(label)).stdout

    def shows(self, *labels, seconds=20):
        wait_until(lambda: sorted(self.labels()) == sorted(labels), seconds,
                   f"INBOX shows {labels}")

    def status(self):
        return self.mount.text(".mailfs/status")

    def log(self):
        return self.mount.text(".mailfs/log")

    # --- the server ---

    def connections(self):
        """How many the client has."""
        if self.scripted:
            return len(self.server.open_sessions())
        return established(self.server.pop3s_port)

    def calms_down(self):
        """Until no session is held."""
        wait_until(lambda: self.connections() == 0, IDLE, "no session is held")

    def held(self):
        """What another client finds: {uidl: bytes}, in order."""
        client = self.server.pop3(self.user)
        found = {}
        for line in client.uidl()[1]:
            number, _, uidl = line.decode().partition(" ")
            found[uidl] = b"".join(part + b"\r\n" for part in client.retr(number)[1])
        client.quit()
        return found


def established(port):
    """Connections to a port of loopback, by what the kernel says of the client's ends."""
    found = 0
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(name) as table:
            for line in list(table)[1:]:
                words = line.split()
                found += words[2].endswith(f":{port:04X}") and words[3] == "01"
    return found


def quiet_for(seconds, drop):
    """Nothing connects for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        equal(drop.connections(), 0, "connections")
        time.sleep(0.05)


def starts_not(code, words, server, *options):
    """The program ends with this exit code and says why, but no password."""
    drop = Maildrop(server, options)
    mount = drop.new_mount()
    try:
        text = start_error(mount)
        drop.home.check_reports()
    finally:
        drop.home.remove()
    assert f"ended with {code}:" in text, text
    assert re.search(words, text, re.I) and PASSWORD not in text, text
