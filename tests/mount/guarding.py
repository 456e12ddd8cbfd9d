"""What tests of secrets need: a command that prints one, and a server that counts the logins."""

import contextlib
import re

from dovecot import PASSWORD
from harness import Home, mail, run, wait_until
from scripted import Cut, Folder, Message, Relay, ScriptedServer


class Source:
    """A command that prints the last line of a file, and how often it ran."""

    def __init__(self, home, name, text):
        self.path = home.dir / name
        self.runs = home.dir / f"{name}-runs"
        self.command = f"echo >>{self.runs}; cat {self.path}"
        self.set(text)

    def set(self, text):
        self.path.write_text(text + "\n")

    def count(self):
        return len(self.runs.read_text()) if self.runs.exists() else 0


@contextlib.contextmanager
def a_home():
    home = Home()
    try:
        yield home
    finally:
        home.remove()


def reconnect(mount):
    run("sh", "-c", "echo reconnect >.mailfs/ctl", cwd=mount.path)


def state(mount):
    return re.search(r"^state: (.*)$", mount.text(".mailfs/status"), re.M)[1]


def becomes(mount, wanted):
    wait_until(lambda: state(mount) == wanted, what=f"the state {wanted}")


def lines(mount, words):
    return [line for line in mount.text(".mailfs/log").splitlines() if words in line]


class Guard:
    """Counts the logins at an IMAP server; `word` is the one that lets in. While it is `away`
    nobody is greeted."""

    def __init__(self):
        self.word = PASSWORD
        self.logins = []
        self.answer = "NO [AUTHENTICATIONFAILED] not this one"
        self.hold = None
        self.away = False
        self.script = None
        self.logins_of = {}  # of a connection: what `logins` was when it was greeted

    def __call__(self, connection, verb, argument, tag):
        if verb == b"":
            self.logins_of[connection] = self.logins
            if self.away:
                raise Cut
        if verb != b"LOGIN":
            return None
        self.logins_of[connection].append(argument)
        if self.hold:
            self.hold.reached.set()
            self.hold.go.wait()
        return "OK in" if argument.rstrip(b'"').endswith(self.word.encode()) else self.answer


@contextlib.contextmanager
def guarded(**options):
    guard = Guard()
    folders = {b"INBOX": Folder({n: Message(mail(f"m{n}")) for n in range(1, 4)},
                                permanent="\\Seen \\Deleted \\*")}
    with ScriptedServer(folders, evil=guard, **options) as script, Relay(script.port) as relay:
        guard.script = script
        yield guard, f"imap://alice@127.0.0.1:{relay.port}", relay


def change_password(guard, relay, mount):
    """And no login of before is counted: some connections may just have been made."""
    guard.away = True
    relay.cut()
    becomes(mount, "offline")
    guard.word = "changed"
    guard.logins = []
    guard.away = False
    becomes(mount, "login refused")
