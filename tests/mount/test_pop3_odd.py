"""Maildrops as servers have them that are odd, broken, or lost at the wrong moment: nothing is
shown twice or wrongly, and nothing is deleted but what was removed."""

import os
import re
import shutil

from harness import SANITIZED, case, equal, main, run, side_by_side, wait_until
from maildrop import Mail, Maildrop, note, notes, uid_at
from pop3_script import (AFTER, BEFORE, Cut, Drip, Endless, Pop3Server, delivered, lines_of, lost,
                         refused)

NAMES = ("a", "b", "c")


def odd(mails=None, options=(), **server):
    """A case that gets a Maildrop and its server, which has `mails()`; see Pop3Server."""
    def wrap(function):
        def run_one():
            held = notes(*NAMES) if mails is None else mails()
            with Pop3Server(held, **server) as pop, Maildrop(pop, options) as drop:
                function(drop, pop)
        run_one.__name__ = function.__name__
        case(run_one)
        return function
    return wrap


def reads(drop, wanted):
    """{label: bytes} is what is listed, each once, and read."""
    equal(sorted(drop.labels()), sorted(wanted))
    for label, data in wanted.items():
        equal(drop.read(label) == data, True, f"{label}: {drop.read(label)[:300]}")


def texts(*names):
    return {name: note(name) for name in names}


def removes(drop, pop, *labels):
    """Exactly these go."""
    doomed = [drop.read(label) for label in labels]
    left = [m.data for m in pop.drop if delivered(m.data) not in doomed]
    drop.rm(*labels)
    equal(drop.sync(), 0, "exit code of sync")
    equal([m.data for m in pop.drop], left)


def is_refused(drop, pop, label):
    """It cannot be removed, and nothing else is."""
    before = list(pop.drop)
    done = run("rm", drop / drop.name(label), check=False)
    if done.returncode == 0:
        equal(drop.sync(check=False), 1, "exit code of sync")
    equal(pop.drop, before)
    wait_until(lambda: label in drop.labels(), 10, f"{label} is back")
    equal(drop.names(".deleted"), [])


def looks_again(drop, pop, sessions=2):
    """Sessions that began later have told what is there."""
    seen = len(pop.sessions)
    wait_until(lambda: (drop.names(), len(pop.sessions) > seen + sessions)[1], 30,
               "another session")


def eventually(drop, label, data, seconds=60):
    """However often the connection is lost before."""
    path = drop / drop.name(label)
    wait_until(lambda: run("cat", path, check=False).stdout == data, seconds, f"{label} is read")


def gone_in_the_end(drop, pop, *labels):
    """What was removed is, whatever was lost; and nothing else."""
    left = [m for m in pop.drop if m.uidl not in labels]
    drop.rm(*labels)
    drop.sync(check=False)
    wait_until(lambda: drop.sync(check=False) == 0, 60, f"{labels} are gone")
    equal(pop.drop, left)
    equal(sorted(drop.labels()), sorted(m.uidl for m in left))
    equal(drop.names(".deleted"), [])


def is_certain_from_the_next_session_on(drop):
    """What has another UIDL could be another message, alike in everything."""
    drop.remount()


# --- UIDLs that are none ---


@odd(lambda: [Mail(note("a"), "same"), Mail(note("b"), "same"), Mail(note("c"), "c"),
              Mail(note("d"), "same")])
def the_same_uidl_for_several(drop, pop):
    wanted = texts("a", "b", "c", "d")
    names = drop.names()
    reads(drop, wanted)
    # In another order they are still told apart.
    pop.drop = [pop.drop[n] for n in (3, 2, 0, 1)]
    drop.remount()
    equal(drop.names(), names)
    reads(drop, wanted)
    removes(drop, pop, "b")
    removes(drop, pop, "a", "c")
    reads(drop, texts("d"))


@odd(lambda: [Mail(note("a"), "same"), Mail(note("a"), "same"), Mail(note("b"), "b")])
def copies_that_are_the_same(drop, pop):
    equal(drop.labels(), ["a", "a", "b"])
    first, second = (drop / name for name in drop.names()[:2])
    equal((first.read_bytes(), second.read_bytes()), (note("a"), note("a")))
    os.unlink(first)
    drop.sync(check=False)
    equal([m.data for m in pop.drop].count(note("a")) in (1, 2), True, pop.drop)
    equal(pop.uidls()[-1], "b")
    drop.remount()
    equal(len(drop.names()), len(pop.drop))


@odd(lambda: [Mail(note("twin", "Hello.\r\n"), "same"), Mail(note("twin", "Jello.\r\n"), "same"),
              Mail(note("twin", "Hullo.\r\n"), "", 140), Mail(note("twin", "Hollo.\r\n"), "", 140)])
def what_cannot_be_told_apart_is_not_removed(drop, pop):
    equal(drop.labels(), ["twin"] * 4)
    before = list(pop.drop)
    for name in drop.names():
        run("rm", drop / name, check=False)
        drop.sync(check=False)
        equal(pop.drop, before)
        pop.drop = before = before[::-1]
        drop.remount()
        equal(drop.labels(), ["twin"] * 4)


@odd(lambda: [Mail(note("a"), ""), Mail(note("b"), None), Mail(note("c"), "\x01"),
              Mail(note("d"), "x" * 3000)])
def no_uidl_that_names_anything(drop, pop):
    names = drop.names()
    reads(drop, texts("a", "b", "c", "d"))
    pop.drop.reverse()
    drop.remount()
    equal(drop.names(), names)
    reads(drop, texts("a", "b", "c", "d"))
    removes(drop, pop, "a")
    removes(drop, pop, "d", "b")


@odd(uidl=False)
def uidl_is_not_known(drop, pop):
    names = drop.names()
    reads(drop, texts(*NAMES))
    pop.drop = [pop.drop[n] for n in (1, 2, 0)]
    drop.remount()
    equal(drop.names(), names)
    reads(drop, texts(*NAMES))
    removes(drop, pop, "b")
    reads(drop, texts("a", "c"))


@odd(lambda: [Mail(note(f"n{n}"), uidl) for n, uidl in enumerate(
    ("x" * 70, "x" * 71, "x" * 1000, "../../../etc/passwd", "a b", "/", ".", "*", "%00", "é",
     "'; DROP TABLE uidls; --"))])
def strange_uidls(drop, pop):
    names = drop.names()
    reads(drop, texts(*(f"n{n}" for n in range(11))))
    pop.drop.reverse()
    drop.remount()
    equal(drop.names(), names)
    reads(drop, texts(*(f"n{n}" for n in range(11))))
    removes(drop, pop, "n0", "n3", "n4", "n10")


@odd()
def uidls_that_change(drop, pop):
    reads(drop, texts(*NAMES))
    for generation in range(2):
        pop.drop = [Mail(m.data, f"{generation}-{n}") for n, m in enumerate(pop.drop[::-1])]
        drop.remount()
        reads(drop, texts(*NAMES))
    is_certain_from_the_next_session_on(drop)
    removes(drop, pop, "b")


@odd(lambda: [Mail(note("a"), "a"), Mail(note("b", "Quite another one.\r\n"), "b")])
def uidls_that_change_places(drop, pop):
    """What had the one has the other: size and header decide."""
    wanted = {m.uidl: m.data for m in pop.drop}
    reads(drop, wanted)
    a, b = pop.drop
    pop.drop = [Mail(a.data, "b"), Mail(b.data, "a")]
    drop.remount()
    reads(drop, wanted)
    is_certain_from_the_next_session_on(drop)
    removes(drop, pop, "a")
    reads(drop, {"b": wanted["b"]})


@odd(lambda: [Mail(note("a"), "a"), Mail(note("b"), "b")])
def uidls_that_change_places_of_one_size(drop, pop):
    """The header decides before DELE."""
    equal(sorted(drop.labels()), ["a", "b"])
    drop.calms_down()
    a, b = pop.drop
    pop.drop = held = [Mail(a.data, "b"), Mail(b.data, "a")]
    drop.rm("a")
    equal(drop.sync(check=False), 1, "exit code of sync")
    equal(pop.drop, held)
    equal(pop.seen("DELE"), [])


@odd(options=["poll=1"])
def a_uidl_that_comes_back(drop, pop):
    """For another message, while the first is cached."""
    reads(drop, texts(*NAMES))
    number = uid_at(drop / drop.name("a"))
    pop.drop[0] = Mail(note("other", "Quite another one.\r\n"), "a")
    drop.shows("other", "b", "c")
    equal(drop.read("other"), note("other", "Quite another one.\r\n"))
    equal(uid_at(drop / drop.name("other")) == number, False, "another number")


@odd(options=["poll=1"])
def a_server_that_writes_into_its_mails(drop, pop):
    """As mailutils does with mbox: they are the same, and larger."""
    reads(drop, texts(*NAMES))
    names = drop.names()
    for extra in ("X-UIDL: 1\r\n", "Status: RO\r\nX-UIDL: 1\r\nX-IMAPbase: 1 1\r\n"):
        pop.drop = [Mail(note(m.uidl, extra=extra), m.uidl) for m in pop.drop]
        looks_again(drop, pop)
        equal(drop.names(), names)
        for label in NAMES:
            fd = os.open(drop / drop.name(label), os.O_RDONLY)
            data = os.read(fd, 10000)
            equal(os.fstat(fd).st_size, len(data))
            os.close(fd)
            equal(data in (note(label), note(label, extra=extra)), True, data)
    drop.rm("b")
    equal(drop.sync(), 0)
    equal(pop.uidls(), ["a", "c"])


# --- numbers ---


@odd()
def numbers_are_those_of_one_session(drop, pop):
    equal(drop.labels(), list(NAMES))
    drop.calms_down()
    # Not seen by us before we ask for "a".
    a, b, c = pop.drop
    pop.drop = [Mail(note("new1"), "new1"), c, Mail(note("new2"), "new2"), b, a]
    eventually(drop, "a", note("a"))
    drop.rm("b")
    equal(drop.sync(), 0)
    equal(pop.uidls(), ["new1", "c", "new2", "a"])
    drop.calms_down()
    pop.drop.reverse()
    drop.rm("c")
    equal(drop.sync(), 0)
    equal(pop.uidls(), ["a", "new2", "new1"])
    drop.remount()
    reads(drop, texts("a", "new1", "new2"))


def listed_as(step, data, looks):
    """Told so once, nothing is taken for gone, nor for another. Each time it `looks_again`."""
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop, ["poll=1"]) as drop:
        names = drop.names()
        pop.on(step, data)
        for sessions in looks:
            looks_again(drop, pop, sessions)
            equal(drop.names(), names, data)
        reads(drop, texts(*NAMES))
        removes(drop, pop, "b")
        # What is listed may be asked for.
        pop.faults = [fault for fault in pop.faults if "no message" not in fault]


@case
def listings_that_are_nonsense():
    side_by_side(lambda told: listed_as(*told, [2]), (
        ("UIDL", b"+OK\r\n0 zero\r\n-1 minus\r\n1 a\r\n4294967297 a\r\nx y\r\n\r\n2 b\r\n"
                 b"99999999999999999999 b\r\n3 c\r\n17 far\r\n.\r\n"),
        ("LIST", b"+OK\r\n0 1\r\n1 -5\r\n2 x\r\n3\r\n17 4\r\nnonsense\r\n.\r\n"),
        ("UIDL", b"+OK\r\n3 c\r\n2 b\r\n1 a\r\n1 a\r\n.\r\n"),
        ("LIST", b"+OK\r\n.\r\n"), ("LIST", b"+OK\r\n3 1\r\n3 2\r\n1 3\r\n2 4\r\n.\r\n"),
        ("STAT", b"+OK\r\n"), ("STAT", b"+OK -3 -5\r\n"), ("STAT", b"+OK 3 x extra words\r\n"),
        ("LIST", b"-ERR no\r\n"), ("UIDL", b"-ERR no\r\n")))


@case
def listings_that_lack_something_remove_nothing():
    side_by_side(lambda told: listed_as(*told, [0] * 3), (
        ("UIDL", b"+OK\r\n1 a\r\n.\r\n"), ("UIDL", b"+OK\r\n.\r\n"),
        ("UIDL", Cut(b"+OK\r\n1 a\r\n")), ("LIST", Cut(b"+OK\r\n1 146\r\n")),
        ("UIDL", Cut(b"+OK\r\n1 a\r\n2 b\r\n.")), ("STAT", Cut(b"+OK 0 0"))))


# --- sizes ---


@odd(lambda: [Mail(note(f"n{n}", "line\r\n" * 50 + ending), str(n), size)
              for n, (size, ending) in enumerate((size, ending)
              for size in (None, 0, 1, 299, 100000, 5 * 10**18, -1, "x", "")
              for ending in ("", "no line end"))])
def sizes_that_are_wrong(drop, pop):
    for label, mail in zip(drop.labels(), pop.drop):
        wanted = delivered(mail.data)
        fd = os.open(drop / drop.name(label), os.O_RDONLY)
        equal((os.fstat(fd).st_size, os.read(fd, 100000)), (len(wanted), wanted), mail)
        os.close(fd)
        equal(os.stat(drop / drop.name(label)).st_size, len(wanted), mail)
    total = sum(len(delivered(m.data)) for m in pop.drop)
    got = run("sh", "-c", "cat *.eml | wc -c", cwd=drop / "")
    equal(int(got.stdout), total)
    removes(drop, pop, "n3")


# --- messages ---


def too_large(session, _):
    session.say(b"+OK\r\n")
    for _ in range(257):
        session.say(b"x" * 2**20)
    return b"\r\n.\r\n"


@odd()
def one_that_is_too_large(drop, pop):
    """It is read over, and the session goes on."""
    drop.names()
    pop.on("RETR", too_large)
    done = run("cat", drop / drop.name("b"), check=False, timeout=120)
    assert b"File too large" in done.stderr, done.stderr
    equal([drop.read(n) for n in "ac"], [note(n) for n in "ac"])
    equal(drop.labels(), list(NAMES))
    equal(len(pop.sessions), 1)


@odd(options=["poll=1"])
def one_that_disappears(drop, pop):
    pop.on("RETR", "-ERR no such message")
    done = run("cat", drop / drop.name("b"), check=False)
    assert re.search(b"No such file|Input/output|Stale", done.stderr), done.stderr
    reads(drop, {**texts("a", "c"), **({"b": note("b")} if "b" in drop.labels() else {})})
    del pop.drop[1]
    drop.shows("a", "c")
    reads(drop, texts("a", "c"))


@odd()
def one_that_disappears_before_it_is_removed(drop, pop):
    drop.calms_down()
    drop.rm("b", "c")
    del pop.drop[1]
    equal(drop.sync(), 0)
    equal(pop.uidls(), ["a"])


@odd(top=False)
def top_is_not_known(drop, pop):
    equal(drop.labels(), list(NAMES))
    equal([int(os.stat(drop / n).st_mtime) for n in drop.names()], [1583143200] * 3)
    reads(drop, texts(*NAMES))
    removes(drop, pop, "b")


@odd(lambda: notes("a", "b", "c", "d"), before=("USER",), after=("UIDL",), top=False)
def top_is_not_offered(drop, pop):
    reads(drop, texts("a", "b", "c", "d"))
    removes(drop, pop, "d")


@case
def tops_that_are_nonsense():
    for step in (b"+OK\r\n.\r\n", b"+OK\r\n\r\n.\r\n", b"+OK\r\n\0\0\xff\r\n.\r\n",
                 b"+OK\r\n" + b"x" * 300000 + b"\r\n.\r\n",
                 b"+OK\r\nSubject: /../\x1b[31m\r\n\r\n.\r\n",
                 b"+OK\r\n" + lines_of(note("a", "the whole message\r\n" * 1000)),
                 "-ERR [SYS/TEMP] later"):
        with Pop3Server(notes(*NAMES)) as pop:
            pop.always("TOP", step)
            with Maildrop(pop) as drop:
                equal(len(drop.names()), 3)
                for name in drop.names():
                    equal(re.search(r"[\x00-\x1f/\x7f]", name), None)
                    data = run("cat", drop / name).stdout
                    equal(data in texts(*NAMES).values(), True, f"{step[:60]}: {data}")
                equal(pop.uidls(), list(NAMES))


@odd(lambda: [Mail(note("long", "x" * 10_000_000 + "\r\n"), "long"),
              Mail(note("dots", ("." * 5_000_000 + "\r\n") * 2), "dots"),
              Mail(note("head", extra="X-Long: " + "y" * 10_000_000 + "\r\n"), "head")])
def lines_of_any_length(drop, pop):
    reads(drop, {m.uidl: m.data for m in pop.drop})
    if not SANITIZED:
        assert drop.mount.memory_kib() < 100 * 1024, drop.mount.memory_kib()
    removes(drop, pop, "long")


@odd(lambda: [Mail(note("dots", ".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n"), "dots"),
              Mail(note("bare", "a\n.\nb\n.\r\nc\r.\rd\r\n"), "bare"),
              Mail(note("end", "x\r\n."), "end"), Mail(b"", "none"),
              Mail(note("nul", "a\0b\r\n\0.\r\n"), "nul")])
def dots_and_line_ends(drop, pop):
    # Also of those that are read ahead.
    pop.always("RETR", lambda _, number: Drip(
        b"+OK\r\n" + lines_of(pop.drop[int(number) - 1].data), 0.001))
    for name, mail in zip(drop.names(), pop.drop):
        equal(run("cat", drop / name).stdout, delivered(mail.data), name)


@odd(lambda: notes(*NAMES, "d", "e"), after=("UIDL", "TOP"))
def no_pipelining(drop, pop):
    reads(drop, texts(*NAMES, "d", "e"))
    removes(drop, pop, "b", "c")


# --- lost ---


STEPS = ("GREETING", "CAPA", "UTF8", "AUTH", "CAPA2", "STAT", "UIDL", "LIST", "TOP", "RETR")


def lost_at(step):
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        # So that there is something to ask TOP for.
        pop.drop.append(Mail(note("new"), "new"))
        pop.on(step, Cut())
        eventually(drop, "b", note("b"))
        equal(pop.uidls(), [*NAMES, "new"])
        removes(drop, pop, "a")


@case
def lost_at_each_command():
    side_by_side(lost_at, STEPS)


def lost_and_removed_in_the_end(ways):
    doomed = [(f"x{n}", f"y{n}") for n in range(len(ways))]
    with Pop3Server(notes("kept", *sum(doomed, ()))) as pop, Maildrop(pop) as drop:
        for (step, reset), labels in zip(ways, doomed):
            drop.calms_down()
            pop.on(step, Cut(reset=reset))
            gone_in_the_end(drop, pop, *labels)
            pop.clear()
        equal(pop.uidls(), ["kept"])


@case
def lost_at_each_command_with_something_to_remove():
    ways = [(step, reset) for step in (*STEPS[:-2], "DELE", "QUIT") for reset in (False, True)]
    side_by_side(lost_and_removed_in_the_end, [ways[n::5] for n in range(5)])


@odd(lambda: [Mail(note("big", "0123456789abcdef\r\n" * 50000), "big")])
def lost_in_the_middle_of_a_message(drop, pop):
    mail = pop.drop[0]
    wire = b"+OK\r\n" + lines_of(mail.data)
    for end in (len(wire) - 1, len(wire) - 3, len(wire) - 5, len(wire) // 2, 6):
        pop.on("RETR", Cut(wire[:end]))
    path = drop / drop.name("big")

    def whole():
        got = run("cat", path, check=False)
        equal(got.stdout in (b"", mail.data), True, f"{len(got.stdout)} bytes")
        return got.stdout
    wait_until(whole, 120, "it is read")


def refused_but_for(places):
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        pop.on("QUIT", refused(places))
        gone_in_the_end(drop, pop, "a", "c")


@case
def quit_is_refused():
    side_by_side(refused_but_for, ((), (1,), (1, 3)))


def twice_lost(commit):
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        pop.on("QUIT", lost(commit), lost(commit))
        gone_in_the_end(drop, pop, "a", "c")
        # However often: never one by one.
        equal({tuple(c for c in s.commands if "DELE" in c) for s in pop.sessions},
              {(), ("DELE 1", "DELE 3")})


@case
def the_answer_to_quit_is_lost():
    side_by_side(twice_lost, (True, False))


@case
def behind_a_lost_quit_a_uidl_comes_back():
    """What was removed is gone; the new one that has its UIDL is another."""
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()

        def reused(session, argument):
            cut = lost()(session, argument)
            pop.drop.append(Mail(note("other", "Quite another one.\r\n"), "b"))
            return cut

        pop.on("QUIT", reused)
        drop.rm("b")
        drop.sync(check=False)
        drop.sync(check=False)
        drop.calms_down()
        equal(pop.uidls(), ["a", "c", "b"])
        drop.remount()
        reads(drop, texts("a", "c") | {"other": note("other", "Quite another one.\r\n")})


@odd()
def dele_is_refused(drop, pop):
    """Of one; the others go."""
    drop.calms_down()
    pop.always("DELE", lambda _, argument: "-ERR not this" if argument == b"2" else None)
    drop.rm("a", "b")
    equal(drop.sync(check=False), 1)
    equal(pop.uidls(), ["b", "c"])
    wait_until(lambda: sorted(drop.labels()) == ["b", "c"], 20, "it is back")
    assert "not this" in drop.log(), drop.log()
    pop.clear()
    removes(drop, pop, "b")


@odd()
def quit_that_never_works_is_told(drop, pop):
    drop.calms_down()
    pop.always("QUIT", refused())
    drop.rm("a")
    equal(drop.sync(check=False, timeout=60), 1)
    equal(pop.uidls(), list(NAMES))
    pop.clear()
    drop.sync(check=False)
    wait_until(lambda: pop.uidls() == ["b", "c"], 60, "it is gone in the end")


# --- endless ---


@odd(options=["poll=1", "timeout=10"])
def endless_answers_are_cut_off(drop, pop):
    for step, data in (("GREETING", b"x"), ("CAPA", b"X\r\n"), ("UIDL", b"x"), ("LIST", b"1 1\r\n"),
                       ("UIDL", b"1 a\r\n"), ("TOP", b"X: y\r\n"), ("STAT", b"+OK ")):
        pop.drop.append(Mail(note("new"), "new"))
        seen = len(pop.sessions)
        pop.on(step, Endless(data))
        wait_until(lambda: (drop.names(), len(pop.sessions) > seen + 1)[1], 60, step)
        del pop.drop[3:]
        pop.clear()
        drop.shows(*NAMES, seconds=60)
    if not SANITIZED:
        assert drop.mount.memory_kib() < 100 * 1024, drop.mount.memory_kib()
    # Those are messages of 64 MiB, and no fault of a client that reads them.
    pop.faults = [f for f in pop.faults if "listens for ever" not in f or "RETR" in f
                  or "TOP" in f]


@case
def an_older_copy_of_the_cache():
    """It gives numbers again that were given since, to other messages."""
    with Pop3Server(notes("a")) as pop, Maildrop(pop) as drop:
        drop.shows("a")
        drop.calms_down()
        drop.mount.kill()
        shutil.copytree(drop.home.cache, drop.home.dir / "copy")
        pop.drop += notes("removed")
        drop.kill_and_mount()
        drop.shows("a", "removed")
        drop.calms_down()
        drop.rm("removed")
        drop.mount.kill()
        shutil.rmtree(drop.home.cache)
        (drop.home.dir / "copy").rename(drop.home.cache)
        pop.drop.insert(0, *notes("new"))
        drop.kill_and_mount()
        drop.shows("a", "new", "removed")
        equal(drop.sync(check=False), 1)
        equal(sorted(pop.uidls()), ["a", "new", "removed"])
        wait_until(lambda: "began anew" in drop.mount.text(".mailfs/log"), 20, "a line that says so")


@case
def a_server_that_hangs_up_at_capa():
    with Pop3Server(notes(*NAMES)) as pop:
        pop.always("CAPA", Cut())
        with Maildrop(pop) as drop:
            reads(drop, texts(*NAMES))
            removes(drop, pop, "b")


@case
def a_server_that_lets_two_in():
    """And one that forgot to take STLS from what it can."""
    with Pop3Server(notes(*NAMES), before=[*BEFORE, "STLS"], after=[*AFTER, "STLS"]) as pop:
        with Maildrop(pop) as drop:
            removes(drop, pop, "a")
        equal(pop.seen("STLS"), [])


main()
