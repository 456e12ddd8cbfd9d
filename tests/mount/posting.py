"""What the tests of sending share: a Postfix in front of a Dovecot, and one user's mount that sends
through it."""

import contextlib
import itertools
import os
import re
import signal
from collections import namedtuple

from harness import Dovecot, Home, Mount, case, equal, fingerprint, ok, quote, run, wait_until
from postfix import DOMAIN, Postfix

World = namedtuple("World", "dovecot postfix")
TRACE = re.compile(rb"\A(?:(?:Return-Path|Delivered-To|Received):.*\r\n(?:[ \t].*\r\n)*)+")
SHELL = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "TERM": "xterm", "HOME": "/nonexistent"}
_users = itertools.count(1)


@contextlib.contextmanager
def world():
    """The fixture."""
    with Dovecot(mta=True) as dovecot, Postfix(dovecot) as postfix:
        yield World(dovecot, postfix)


def posting(options=(), tls=True, folders=("Sent",)):
    """A case that gets a Poster, and returns how many texts it has handed in (None: one)."""
    def wrap(function):
        def run_one(shared):
            with Poster(shared, options, tls, folders) as poster:
                wanted = function(poster)
                poster.settled(1 if wanted is None else wanted)
        run_one.__name__ = function.__name__
        case(run_one)
        return function
    return wrap


def crlf(text):
    return re.sub(rb"\r\n|\r|\n", b"\r\n", text)


def parts(message):
    """Its header, as a list of fields without folds, and its body."""
    head, _, body = message.partition(b"\r\n\r\n")
    return re.sub(rb"\r\n(?=[ \t])", b"", head).split(b"\r\n"), body


class Poster:
    """A user, mounted with smtp=. `address` is hers and from=; mail to `other()` goes to users of
    her own, too.

    tls     of the submission: True at once, False after STARTTLS, None not at all
    trust   False: no authority is trusted, only the IMAP server's certificate itself
    """

    def __init__(self, shared, options=(), tls=True, folders=("Sent",), trust=True):
        self.dovecot, self.postfix = shared
        self.user = f"post{next(_users)}"
        self.address = f"{self.user}@{DOMAIN}"
        self.home = Home()
        with self.client() as client:
            for folder in folders:
                ok(client.create(quote(folder)))
        given = [*options]
        for name, value in (("smtp", self.postfix.url(tls=tls)), ("send_delay", 1),
                            ("from", self.address), ("poll", 1)):
            if not any(o.startswith(name + "=") for o in given):
                given.append(f"{name}={value}")
        if tls is None:
            given.append("smtp_tls=off")
        if not trust:
            given.append(f"tls_fingerprint={fingerprint(self.dovecot.cert)}")
        self.options = given
        self.mount = Mount(self.dovecot if trust else self.dovecot.url(self.user), given,
                           user=self.user, home=self.home)
        self.outbox = self.mount / "outbox"

    def mount_again(self, **options):
        """With other options, such as send_delay="0"."""
        kept = [o for o in self.options if o.partition("=")[0] not in options]
        given = kept + [f"{name}={value}" for name, value in options.items()]
        self.mount = Mount(self.dovecot, given, user=self.user, home=self.home)
        self.outbox = self.mount / "outbox"
        self.mount.start()

    def __enter__(self):
        self.mount.start()
        return self

    def __exit__(self, kind, *_):
        self.mount.__exit__(kind)
        if kind is None:
            self.home.remove()

    def __truediv__(self, name):
        return self.mount / name

    def other(self, name="friend"):
        """The address of somebody who has been here before."""
        self.dovecot.open_inbox(f"{self.user}-{name}")
        return f"{self.user}-{name}@{DOMAIN}"

    def note(self, to=None, extra="", body="one\ntwo\nthree\n"):
        """A draft as people write it."""
        return f"To: {to or self.address}\nSubject: note\n{extra}\n{body}".encode()

    def note_file(self):
        path = self.home.dir / "note.eml"
        if not path.exists():
            path.write_bytes(self.note())
        return path

    # --- what she does ---

    def write(self, name, data):
        """As `cat > outbox/name` does it."""
        run("sh", "-c", 'cat > "$1"', "sh", self.outbox / name, stdin=pipe_of(data))

    def send(self, name, data):
        self.write(name, data)
        self.sync(name)

    def shell(self, script, **options):
        """In outbox/; $NOTE is a file outside with note()."""
        options.setdefault("env", {**SHELL, "NOTE": str(self.note_file()),
                                   "ADDRESS": self.address})
        return run("bash", "-c", script, cwd=self.outbox, **options)

    def sync(self, name="", **options):
        return run("sync", self.outbox / name, **options)

    def hurry(self):
        """Tries again now what had to wait, until nothing waits."""
        self.mount.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not self.waiting(), 20, "an empty outbox")

    def sync_fails(self, words, name=""):
        done = self.sync(name, check=False)
        equal(done.returncode, 1, "exit code of sync")
        assert re.search(words, done.stderr.decode(), re.I), done.stderr

    # --- what is to be seen ---

    def listed(self, name=""):
        return sorted(os.listdir(self.outbox / name))

    def waiting(self):
        return [name for name in self.listed() if name != "failed"]

    def queue(self):
        return (self / ".mailfs/queue").read_text()

    def error(self, name):
        return (self.outbox / "failed" / (name + ".err")).read_text()

    @contextlib.contextmanager
    def client(self, user=None, folder=None):
        client = self.dovecot.imap(user or self.user, folder)
        try:
            yield client
        finally:
            client.logout()

    def held(self, folder="INBOX", user=None):
        """What the server has of a folder: [(flags, bytes)]."""
        with self.client(user) as client:
            ok(client.select(quote(folder), readonly=True))
            found = [p for p in ok(client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])"))
                     if isinstance(p, tuple)]
        return [(re.search(rb"FLAGS \(([^)]*)\)", head)[1].decode(), data) for head, data in found]

    def received(self, user=None, count=1):
        """The messages that arrived, with trace fields."""
        wait_until(lambda: len(self.held(user=user)) >= count, 20, f"{count} for {user}")
        found = [data for _, data in self.held(user=user)]
        equal(len(found), count, f"messages: {found}")
        return found

    def arrived(self, user=None, count=1):
        """The same without: what was handed in."""
        return [TRACE.sub(b"", data) for data in self.received(user, count)]

    def sent(self, count=1):
        """What stands in her Sent folder."""
        wait_until(lambda: len(self.held("Sent")) >= count, 20, f"{count} in Sent")
        equal(len(self.held("Sent")), count, "in Sent")
        return self.held("Sent")

    def texts(self):
        return self.postfix.texts(self.user)

    def texts_of(self):
        return [a for a in self.postfix.handed_in if a["sender"] == self.address]

    def is_whole(self, note=None, user=None, message=None):
        """The one message that arrived has the header and the body of the note."""
        message = self.arrived(user)[0] if message is None else message
        wanted_head, wanted_body = parts(crlf(note or self.note()))
        head, body = parts(message)
        equal(body, wanted_body, "body")
        equal([line for line in wanted_head if line not in head
               and not line.startswith(b"Bcc:")], [], f"missing in {head}")
        return head

    def settled(self, texts):
        """All is sent or has failed, no more came than it should, also not when the mount ends."""
        wait_until(lambda: not self.waiting(), 20, "an empty outbox")
        equal(self.texts(), texts, "texts handed in")
        self.mount.stop()
        equal(self.texts(), texts, "texts handed in at the end")


def pipe_of(data):
    """A file to read `data` from."""
    fd = os.memfd_create("data")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return os.fdopen(fd, "rb")

