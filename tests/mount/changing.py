"""What the tests of changes share: one user's mail, its mount behind a Wire, and a client of another
kind that says what the server holds."""

import contextlib
import functools
import imaplib
import itertools
import os
import re
import threading
import time
from collections import namedtuple

from harness import Dovecot, Home, Mount, case, equal, mail, ok, quote, run, wait_until
from wire import Wire

SERVERS = {"with_extensions": None, "with_bare_imap4rev1": "IMAP4rev1"}
# What a client must not say to a server that has none of it.
EXTENSIONS = re.compile(
    r"^(UID EXPUNGE|(UID )?MOVE|UNSELECT|ENABLE|IDLE|NAMESPACE|MYRIGHTS|GETQUOTA\w*|ID|COMPRESS|NOTIFY"
    r"|STATUS .*(HIGHESTMODSEQ|SIZE|DELETED))\b|\{\d+[+-]\}|MODSEQ|CHANGEDSINCE|UNCHANGEDSINCE"
    r"|CONDSTORE|QRESYNC|\bRETURN \(|~\{|BINARY", re.I)

Seen = namedtuple("Seen", "flags date data")
_users = itertools.count(1)


def mails(count, folder="mail"):
    """Small ones, told apart by everything."""
    return [(mail(f"{folder} {n}", f"This is {folder} {n}.\r\n" * min(n, 100),
                  extra=f"Message-ID: <{folder}-{n}@example.org>\r\n"), 1600000000 + 1000 * n)
            for n in range(1, count + 1)]


MAILS = mails(6)


@contextlib.contextmanager
def both_servers():
    """The fixture: a Dovecot with all it has, one that says it has nothing."""
    with contextlib.ExitStack() as stack:
        yield {words: stack.enter_context(Dovecot(capability=capability))
               for words, capability in SERVERS.items()}


def both(options=(), messages=MAILS, folders=("Archive",)):
    """Two cases, one for each server; each gets a Site."""
    def wrap(function):
        for words in SERVERS:
            def run_one(servers, words=words):
                with Site(servers[words], options, messages, folders,
                          bare=SERVERS[words] is not None) as site:
                    function(site)
            run_one = functools.wraps(function)(run_one)
            run_one.__name__ = f"{function.__name__}_{words}"
            case(run_one)
        return function
    return wrap


class Site:
    """One user of a server with `messages` in INBOX and some empty folders, mounted. In the end
    nothing was said that must not be said.

    full  the server can expunge and move single messages
    """

    def __init__(self, server, options=(), messages=MAILS, folders=("Archive",), bare=False,
                 delay=0.0):
        self.server = server
        self.user = f"user{next(_users)}"
        self.full = not bare
        self.wire = Wire(server.port, delay, bare)
        self.home = Home()
        self.options = ["tls=off", "poll=1", *options]
        self.folders = ("INBOX", *folders)
        server.deliver(messages, user=self.user)
        with self.client() as client:
            for folder in folders:
                ok(client.create(quote(folder)))
        self.mount = None

    def __enter__(self):
        self.wire.__enter__()
        self.mount = self.new_mount()
        self.mount.start()
        return self

    def __exit__(self, kind, *_):
        try:
            self.mount.__exit__(kind)
            if kind is None:
                self.check_wire()
        finally:
            self.wire.__exit__()
            if kind is None:
                self.home.remove()

    def new_mount(self):
        return Mount(self.wire.url(self.user), self.options, home=self.home)

    def remount(self):
        self.mount.unmount()
        self.mount.start()

    def check_wire(self):
        equal(self.wire.bad, [], "commands that the server did not understand")
        equal(self.wire.blind, [], "blind expunges")
        if not self.full:
            equal([c for c in self.wire.commands if EXTENSIONS.search(c)], [], "extensions used")

    def __truediv__(self, name):
        return self.mount / name

    def sync(self, name="", **options):
        return run("sync", self / name, **options)

    # --- the other client ---

    @contextlib.contextmanager
    def client(self, folder=None):
        client = self.server.imap(self.user, folder)
        try:
            yield client
        finally:
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                client.logout()

    def view(self, folder="INBOX", bodies=True):
        """What the server holds: {uid: Seen}."""
        items = "(FLAGS INTERNALDATE BODY.PEEK[])" if bodies else "(FLAGS INTERNALDATE)"
        with self.client() as client:
            ok(client.select(quote(folder), readonly=True))
            return dict(map(_message, _answers(ok(client.uid("FETCH", "1:*", items)))))

    def live(self, folder="INBOX"):
        """Those that nobody deleted."""
        return {u: m for u, m in self.view(folder).items() if "\\Deleted" not in m.flags}

    def only(self, folder):
        """The one message of a folder."""
        found = self.live(folder)
        equal(len(found), 1, f"messages in {folder}: {found}")
        return next(iter(found.items()))

    def flag(self, uids, change, flags, folder="INBOX"):
        """flag(3, "+", "\\Deleted")"""
        with self.client(folder) as client:
            ok(client.uid("STORE", str(uids), f"{change}FLAGS", f"({flags})"))

    def append(self, data, folder="INBOX"):
        with self.client() as client:
            ok(client.append(quote(folder), None, None, data))

    # --- what the mount shows ---

    def listed(self, folder="INBOX"):
        return self.mount.messages(folder)

    def uids(self, folder="INBOX"):
        """Of the listed messages, whatever their names are."""
        # One that goes just now is listed still.
        return wait_until(lambda: [sorted(uid_at(self / folder / name)
                                          for name in self.listed(folder))], 20, "UIDs")[0]

    def deleted(self, folder="INBOX"):
        return self.mount.messages(f"{folder}/.deleted")

    def find(self, uid, folder="INBOX"):
        return self.mount.find(uid, folder)

    def shows_what_is(self, folder="INBOX"):
        """Within a while the mount shows what the server holds."""
        def equals():
            held = self.view(folder, bodies=False)
            gone = {u for u, m in held.items() if "\\Deleted" in m.flags}
            return (self.uids(folder) == sorted(held.keys() - gone)
                    and len(self.deleted(folder)) == len(gone))
        wait_until(equals, 20, f"the mount shows {folder} as it is")


def _answers(data):
    """imaplib gives (head, literal) and then the rest of each answer."""
    answers = []
    for part in data:
        if isinstance(part, tuple):
            answers.append([part[0], part[1]])
        elif part and b"UID" in part:
            answers.append([part, b""])
        elif part and answers:
            answers[-1][0] += part
    return answers


def _message(answer):
    head, data = answer
    flags = re.search(rb"FLAGS \(([^)]*)\)", head)[1].decode().split()
    when = re.search(rb'INTERNALDATE "([^"]*)"', head)[1]
    date = imaplib.Internaldate2tuple(b'INTERNALDATE "%s"' % when)
    return int(re.search(rb"UID (\d+)", head)[1]), Seen(
        frozenset(f for f in flags if f != "\\Recent"), int(time.mktime(date)), data)


@contextlib.contextmanager
def few_commands(site, most):
    """No more are sent meanwhile; but changes that come slowly go in smaller groups, a second apart
    or less, so that a busy machine takes some more."""
    began, start = time.monotonic(), site.wire.count()
    yield
    sent = site.wire.commands[start:]
    print(f"# {len(sent)} commands")
    most += int(10 * (time.monotonic() - began))
    equal(len(sent) <= most, True, f"{len(sent)} commands, {most} at most: {sent[:50]}")


def uid_at(path):
    """A message's UID is the lower half of its inode number."""
    return os.stat(path).st_ino & 0xffffffff


def fails(number, function, *args, **kwargs):
    """The call fails with this errno, or one of these."""
    numbers = number if isinstance(number, tuple) else (number,)
    try:
        function(*args, **kwargs)
    except OSError as error:
        if error.errno in numbers:
            return
        got = error.strerror
    else:
        got = "success"
    raise AssertionError(f"got {got}, wanted {' or '.join(map(os.strerror, numbers))}")


def in_background(function, *args):
    """Runs it; what it returned or raised stands in `.outcome` when `.join()` came back."""
    thread = threading.Thread(target=lambda: setattr(thread, "outcome", _outcome(function, args)),
                              daemon=True)
    thread.outcome = None
    thread.start()
    return thread


def _outcome(function, args):
    try:
        return function(*args)
    except Exception as error:
        return error
