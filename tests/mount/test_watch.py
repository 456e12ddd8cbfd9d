"""What other clients do is seen at once where the server tells of it, and nobody polls."""

import contextlib
import functools
import os
import re
import threading

from dovecot import utf7
from harness import Dovecot, Home, Mount, case, equal, mail, main, ok, run, uids_of, wait_until
from scripted import Cut, Folder, Message, ScriptedServer

COUNT = 20
MAILS = [(mail(f"mail {n}", f"body {n}\r\n" * n), 1600000000 + n) for n in range(1, COUNT + 1)]
NO_POLL = "poll=3600"

# It is told by IDLE or by NOTIFY; what changed is found out by what else the server can.
WAYS = {
    "idle": "IMAP4rev1 IDLE UIDPLUS",
    "idle_with_condstore": "IMAP4rev1 IDLE ENABLE CONDSTORE UIDPLUS",
    "idle_with_qresync": "IMAP4rev1 IDLE ENABLE CONDSTORE QRESYNC UIDPLUS",
    "notify": "IMAP4rev1 IDLE NOTIFY UIDPLUS",
    "notify_with_qresync": "IMAP4rev1 IDLE NOTIFY ENABLE CONDSTORE QRESYNC UIDPLUS",
}


def each_way(function):
    for words, capability in WAYS.items():
        def run_one(capability=capability):
            with Dovecot(capability=capability) as server:
                server.deliver(MAILS)
                server.deliver(MAILS, "Other")
                home = Home()
                function(server, home)
                home.remove()
        run_one = functools.wraps(function)(run_one)
        run_one.__name__ = f"{function.__name__}_by_{words}"
        case(run_one)
    return function


@contextlib.contextmanager
def client_of(server, folder="INBOX"):
    client = server.imap(folder=folder)
    yield client
    client.logout()


def status(mount):
    lines = (mount / ".mailfs/status").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines)


def watched(mount):
    return sorted(status(mount)["watching"].split(", "))


def await_watch(mount, *folders):
    wait_until(lambda: watched(mount) == sorted(folders), 20, f"{folders} to be watched")


def mtime(path):
    return os.stat(path).st_mtime_ns


def ctime(path):
    return os.stat(path).st_ctime_ns


def check_folder(server, mount, folder):
    """Of new mail, of changed flags, and of what is gone."""
    with client_of(server, folder) as client:
        before = mtime(mount / folder)
        ok(client.append(utf7(folder), None, None, mail("fresh")))
        wait_until(lambda: os.path.exists(mount / folder / f"{COUNT + 1}.eml"), 20, "new mail")
        equal(uids_of(mount.messages(folder))[-1], COUNT + 1)
        assert mtime(mount / folder) > before

        path = mount.find(5, folder)
        before = ctime(path)
        ok(client.uid("STORE", "5", "+FLAGS", "(\\Flagged)"))
        wait_until(lambda: ctime(path) > before, 20, "a newer ctime")

        gone, before = mount.find(3, folder), mtime(mount / folder)
        ok(client.uid("STORE", "3", "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())
        wait_until(lambda: not os.path.exists(gone), 20, "expunge")
        assert 3 not in uids_of(mount.messages(folder))
        assert mtime(mount / folder) > before


@each_way
def what_happens_in_inbox_is_seen(server, home):
    with Mount(server, [NO_POLL], home=home) as mount:
        mount.messages()
        await_watch(mount, "INBOX")
        check_folder(server, mount, "INBOX")


@each_way
def what_happens_in_a_folder_in_use_is_seen(server, home):
    with Mount(server, [NO_POLL], home=home) as mount:
        mount.messages("Other")
        await_watch(mount, "INBOX", "Other")
        check_folder(server, mount, "Other")


@case
def without_idle_folders_are_polled():
    with Dovecot(capability="IMAP4rev1 UIDPLUS") as server:
        server.deliver(MAILS)
        with Mount(server, ["poll=1"]) as mount:
            mount.messages()
            equal(watched(mount), ["none"])
            check_folder(server, mount, "INBOX")
            equal(watched(mount), ["none"])


@case
def nothing_is_watched_if_that_is_off():
    with Dovecot() as server:
        server.deliver(MAILS)
        server.record()
        with Mount(server, ["poll=1", "idle=off"]) as mount:
            mount.messages()
            check_folder(server, mount, "INBOX")
            equal(watched(mount), ["none"])
        assert not re.search("IDLE|NOTIFY", server.recorded())


@case
def folders_that_are_named_are_watched_unseen():
    with Dovecot(capability=WAYS["idle_with_qresync"]) as server:
        server.deliver(MAILS)
        server.deliver(MAILS, "Lists")
        server.deliver(MAILS, utf7("Lists/Söme"))
        home = Home()
        with Mount(server, [NO_POLL, "idle=Lists/Söme:inbox:Nowhere"], home=home) as mount:
            await_watch(mount, "Lists/Söme", "INBOX")
            check_folder(server, mount, "Lists/Söme")
        home.remove()


@each_way
def folders_may_be_renamed_and_removed_meanwhile(server, home):
    with Mount(server, [NO_POLL], home=home) as mount, client_of(server, None) as client:
        mount.messages("Other")
        await_watch(mount, "INBOX", "Other")
        os.rename(mount / "Other", mount / "Moved")
        mount.messages("Moved")
        await_watch(mount, "INBOX", "Moved")
        ok(client.append("Moved", None, None, mail("fresh")))
        wait_until(lambda: os.path.exists(mount / "Moved" / f"{COUNT + 1}.eml"), 20, "new mail")
        os.mkdir(mount / "Brief")
        mount.messages("Brief")
        await_watch(mount, "INBOX", "Moved", "Brief")
        os.rmdir(mount / "Brief")
        await_watch(mount, "INBOX", "Moved")


class Watched:
    """A server with IDLE that says "+" and waits; `allowed` connections may do so."""

    def __init__(self, allowed):
        self.allowed = allowed
        self.idling = []

    def __call__(self, connection, verb, argument, tag):
        if verb.upper() != b"IDLE":
            return None
        if len(self.idling) >= self.allowed:
            raise Cut(b"* BYE too many\r\n")
        self.idling.append(connection)
        connection.say("+ idling\r\n")
        connection.reader.readline()
        return "OK done"


@case
def a_watch_that_is_cut_costs_nothing_else():
    messages = {n: Message(data) for n, (data, _) in enumerate(MAILS, 1)}
    evil = Watched(0)
    with ScriptedServer({b"INBOX": Folder(messages)}, "IMAP4rev1 IDLE", evil=evil) as server:
        with Mount(server.url(), ["tls=off", "poll=1"]) as mount:
            equal(len(mount.messages()), COUNT)
            wait_until(lambda: server.seen("IDLE"), 20, "IDLE")
            for n in range(1, COUNT + 1):
                equal(run("cat", mount / f"INBOX/{n}.eml").stdout, MAILS[n - 1][0])
            now = status(mount)
            equal((now["state"], now["last-error"], now["watching"]), ("online", "none", "none"))
            assert "too many" not in mount.errors()
            # Tried again after minutes, and polled meanwhile.
            equal(len(server.seen("IDLE")), 1)
            before = len(server.seen("EXAMINE"))
            wait_until(lambda: mount.messages() and len(server.seen("EXAMINE")) > before, 20,
                       "polling")


class Deaf:
    """A server that never says "+" to IDLE, nor anything else on that connection."""

    def __init__(self):
        self.left = threading.Event()

    def __call__(self, connection, verb, argument, tag):
        if verb != b"IDLE":
            return None
        connection.reader.read()
        self.left.set()
        return ""


@case
def who_does_not_begin_to_wait_is_not_taken_for_watching():
    messages = {n: Message(data) for n, (data, _) in enumerate(MAILS, 1)}
    evil = Deaf()
    with ScriptedServer({b"INBOX": Folder(messages)}, "IMAP4rev1 IDLE", evil=evil) as server:
        with Mount(server.url(), ["tls=off", "poll=1", "timeout=2"]) as mount:
            mount.messages()
            wait_until(lambda: server.seen("IDLE"), 20, "IDLE")
            equal(watched(mount), ["none"])
            messages[COUNT + 1] = Message(mail("fresh"))
            wait_until(lambda: len(mount.messages()) == COUNT + 1, 20, "new mail")
            equal(watched(mount), ["none"])
            # It is not asked again and again.
            wait_until(evil.left.is_set, 20, "the end of the connection")
            for _ in range(4):
                before = len(server.seen("EXAMINE"))
                wait_until(lambda: mount.messages() and len(server.seen("EXAMINE")) > before, 20,
                           "polling")
            equal(len(server.seen("IDLE")), 1)
            equal(status(mount)["last-error"], "none")


class Disordered:
    """Takes the first NOTIFY, and refuses the second before it answers what was asked before."""

    def __init__(self):
        self.first = None
        self.sets = 0
        self.waiting = None

    def __call__(self, connection, verb, argument, tag):
        if verb == b"IDLE":
            connection.say("+ idling\r\n")
            connection.reader.readline()
            return "OK done"
        if verb != b"NOTIFY":
            return None
        if argument == b"NONE":
            self.waiting = tag
            return ""
        self.sets += 1
        if self.sets == 1:
            return "OK done"
        connection.say(tag + b" NO I do not like it\r\n" + self.waiting + b" OK done\r\n")
        return ""


@case
def refused_out_of_order_is_refused():
    folders = {name: Folder({n: Message(data) for n, (data, _) in enumerate(MAILS, 1)})
               for name in (b"INBOX", b"Other")}
    with ScriptedServer(folders, "IMAP4rev1 IDLE NOTIFY", evil=Disordered()) as server:
        with Mount(server.url(), ["tls=off", NO_POLL]) as mount:
            mount.messages()
            await_watch(mount, "INBOX")
            mount.messages("Other")
            await_watch(mount, "INBOX", "Other")
            assert server.seen("IDLE")


main()
