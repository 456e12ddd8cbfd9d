"""The first listing of a folder is read while it comes, and is complete or ends in an error."""

import contextlib
import ctypes
import errno
import os
import random
import signal
import struct
import subprocess
import threading

from harness import Home, Mount, case, equal, is_message, mail, main, uids_of, wait_until
from scripted import Cut, Folder, Hang, Message, ScriptedServer

COUNT = 600  # more than one buffer of a reader holds
HALF = 300


def messages(uids=range(1, COUNT + 1)):
    return {uid: Message(mail(f"message {uid}")) for uid in uids}


@contextlib.contextmanager
def site(*options, home=None, folder=None, **script):
    with ScriptedServer({b"INBOX": folder or Folder(messages())}, **script) as server, \
            Mount(server.url(), ["tls=off", "poll=3600", "idle=off", *options], home=home) as mount:
        yield server, mount


def is_listing(command):
    return "HEADER.FIELDS" in command


class Gate:
    """A hook that answers nothing of a listing from UID `at` on before it is open. `then` is done
    once, when it is."""

    def __init__(self, at=HALF + 1, then=None):
        self.at = at
        self.then = then
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, command, uid):
        if not is_listing(command) or uid != self.at:
            return None
        self.reached.set()
        if not self.open.wait(200):
            raise Hang
        then, self.then = self.then, None
        if then:
            raise then
        return None


class Reader(threading.Thread):
    """Reads a directory entry by entry."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.names = []
        self.error = None
        self.start()

    def run(self):
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if is_message(entry.name):
                        self.names.append(entry.name)
        except OSError as error:
            self.error = error

    def ended(self):
        self.join(200)
        assert not self.is_alive(), "the reader still waits"
        return self

    def whole(self):
        """The UIDs, if there was no error."""
        self.ended()
        if self.error:
            raise self.error
        return uids_of(self.names)

    def has(self, count):
        wait_until(lambda: len(self.names) >= count or not self.is_alive(), 100, f"{count} names")
        equal(len(self.names), count)


@case
def the_first_half_is_read_before_the_second_is_sent():
    gate = Gate()
    with site(hook=gate) as (_, mount):
        reader = Reader(mount / "INBOX")
        reader.has(HALF)
        other = Reader(mount / "INBOX")
        other.has(HALF)
        # What is known can be used, and has its attributes.
        equal((mount / "INBOX" / reader.names[-1]).stat().st_size, len(messages([HALF])[HALF].data))
        gate.open.set()
        equal(reader.whole(), list(range(1, COUNT + 1)))
        equal(other.whole(), list(range(1, COUNT + 1)))
        equal(uids_of(mount.messages()), list(range(1, COUNT + 1)))


@case
def a_place_in_it_can_be_returned_to():
    """As telldir() and seekdir() do."""
    gate = Gate()
    with site(hook=gate) as (_, mount):
        directory = os.open(mount / "INBOX", os.O_RDONLY | os.O_DIRECTORY)
        try:
            reading = (e for e in entries_of(directory) if is_message(e[0]))
            begun = [next(reading) for _ in range(HALF)]
            gate.open.set()
            whole = begun + list(reading)
            equal(uids_of(n for n, _ in whole), list(range(1, COUNT + 1)))
            for place in (0, 1, HALF // 2, HALF - 1, HALF, COUNT - 1):
                os.lseek(directory, whole[place][1], os.SEEK_SET)
                equal(list(entries_of(directory)), whole[place + 1:])
        finally:
            os.close(directory)


def entries_of(directory, size=4096):
    """Names, and the places behind them, as the kernel gives them."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(size)
    while True:
        got = libc.getdents64(directory, buffer, ctypes.c_size_t(size))
        if got < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if got == 0:
            return
        at = 0
        while at < got:
            _, place, length = struct.unpack_from("QqH", buffer.raw, at)
            yield buffer.raw[at + 19:at + length].split(b"\0")[0].decode(), place
            at += length


@case
def a_connection_that_is_lost_amid_it_is_made_anew():
    gate = Gate(then=Cut(b""))
    with site(hook=gate) as (server, mount):
        reader = Reader(mount / "INBOX")
        reader.has(HALF)
        gate.open.set()
        equal(reader.whole(), list(range(1, COUNT + 1)))
        equal(len(server.seen("HEADER.FIELDS")), 2)


@case
def it_ends_in_an_error_where_the_server_is_lost():
    gate = Gate()
    with site(hook=gate) as (server, mount):
        reader = Reader(mount / "INBOX")
        reader.has(HALF)
        server.hook = lambda command, uid: cut_at(command, uid, HALF + 20)
        gate.then = Cut(b"")
        gate.open.set()
        assert reader.ended().error, "a listing that is cut off has no error"
        names = set(reader.names)
        assert HALF <= len(names) < COUNT, len(names)
        # Later it is all there.
        server.hook = lambda command, uid: None
        wait_until(lambda: not Reader(mount / "INBOX").ended().error, 100, "the server")
        equal(Reader(mount / "INBOX").whole(), list(range(1, COUNT + 1)))


def cut_at(command, uid, at):
    if is_listing(command) and uid == at:
        raise Cut(b"")


@case
def it_ends_in_an_error_where_the_server_is_silent():
    with site("timeout=5", hook=hang_at_half) as (_, mount):
        reader = Reader(mount / "INBOX").ended()
        assert reader.error, "a listing that is never answered has no error"
        assert reader.error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH), reader.error
        assert len(reader.names) <= HALF, len(reader.names)


def hang_at_half(command, uid):
    if is_listing(command) and uid > HALF:
        raise Hang


@case
def a_server_that_answers_in_any_order():
    order = list(range(1, COUNT + 1))
    random.Random(7).shuffle(order)
    gate = threading.Event()

    def evil(connection, verb, argument, tag):
        if verb != b"UID_FETCH" or b"HEADER.FIELDS" not in argument:
            return None
        items = argument.partition(b" ")[2]
        for n, uid in enumerate(order):
            if n == HALF:
                gate.wait(200)
            answer = connection.items(items, uid, connection.folder.messages[uid])
            connection.say(b"* %d FETCH (%s)\r\n" % (uid, answer))
        return "OK done"

    with site(evil=evil) as (_, mount):
        reader = Reader(mount / "INBOX")
        wait_until(lambda: reader.names, 100, "a first name")
        other = Reader(mount / "INBOX")
        gate.set()
        for one in (reader, other):
            found = one.whole()
            equal(sorted(found), sorted(order))
        equal(uids_of(mount.messages()), sorted(order))


@case
def a_message_that_is_told_when_the_server_is_asked_again():
    """Its first answer lacks most of it: the counts show that one is missing."""
    asked = []

    def forget(command, uid):
        if not is_listing(command) or uid != 5:
            return None
        asked.append(uid)
        return b"UID 5 FLAGS ()" if len(asked) == 1 else None

    gate = Gate(COUNT)
    with site(hook=lambda command, uid: gate(command, uid) or forget(command, uid)) as (_, mount):
        reader = Reader(mount / "INBOX")
        reader.has(COUNT - 2)
        gate.open.set()
        equal(sorted(reader.whole()), list(range(1, COUNT + 1)))
        equal(uids_of(mount.messages()), list(range(1, COUNT + 1)))


@case
def a_message_that_goes_amid_it():
    gate = Gate()
    folder = Folder(messages())
    with site(hook=gate, folder=folder) as (_, mount):
        reader = Reader(mount / "INBOX")
        reader.has(HALF)
        gone = {5, HALF + 50}
        for uid in gone:
            del folder.messages[uid]
        # The server has not told of it: the counts show it.
        gate.then = Cut(b"")
        gate.open.set()
        found = set(reader.whole())
        equal(found | gone, set(range(1, COUNT + 1)))
        wait_until(lambda: set(uids_of(mount.messages())) == set(folder.messages), 60, "the rest")


@case
def a_folder_that_is_renumbered_amid_it():
    gate = Gate(then=Cut(b""))
    folder = Folder(messages())
    with site(hook=gate, folder=folder) as (_, mount):
        reader = Reader(mount / "INBOX")
        reader.has(HALF)
        folder.messages = messages(range(1, 50))
        folder.uidvalidity = 2000
        gate.open.set()
        assert reader.ended().error, "half of one folder and half of another"
        equal(uids_of(mount.messages()), list(range(1, 50)))


@case
def half_a_listing_is_not_taken_for_one_by_the_next_mount():
    gate = Gate()
    home = Home()
    folder = Folder(messages())
    with ScriptedServer({b"INBOX": folder}, hook=gate) as server:
        mount = Mount(server.url(), ["tls=off", "poll=3600", "idle=off"], home=home).start()
        reader = Reader(mount / "INBOX")
        reader.has(HALF)
        mount.kill()
        assert reader.ended().error, "the daemon was killed, and the listing is whole"
        mount.abandon()
        # What is left of it may be gone by now: nothing is shown before all is known.
        del folder.messages[3]
        second = Gate(COUNT - 10)
        server.hook = second
        with Mount(server.url(), ["tls=off", "poll=3600", "idle=off"], home=home) as mount:
            reader = Reader(mount / "INBOX")
            assert second.reached.wait(100)
            equal(reader.names, [])
            second.open.set()
            equal(reader.whole(), sorted(folder.messages))


def is_waiting(process):
    """It sits in a system call: sleeping, not running."""
    with open(f"/proc/{process.pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] in "SD"


@case
def ls_can_be_interrupted_amid_it():
    gate = Gate()
    with site("timeout=100", hook=gate) as (_, mount):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            reader = Reader(mount / "INBOX")
            reader.has(HALF)
            ls = subprocess.Popen(["ls", "-U", mount / "INBOX"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
            wait_until(lambda: is_waiting(ls), 60, "a waiting ls")
            ls.send_signal(number)
            equal(ls.wait(60), -number)
        gate.open.set()
        equal(reader.whole(), list(range(1, COUNT + 1)))


main()
