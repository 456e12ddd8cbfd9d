"""The daemon is killed at each step of sending, and mounted again: the server has each message
once, or it stands in failed/ as unknown. The server holds its answer, so the moment is exact."""

import itertools
import os
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

from harness import SANITIZED, Dovecot, case, equal, main, ok, run, wait_until  # noqa: E402
from sending import Desk, message_id, note  # noqa: E402
from smtp_script import Hold, SmtpServer  # noqa: E402
from wire import Wire  # noqa: E402

SECONDS = 8
SEED = random.SystemRandom().randrange(1 << 32)
LONG = b"0123456789abcdef0123456789abcdef0123456789abcdef\r\n" * 300000
SENT, UNKNOWN = "sent", "unknown"
_users = itertools.count(1)


class Site:
    """A user with a Sent folder, mounted behind a Wire, who hands in to a scripted server."""

    def __init__(self, server, options=(), middle=0):
        self.server = server
        self.user = f"sender{next(_users)}"
        client = server.imap(self.user)
        ok(client.create("Sent"))
        client.logout()
        self.wire = Wire(server.port)
        self.smtp = SmtpServer(middle=middle)
        self.desk = Desk(self.wire.url(self.user), self.smtp,
                         ["save_sent=yes", *(options or ["send_delay=0"])], user=self.user)

    def __enter__(self):
        self.wire.__enter__()
        self.smtp.__enter__()
        self.desk.__enter__()
        return self

    def __exit__(self, *problem):
        self.desk.__exit__(*problem)
        self.smtp.__exit__()
        self.wire.__exit__()

    def copies(self):
        """The Message-IDs in the Sent folder."""
        client = self.server.imap(self.user, "Sent")
        answer = ok(client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER])"))
        client.logout()
        return [message_id(part[1]) for part in answer if isinstance(part, tuple)]

    def killed(self, *holds):
        """Killed now; what is held goes on without it."""
        self.desk.mount.kill()
        for hold in holds:
            hold.go.set()
        self.smtp.clear()
        # What was written before the end is still read.
        for session in list(self.smtp.sessions):
            assert session.ended.wait(20), "the connection of the dead"
        self.desk.kill_and_mount()

    def comes_to(self, outcome, name, data):
        self.desk.hurry()
        self.desk.settles()
        here = [a for a in self.smtp.accepted() if message_id(a.data) == f"<{name}@example.org>"]
        if outcome is SENT:
            equal(self.desk.failed(), [])
            equal([a.data == data for a in here], [True], f"{name} at the server")
            wait_until(self.copies, 20, "the copy")
            equal(self.copies(), [f"<{name}@example.org>"])
            return
        equal(self.desk.failed(), [f"{name}.eml", f"{name}.eml.err"])
        assert "unknown" in self.desk.reason(f"{name}.eml"), self.desk.reason(f"{name}.eml")
        equal(len(here) <= 1, True, f"{name}: {here}")
        equal(self.copies(), [])


# --- each step ---


@case
def killed_when_it_was_just_closed(server):
    for option in ("send_delay=0", "send_delay=3600"):
        for _ in range(1 if SANITIZED else 3):
            with Site(server, [option]) as site:
                held = site.smtp.on("GREETING", Hold())
                site.desk.write("a.eml", note("a"))
                site.killed(held)
                if option != "send_delay=0":
                    equal(site.desk.waiting(), ["a.eml"])
                site.comes_to(SENT, "a", note("a"))


@case
def killed_while_it_was_written(server):
    """What was not closed is no message."""
    with Site(server) as site:
        new = open(site.desk / "a.eml", "wb")
        new.write(note("a"))
        new.flush()
        site.killed()
        try:
            new.close()
        except OSError:
            pass
        assert site.desk.waiting() in (["a.eml"], []), site.desk.waiting()
        site.desk.hurry()
        site.desk.write("b.eml", note("b"))
        wait_until(lambda: site.smtp.accepted(), 20, "the other one")
        equal([message_id(a.data) for a in site.smtp.accepted()], ["<b@example.org>"])
        equal(site.desk.failed(), [])


@case
def killed_during_its_delay(server):
    with Site(server, ["send_delay=3600"]) as site:
        site.desk.write("a.eml", note("a"))
        wait_until(lambda: site.desk.state("a.eml") == "waiting", 20, "handed over")
        site.killed()
        equal(site.desk.state("a.eml"), "waiting")
        site.comes_to(SENT, "a", note("a"))


STEPS = [("GREETING", SENT), ("EHLO", SENT), ("MAIL", SENT), ("RCPT", SENT), ("DATA", UNKNOWN),
         ("TEXT", UNKNOWN)]


@case
def killed_while_the_server_considers(server):
    for step, outcome in STEPS[::2] if SANITIZED else STEPS:
        with Site(server) as site:
            held = site.smtp.on(step, Hold())
            site.desk.write("a.eml", note("a"))
            held.wait()
            site.killed(held)
            site.comes_to(outcome, "a", note("a"))


@case
def killed_in_the_middle_of_the_text(server):
    data = note("long", body=LONG)
    with Site(server, middle=200000) as site:
        held = site.smtp.on("MIDDLE", Hold())
        site.desk.write("long.eml", data)
        held.wait()
        site.killed(held)
        equal(site.smtp.letters, [])
        site.comes_to(UNKNOWN, "long", data)
        # Who looks into it and sends it again has it sent.
        os.rename(site.desk / "failed/long.eml", site.desk / "long.eml")
        site.comes_to(SENT, "long", data)


@case
def killed_when_the_answer_came(server):
    """Whether it was heard decides."""
    for _ in range(1 if SANITIZED else 4):
        with Site(server) as site:
            held = site.smtp.on("TEXT", Hold())
            site.desk.write("a.eml", note("a"))
            held.wait()
            held.go.set()
            site.killed()
            equal(len(site.smtp.letters), 1)
            site.comes_to(UNKNOWN if site.desk.failed() else SENT, "a", note("a"))


@case
def killed_while_the_copy_is_made(server):
    for mode in ("before", "half", "after"):
        with Site(server) as site:
            site.wire.stop_at(1, mode, "^APPEND")
            site.desk.write("a.eml", note("a"))
            assert site.wire.stopped.wait(20), "APPEND"
            site.desk.mount.kill()
            site.wire.release()
            site.killed()
            site.comes_to(SENT, "a", note("a"))
            # When all that was promised is done, there is still one.
            run("sync", site.desk.mount.path)
            equal(len(site.copies()), 1)


# --- several recipients ---


@case
def killed_between_the_tries_for_some(server):
    data = note("some", to="bob@example.org, slow@example.org, no@example.org")
    with Site(server) as site:
        site.smtp.on("RCPT", None, "450 4.7.1 grey", "550 5.1.1 no")
        site.desk.write("some.eml", data)
        wait_until(lambda: site.desk.state("some.eml") == "deferred", 20, "the first try")
        site.killed()
        equal(site.desk.row("some.eml")[:2], ["deferred", "1"])
        held = site.smtp.on("RCPT", Hold())
        site.desk.hurry()
        held.wait()
        site.killed(held)
        site.desk.hurry()
        site.desk.settles()
        equal([a.recipients for a in site.smtp.letters], [["bob@example.org"],
                                                          ["slow@example.org"]])
        equal(site.desk.failed(), ["some.eml", "some.eml.err"])
        assert "550 5.1.1 no" in site.desk.reason("some.eml")
        wait_until(site.copies, 20, "the copy")
        equal(site.copies(), ["<some@example.org>"])


@case
def killed_between_the_transactions_of_one(server):
    people = [f"p{n}@example.org" for n in range(150)]
    data = b"Subject: no id\r\nTo: " + ",\r\n ".join(people).encode() + b"\r\n\r\nbody\r\n"
    for step, outcome in (("MAIL", SENT), ("TEXT", UNKNOWN)):
        with Site(server) as site:
            held = Hold()
            site.smtp.on(step, None, held)
            site.desk.write("many.eml", data)
            held.wait()
            equal([len(a.recipients) for a in site.smtp.letters[:1]], [100])
            site.killed(held)
            site.desk.hurry()
            site.desk.settles()
            equal([len(a.recipients) for a in site.smtp.letters], [100, 50])
            equal(sum([a.recipients for a in site.smtp.letters], []), people)
            equal(len({a.data for a in site.smtp.letters}), 1)
            equal(site.desk.failed() == [], outcome is SENT)
            if outcome is UNKNOWN:
                assert "unknown" in site.desk.reason("many.eml")
                os.rename(site.desk / "failed/many.eml", site.desk / "many.eml")
                site.desk.settles()
                equal(site.smtp.letters[2].recipients, people[100:])


# --- at random ---


def all_are_out(desk):
    """One that was answered just before the hurry may have to be hurried again."""
    states = [desk.state(name) for name in desk.waiting()]
    if states and set(states) == {"deferred"}:
        desk.hurry()
    return not states


@case
def killed_at_random(server):
    print(f"# seed {SEED}")
    chance = random.Random(SEED)
    deadline = time.monotonic() + SECONDS
    written, kills = [], 0
    with Site(server) as site:
        site.smtp.always("RCPT", lambda *_: chance.choice([None, None, None, "450 4.7.1 grey"]))
        while time.monotonic() < deadline:
            for _ in range(chance.randrange(1, 6)):
                name = f"n{len(written)}"
                text = b"text\r\n" * chance.randrange(2000)
                site.desk.write(f"{name}.eml", note(name, body=text))
                written.append(name)
            if chance.random() < 0.5:
                site.desk.hurry()
            time.sleep(chance.expovariate(20))
            site.desk.mount.kill()
            kills += 1
            site.desk.kill_and_mount()
        site.smtp.clear()
        wait_until(lambda: all_are_out(site.desk), 60, "an empty outbox")
        held = [message_id(a.data) for a in site.smtp.accepted()]
        failed = {n.removesuffix(".eml") for n in site.desk.failed() if n.endswith(".eml")}
        for name in failed:
            assert "unknown" in site.desk.reason(f"{name}.eml"), site.desk.reason(f"{name}.eml")
        print(f"# {kills} kills, {len(written)} messages, {len(failed)} unknown")
        for name in written:
            count = held.count(f"<{name}@example.org>")
            equal(count == 1 or count == 0 and name in failed, True, f"{name}: {count}")
        # Of each that was sent for sure there is one copy.
        wanted = sorted(f"<{n}@example.org>" for n in written if n not in failed)
        wait_until(lambda: len(site.copies()) >= len(wanted), 60, "the copies")
        equal(sorted(site.copies()), wanted)


main(Dovecot)
