"""Reading ahead across messages: how few commands and requests it takes, that it asks for nothing
extra, holds up nobody, and that what the kernel is given is right."""

import re
import threading

from harness import (Dovecot, Home, Mount, case, equal, mail, main, out, run, wait_until, within)
from scripted import Folder, Message, ScriptedServer

COUNT = 600
BODY = re.compile(r"UID FETCH (\S+) \(UID BODY\.PEEK\[\]\)")


def data_of(uid):
    return mail(f"Number {uid}", body=f"This is {uid}.\r\n" * (uid % 40 + 1))


def folder(count=COUNT, size=None):
    return Folder({uid: Message(data_of(uid), size=size) for uid in range(1, count + 1)})


def uids(text):
    """Of a sequence set."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


def asked(server):
    """The messages of each command that asked for bodies."""
    return [uids(BODY.match(c)[1]) for c in server.seen(BODY.pattern)]


def mounted(server, **options):
    return Mount(server.url(), ["poll=3600", "tls=off"], **options)


def requests(mount, kind):
    return len(re.findall(rf"^mailfs: {kind} [0-9a-f]+ ", mount.stderr.read_text(), re.M))


def read_all(mount, names):
    for name in names:
        with open(mount / "INBOX" / name, "rb") as file:
            equal(file.read(), data_of(int(name.split(".")[0])), name)


@case
def in_order_few_commands_ask_once_for_each():
    with ScriptedServer({b"INBOX": folder()}) as server, mounted(server) as mount:
        read_all(mount, mount.messages())
        commands = asked(server)
        equal(sorted(u for c in commands for u in c), list(range(1, COUNT + 1)))
        # 8, 16, 64, 256; but 32 while the connection for it is not there yet.
        equal(len(commands) <= 24, True, commands)


@case
def who_begins_at_the_beginning_is_trusted_a_little():
    """What may come next, in the order of numbers or of the alphabet, comes with the first."""
    with ScriptedServer({b"INBOX": folder()}) as server, mounted(server) as mount:
        names = mount.messages()
        read_all(mount, names[:1])
        few = [[1], list(range(2, 10)), list(range(10, 18)), list(range(100, 108))]
        wait_until(lambda: len(asked(server)) >= len(few), 5, "what may come next")
        read_all(mount, names[400:401])
        equal(asked(server), [*few, [401]])
    with ScriptedServer({b"INBOX": folder(100)}) as server, mounted(server) as mount:
        names = mount.messages()
        read_all(mount, [names[0], names[50]])
        equal(asked(server), [[1], [51]])


@case
def who_lists_a_large_folder_for_the_first_time_may_read_it():
    """A login takes as long as the listing: the connection that reads ahead is made beside it."""
    logins = []

    def evil(connection, verb, argument, _):
        if verb in (b"LOGIN", b"AUTHENTICATE"):
            logins.append(verb)

    for count, connections in ((127, 2), (128, 3)):
        home = Home()
        with ScriptedServer({b"INBOX": folder(count)}, evil=evil) as server:
            logins.clear()
            with mounted(server, home=home) as mount:
                wait_until(lambda: len(logins) >= 2, 20, "the first two")
                equal(len(mount.messages()), count)
                wait_until(lambda c=connections: len(logins) >= c, 20, "the connections")
                read_all(mount, mount.messages()[-1:])
                equal(len(logins), connections)
            # Who lists it again may want nothing else.
            logins.clear()
            with mounted(server, home=home) as mount:
                equal(len(mount.messages()), count)
                read_all(mount, mount.messages()[-2:-1])
                equal(len(logins), 2)
        home.remove()


@case
def who_waits_where_a_batch_begins_has_begun_it():
    """What is behind it does not wait until that is here."""
    go = threading.Event()

    def evil(connection, verb, argument, _):
        if verb == b"UID_FETCH" and argument.startswith(b"2:9 "):
            go.wait(60)

    with ScriptedServer({b"INBOX": folder()}, evil=evil) as server, \
            mounted(server, arguments=["-d"]) as mount:
        names = mount.messages()
        reader = threading.Thread(target=read_all, args=(mount, names[:2]))
        reader.start()
        wait_until(lambda: " UID FETCH 18:33 (UID BODY.PEEK[])" in mount.stderr.read_text(), 20,
                   "what is behind")
        equal(reader.is_alive(), True)
        go.set()
        reader.join(60)
        equal(reader.is_alive(), False)


@case
def in_alphabetical_order_too():
    with ScriptedServer({b"INBOX": folder(2000)}) as server, mounted(server) as mount:
        run("sh", "-c", "LC_ALL=C; export LC_ALL; cat *.eml", cwd=mount / "INBOX", timeout=100)
        commands = asked(server)
        equal(sorted({u for c in commands for u in c}), list(range(1, 2001)))
        extra = sum(map(len, commands)) - 2000
        equal((len(commands) <= 40, extra <= 4), (True, True), (len(commands), extra))
        # Nobody had to wait where a run of numbers begins.
        equal(len([c for c in commands if len(c) == 1]) <= 6, True, commands)


@case
def at_random_nothing_extra():
    wanted = [50, 300, 10, 400, 20, 560, 110, 250]
    with ScriptedServer({b"INBOX": folder()}) as server, mounted(server) as mount:
        names = {int(n.split(".")[0]): n for n in mount.messages()}
        read_all(mount, [names[u] for u in wanted])
        equal(asked(server), [[u] for u in wanted])


@case
def it_stops_when_the_reader_does():
    with ScriptedServer({b"INBOX": folder()}) as server, mounted(server) as mount:
        read_all(mount, mount.messages()[:4])
        wait_until(lambda: sum(map(len, asked(server))) >= 4, 5, "reading")
        # What came with the first, and two batches behind it.
        equal(sum(map(len, asked(server))) <= 2 + 8 + 16 + 32 + 64, True, asked(server))


@case
def in_a_small_cache_it_is_not_evicted_before_it_is_read():
    count = 400
    large = {uid: Message(mail(f"Number {uid}", body="much of it\r\n" * 3000))
             for uid in range(1, count + 1)}
    with ScriptedServer({b"INBOX": Folder(large)}) as server, \
            Mount(server.url(), ["poll=3600", "tls=off", "cache_size=4M"]) as mount:
        for name in sorted(mount.messages(), key=lambda name: int(name.split(".")[0])):
            equal(len((mount / "INBOX" / name).read_bytes()) > 3000, True)
        equal(sorted(u for c in asked(server) for u in c), list(range(1, count + 1)))


@case
def who_waits_does_not_wait_for_the_bulk():
    """The connection that reads ahead hangs; one message that it would bring, and one that it would
    not, are there at once."""
    go = threading.Event()
    hanging = threading.Event()
    there = threading.Event()
    logins = []

    def evil(connection, verb, argument, _):
        if verb in (b"LOGIN", b"AUTHENTICATE"):
            logins.append(verb)
            if len(logins) == 3:
                there.set()
        if verb != b"UID_FETCH" or b"BODY.PEEK[])" not in argument or go.is_set():
            return
        batch = len(uids(argument.split(b" ")[0].decode()))
        if batch >= 64:
            hanging.set()
            go.wait(30)
        elif batch > 16:
            there.wait(20)  # else all is read before there is a connection that could hang

    big = Folder({u: Message(data_of(u) + b"x" * 20000) for u in range(1, COUNT + 1)})
    with ScriptedServer({b"INBOX": big}, evil=evil) as server, mounted(server) as mount:
        names = {int(n.split(".")[0]): n for n in mount.messages()}
        reader = threading.Thread(target=lambda: run("sh", "-c", "cat $(ls -U | head -500)",
                                                     cwd=mount / "INBOX", timeout=60))
        reader.start()
        equal(hanging.wait(20), True, "the bulk")
        ahead = [c for c in asked(server) if len(c) >= 64][0]
        for uid in (ahead[-1], COUNT):
            data = within(5, (mount / "INBOX" / names[uid]).read_bytes)
            equal(len(data), len(data_of(uid)) + 20000)
        equal([ahead[-1]] in asked(server), True)
        go.set()
        reader.join(60)
        equal(reader.is_alive(), False)


@case
def one_connection_is_enough():
    """The others are refused."""
    logins = []

    def evil(connection, verb, argument, _):
        if verb in (b"LOGIN", b"AUTHENTICATE"):
            logins.append(verb)
            if len(logins) > 1:
                return "NO [LIMIT] too many connections"
        return None

    with ScriptedServer({b"INBOX": folder(200)}, evil=evil) as server, mounted(server) as mount:
        read_all(mount, mount.messages())
        equal(sorted({u for c in asked(server) for u in c}), list(range(1, 201)))


@case
def wrong_sizes_do_not_harm():
    for size in (10, 5000):
        with ScriptedServer({b"INBOX": folder(20, size=size)}) as server, \
                mounted(server) as mount:
            for _ in range(2):
                read_all(mount, mount.messages())


@case
def of_wrong_sizes_nothing_is_asked_for_twice():
    """Exchange announces what it estimates."""
    messages = {u: Message(data_of(u), size=len(data_of(u)) + u % 3) for u in range(1, COUNT + 1)}
    with ScriptedServer({b"INBOX": Folder(messages)}) as server, mounted(server) as mount:
        read_all(mount, mount.messages())
        extra = sum(map(len, asked(server))) - COUNT
        # Of the first it is found out that sizes are wrong.
        equal((len(asked(server)) <= 20, extra <= 2), (True, True), (len(asked(server)), extra))
        for name in mount.messages():
            equal((mount / "INBOX" / name).stat().st_size, len(data_of(int(name.split(".")[0]))))


@case
def the_kernel_is_given_what_was_read_before():
    """After a remount, few READ requests bring many messages; and looking at them needs no LOOKUP
    at all."""
    with Dovecot() as server:
        server.deliver([(data_of(u), 1600000000 + u) for u in range(1, COUNT + 1)])
        home = Home()
        with Mount(server, ["poll=3600"], home=home) as mount:
            read_all(mount, mount.messages())
        with Mount(server, ["poll=3600"], home=home, arguments=["-d"]) as mount:
            equal(len(out("find", mount / "INBOX", "-size", "+0", "-name", "*.eml").split()),
                  COUNT)
            out("ls", "-l", mount / "INBOX")
            # INBOX, once.
            equal(requests(mount, "lookup"), 1)
            names = mount.messages()
            read_all(mount, names)
            first = requests(mount, "read")
            read_all(mount, names)
            print(f"# {first} reads of {COUNT} messages")
            equal(requests(mount, "read"), first)
            equal(first < COUNT * 3 // 4, True, first)
        home.remove()


main()
