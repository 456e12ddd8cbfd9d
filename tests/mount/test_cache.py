"""What is kept between mounts is right, whatever happened to it, and is not asked for again."""

import contextlib
import re
import shutil
import sqlite3
import subprocess
import threading

from harness import Home, Mount, case, equal, mail, main, run, uids_of, wait_until
from packs import HEAD, flip, packed, records
from scripted import Folder, Message, ScriptedServer

COUNT = 400
BODY = re.compile(r"UID FETCH (\S+) \(UID BODY\.PEEK\[\]\)")


def data_of(uid):
    """1.6 MB in all; the last one is too large for a pack."""
    lines = 6000 if uid == COUNT else uid % 400 + 30
    return mail(f"Number {uid}", body=f"This is {uid}.\r\n" * lines)


def serve(evil=None):
    messages = {uid: Message(data_of(uid)) for uid in range(1, COUNT + 1)}
    return ScriptedServer({b"INBOX": Folder(messages)}, evil=evil)


@contextlib.contextmanager
def cache():
    home = Home()
    yield home
    home.remove()


def mounted(server, home, *options):
    return Mount(server.url(), ["poll=3600", "tls=off", *options], home=home)


def uids(text):
    """Of a sequence set."""
    found = set()
    for part in text.split(","):
        first, _, last = part.partition(":")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def fetched(server):
    """The messages that were asked for since the last time."""
    with server.lock:
        found = [BODY.match(c) for c in server.commands]
        server.commands.clear()
    return set().union(*(uids(m[1]) for m in found if m))


def read_all(mount):
    """All that is listed is as the server holds it, byte for byte."""
    names = mount.messages()
    equal(uids_of(names), list(range(1, COUNT + 1)))
    got = run("cat", *names, cwd=mount / "INBOX", timeout=120).stdout
    for uid in range(1, COUNT + 1):
        wanted = data_of(uid)
        equal(got[:len(wanted)] == wanted, True, f"message {uid}")
        got = got[len(wanted):]
    equal(got, b"")


def known(home):
    """The UIDs whose size is on record."""
    index, = home.cache.rglob("index.sqlite")
    with contextlib.closing(sqlite3.connect(index)) as database:
        return {uid for uid, in database.execute(
            "SELECT uid FROM message WHERE size IS NOT NULL")}


@case
def killed_amid_reading_it_keeps_what_it_had():
    """What comes behind the 200th message is held back, so that `cat` is in the middle of it."""
    go = threading.Event()

    def evil(connection, verb, argument, _):
        if verb == b"UID_FETCH" and b"BODY.PEEK[])" in argument and \
                max(uids(argument.split(b" ")[0].decode())) > 200:
            go.wait()

    with cache() as home, serve(evil) as server:
        mount = mounted(server, home)
        mount.start()
        reader = subprocess.Popen(["sh", "-c", "cat $(ls -U)"], cwd=mount / "INBOX",
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: len(packed(home)) > 50, 30, "messages in the cache")
        equal(reader.poll(), None, "end of the reader")
        mount.kill()
        go.set()
        reader.wait(60)
        mount.abandon()
        kept = packed(home) & known(home)
        equal(len(kept) > 0, True)
        fetched(server)
        with mounted(server, home) as mount:
            read_all(mount)
            equal(fetched(server) & kept, set())
        with mounted(server, home) as mount:
            read_all(mount)
            equal(fetched(server), set())


@case
def a_half_written_message_is_fetched_again():
    with cache() as home, serve() as server:
        with mounted(server, home) as mount:
            read_all(mount)
        *_, (file, at, _, uid, data) = records(home)
        with open(file, "r+b") as cut:
            cut.truncate(at + len(data) // 2)
        fetched(server)
        with mounted(server, home) as mount:
            read_all(mount)
            equal(fetched(server), {uid})


@case
def a_flipped_bit_is_never_shown():
    """Of a message, or of what stands before it: if that has to be read at the start, as nothing
    was written at the end, those behind it in the file are lost with it."""
    for place in ("bytes", "header", "header after a kill"):
        with cache() as home, serve() as server:
            with mounted(server, home) as mount:
                read_all(mount)
            found = list(records(home))
            equal({uid for _, _, _, uid, _ in found}, set(range(1, COUNT)))
            file, at, _, _, data = found[COUNT // 2]
            flip(file, at + len(data) // 2 if place == "bytes" else at - HEAD.size + 9)
            damaged = found[COUNT // 2:COUNT // 2 + 1]
            if place == "header after a kill":
                (file.parent / "list").unlink()
                damaged = found[COUNT // 2:]
            fetched(server)
            with mounted(server, home) as mount:
                read_all(mount)
                equal(fetched(server), {uid for _, _, _, uid, _ in damaged})
            with mounted(server, home) as mount:
                read_all(mount)
                equal(fetched(server), set())


@case
def a_file_for_each_message_is_read_too():
    """As they were before there were packs."""
    with cache() as home, serve() as server:
        with mounted(server, home) as mount:
            read_all(mount)
        bodies, = home.cache.rglob("bodies")
        for _, _, epoch, uid, data in records(home):
            (bodies / f"{epoch:x}").mkdir(exist_ok=True)
            (bodies / f"{epoch:x}" / str(uid)).write_bytes(data)
        shutil.rmtree(bodies.parent / "packs")
        fetched(server)
        with mounted(server, home) as mount:
            read_all(mount)
            equal(fetched(server), set())


@case
def a_cache_that_is_too_small_takes_what_was_used_last():
    size = 1024 * 1024
    with cache() as home, serve() as server:
        for _ in range(2):
            with mounted(server, home, "cache_size=1M") as mount:
                read_all(mount)
                run("cat", mount.find(COUNT))
        held = sum(file.stat().st_size for folder in ("packs", "bodies")
                   for file in home.cache.rglob(f"{folder}/**/*") if file.is_file())
        equal(size // 4 < held <= size, True, held)
        fetched(server)
        with mounted(server, home, "offline") as mount:
            equal(run("cat", mount.find(COUNT)).stdout == data_of(COUNT), True)
        equal(fetched(server), set())


main()
