"""What the tests of sending share: one user's mail with an outbox, mounted before a scripted
submission server."""

import itertools
import os
import re
import signal

from harness import Home, Mount, equal, out, wait_until
from scripted import Folder, ScriptedServer

_users = itertools.count(1)


def note(name, to="bob@example.org", body=b"Hello.\r\n", extra="", sender="ann@example.org"):
    """A message that lacks nothing, so that it is sent as it is."""
    head = (f"From: {sender}\r\nTo: {to}\r\nSubject: {name}\r\n"
            f"Date: Mon, 02 Mar 2020 10:00:00 +0000\r\nMessage-ID: <{name}@example.org>\r\n{extra}")
    return head.encode() + b"\r\n" + body


def message_id(data):
    return re.search(rb"(?im)^Message-ID: *(\S+)", data)[1].decode()


class Desk:
    """`imap` is a Dovecot or the URL of a server without TLS, `smtp` an SmtpServer or a URL.

    In the end the client has done nothing that it must never do.
    """

    def __init__(self, imap, smtp, options=(), login=None, user=None):
        self.smtp = None if isinstance(smtp, str) else smtp
        url = smtp if isinstance(smtp, str) else smtp.url(login)
        self.home = Home()
        self.user = user or f"user{next(_users)}"
        given = {option.partition("=")[0] for option in options}
        usual = [f"smtp={url}"]
        if url.startswith("smtp:") and (self.smtp is None or self.smtp.tls is None):
            usual.append("smtp_tls=off")
        if isinstance(imap, str):
            usual.append("tls=off")
        usual += [o for o in ("send_delay=3600", "save_sent=no") if o.split("=")[0] not in given]
        self.options = [*usual, *options]
        self.imap = imap
        self.mount = None
        self.back = None, 0  # a mount, and how often it will have been online

    def __enter__(self):
        self.mount = self.new_mount()
        self.mount.start()
        return self

    def new_mount(self):
        return Mount(self.imap, self.options, user=self.user, home=self.home)

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.smtp:
                self.smtp.clear()
            self.mount.__exit__(kind)
            if kind is None and self.smtp:
                equal(self.smtp.faults, [], "what no client must do")
        finally:
            if kind is not None:
                self.mount.abandon()
            self.home.remove()

    def kill_and_mount(self):
        """As after a crash."""
        self.mount.kill()
        self.home.check_reports()
        self.mount.abandon()
        self.mount = self.new_mount()
        self.mount.start()

    def __truediv__(self, name):
        return self.mount / "outbox" / name

    # --- what a user does ---

    def write(self, name, data):
        (self / name).write_bytes(data)

    def post(self, name, data):
        """Writes a message and gives the errno of its verdict, 0 if it was sent."""
        with open(self / name, "wb") as new:
            new.write(data)
            new.flush()
            watch = os.open(self / name, os.O_RDONLY)
        return _verdict(watch)

    def verdict(self, name=""):
        """As `sync FILE`."""
        return _verdict(os.open(self / name, os.O_RDONLY))

    def hurry(self):
        """Everything is tried again, now and when the mailbox is back: settles() waits for it."""
        self.back = self.mount, self._arrivals() + 1
        self.mount.process.send_signal(signal.SIGHUP)

    # --- what is seen ---

    def waiting(self):
        return sorted(set(out("ls", self / "").split("\n")) - {"", "failed"})

    def failed(self):
        return sorted(os.listdir(self / "failed"))

    def reason(self, name):
        return (self / f"failed/{name}.err").read_text()

    def queue(self):
        return self.mount.text(".mailfs/queue")

    def row(self, name):
        """What the queue says about a message: [state, tries, next try, last reply]."""
        rows = [line.split("\t") for line in self.queue().splitlines()]
        return next((row[1:] for row in rows if row[0] == name), [])

    def state(self, name):
        return (self.row(name) or [""])[0]

    def is_empty(self):
        return self.waiting() == [] and self.failed() == []

    def _arrivals(self):
        return self.mount.stderr.read_text(errors="replace").count(": online")

    def settles(self, seconds=20):
        """Nothing waits any more, nor will it be tried for what was said before."""
        wait_until(lambda: not self.waiting(), seconds, "an empty outbox")
        mount, arrivals = self.back
        wait_until(lambda: mount is not self.mount or self._arrivals() >= arrivals, seconds,
                   "the mailbox")


class Office:
    """An IMAP server where copies are filed. Each APPEND takes one of `steps`: None (as usual), the
    answer, an exception, or a function of (connection, argument) that gives one of these."""

    def __init__(self, *steps):
        self.sent = Folder({}, attributes="\\Sent", permanent="\\Seen \\Deleted \\*")
        self.steps = list(steps)
        self.tried = 0
        self.server = ScriptedServer({b"INBOX": Folder({}), b"Sent": self.sent}, evil=self._evil)

    def _evil(self, connection, verb, argument, _):
        if verb != b"APPEND":
            return None
        self.tried += 1
        step = self.steps.pop(0) if self.steps else None
        if callable(step):
            step = step(connection, argument)
        if isinstance(step, Exception):
            raise step
        return step

    def url(self):
        return self.server.url()

    def texts(self):
        return [m.data for m in list(self.sent.messages.values())]

    def ids(self):
        return [message_id(text) for text in self.texts()]

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *_):
        self.server.__exit__()


def _verdict(fd):
    try:
        os.fsync(fd)
        return 0
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)

