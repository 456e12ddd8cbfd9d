"""The daemon is killed between rm, DELE, QUIT and its answer, and mounted again: in the end exactly
what was removed is gone. The server holds its answer, so the moment is exact."""

import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

from harness import SANITIZED, case, equal, main, run, side_by_side, wait_until  # noqa: E402
from maildrop import Mail, Maildrop, note, notes  # noqa: E402
from pop3_script import Cut, Hold, Pop3Server, lost  # noqa: E402

SECONDS = 10
SEED = random.SystemRandom().randrange(1 << 32)
NAMES = ("a", "b", "c", "d", "e")
REMOVED = ("b", "d")
LEFT = ["a", "c", "e"]


def killed(drop, pop, *holds):
    """Killed now; what is held goes on without it."""
    drop.mount.kill()
    for hold in holds:
        hold.go.set()
    pop.clear()
    for session in list(pop.sessions):
        assert session.ended.wait(20), "the connection of the dead"
    drop.kill_and_mount()


def comes_to(drop, pop, left, removed=REMOVED):
    wait_until(lambda: drop.sync(check=False) == 0, 60, "all is done")
    equal(pop.uidls(), left)
    equal(sorted(m.uidl for m in pop.deleted), sorted(removed), "deleted")
    drop.shows(*left)
    equal(drop.names(".deleted"), [])
    equal([drop.read(name) for name in left], [note(name) for name in left])


@case
def killed_when_it_was_just_removed():
    def one(_):
        with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
            drop.calms_down()
            drop.rm(*REMOVED)
            killed(drop, pop)
            equal(sorted(drop.labels()), LEFT)
            # Until a session has taken them away.
            equal(set(drop.labels(".deleted")) <= set(REMOVED), True)
            comes_to(drop, pop, LEFT)

    side_by_side(one, range(1 if SANITIZED else 3))


@case
def killed_while_the_server_considers():
    """Behind the answer to QUIT is the only point from which on something is gone."""
    def one(step):
        with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
            drop.calms_down()
            held = pop.on(step, Hold(Cut()))
            drop.rm(*REMOVED)
            syncing = start_sync(drop)
            held.wait()
            equal(pop.deleted, [])
            killed(drop, pop, held)
            syncing.wait(20)
            comes_to(drop, pop, LEFT)

    side_by_side(one, ("GREETING", "AUTH", "UIDL", "DELE", "QUIT"))


@case
def killed_between_two_deles():
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        held = Hold(Cut())
        pop.on("DELE", None, held)
        drop.rm(*REMOVED)
        syncing = start_sync(drop)
        held.wait()
        drop.mount.kill()
        held.go.set()
        wait_until(lambda: not pop.open_sessions(), 20, "the end of the session")
        equal(pop.deleted, [])
        killed(drop, pop)
        syncing.wait(20)
        comes_to(drop, pop, LEFT)


@case
def killed_when_quit_was_obeyed_or_not():
    """And the answer was never heard. Meanwhile the server has other mail, in another order."""
    def one(commit):
        with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
            drop.calms_down()
            held = pop.on("QUIT", Hold(lost(commit)))
            drop.rm(*REMOVED)
            syncing = start_sync(drop)
            held.wait()
            drop.mount.kill()
            held.go.set()
            wait_until(lambda: not pop.open_sessions(), 20, "the end of the session")
            equal(len(pop.deleted), 2 if commit else 0)
            pop.drop = [Mail(note("new"), "new"), *reversed(pop.drop)]
            killed(drop, pop)
            syncing.wait(20)
            comes_to(drop, pop, ["new", *reversed(LEFT)])

    side_by_side(one, (True, False))


@case
def killed_when_the_answer_came():
    def one(_):
        with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
            drop.calms_down()
            held = pop.on("QUIT", Hold())
            drop.rm(*REMOVED)
            syncing = start_sync(drop)
            held.wait()
            held.go.set()
            killed(drop, pop)
            syncing.wait(20)
            comes_to(drop, pop, LEFT)

    side_by_side(one, range(1 if SANITIZED else 4))


@case
def killed_with_the_uidl_given_to_another():
    """What was removed is gone; that another has its UIDL now does not matter."""
    other = note("other", "Quite another one.\r\n")
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        held = pop.on("QUIT", Hold(lost()))
        drop.rm(*REMOVED)
        syncing = start_sync(drop)
        held.wait()
        drop.mount.kill()
        held.go.set()
        wait_until(lambda: len(pop.deleted) == 2, 20, "the server obeys")
        pop.drop.append(Mail(other, "b"))
        killed(drop, pop)
        syncing.wait(20)
        run("sync", drop / "", check=False)
        drop.remount()
        equal(pop.uidls(), [*LEFT, "b"])
        equal(drop.read("other"), other)


@case
def taken_back_and_killed():
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        drop.rm(*NAMES)
        for name in LEFT:
            drop.take_back(name)
        killed(drop, pop)
        equal(sorted(drop.labels()), LEFT)
        comes_to(drop, pop, LEFT)


@case
def killed_without_its_cache():
    """What was promised names messages of a record that is lost: nothing else goes."""
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        drop.rm(*REMOVED)
        drop.mount.kill()
        run("rm", "-rf", drop.home.cache)
        pop.drop.reverse()
        killed(drop, pop)
        drop.sync(check=False)
        equal({m.uidl for m in pop.deleted} <= set(REMOVED), True, f"{pop.deleted}")
        drop.remount()
        drop.shows(*pop.uidls())


@case
def killed_at_random():
    print(f"# seed {SEED}")
    chance = random.Random(SEED)
    deadline = time.monotonic() + SECONDS
    kept = [Mail(note(f"k{n}"), f"k{n}") for n in range(20)]
    removed, kills, number = [], 0, 0
    with Pop3Server(kept) as pop, Maildrop(pop, ["poll=1"]) as drop:
        pop.always("QUIT", lambda *_: chance.choice([usual, usual, lost(), lost(False)]))
        pop.always("DELE", lambda *_: chance.choice([None] * 9 + [Cut()]))
        while time.monotonic() < deadline:
            for _ in range(chance.randrange(1, 6)):
                number += 1
                mail = Mail(note(f"n{number}"), f"n{number}")
                with pop.lock:
                    pop.drop.insert(chance.randrange(len(pop.drop) + 1), mail)
            doomed = [n for n in drop.labels() if n.startswith("n")]
            if doomed:
                chosen = chance.sample(doomed, chance.randrange(1, len(doomed) + 1))
                removed += chosen
                drop.rm(*chosen)
            time.sleep(chance.expovariate(4))
            drop.mount.kill()
            kills += 1
            drop.kill_and_mount()
        pop.clear()
        wait_until(lambda: drop.sync(check=False) == 0, 60, "all is done")
        print(f"# {kills} kills, {number} messages, {len(removed)} removed")
        equal(sorted(m.uidl for m in pop.deleted), sorted(removed))
        equal({m.uidl for m in kept} <= set(pop.uidls()), True)
        drop.shows(*pop.uidls())


def usual(session, _):
    session.commit()
    return "+OK bye"


def start_sync(drop):
    """So that a session begins now; it may fail."""
    return subprocess.Popen(["sync", drop / ""], stdin=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


main()
