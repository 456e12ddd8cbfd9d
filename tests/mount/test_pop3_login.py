"""How a maildrop is opened, byte for byte: with and without TLS, by each login, pipelined or not;
and what is made of a server that wants to be left alone."""

import base64
import contextlib
import os
import time
from collections import namedtuple

from changing import in_background
from dovecot import PASSWORD, Authority
from harness import case, equal, main, run, scratch, side_by_side, wait_until, within
from maildrop import Maildrop, note, notes, quiet_for, starts_not
from pop3_script import AFTER, BEFORE, Cut, Drip, Endless, Hold, Pop3Server

NAMES = ("a", "b", "c")
TIMESTAMP = "<1896.697170952@dbc.mtview.ca.us>"
LOGIN = "^(USER|PASS|APOP|AUTH)"
Tls = namedtuple("Tls", "ca cert")


@contextlib.contextmanager
def fixture():
    with scratch() as directory:
        authority = Authority(directory)
        yield Tls(authority.ca, authority.certify("server", "DNS:localhost,IP:127.0.0.1"))


def works(drop):
    """All that a maildrop is for."""
    equal(drop.labels(), list(NAMES))
    equal([drop.read(name) for name in NAMES], [note(name) for name in NAMES])
    drop.rm("b")
    equal(drop.sync(), 0)
    equal(drop.server.uidls(), ["a", "c"])


def commands(pop, number=0):
    return list(pop.sessions[number].commands)


# --- the bytes ---


@case
def a_whole_session(_):
    with Pop3Server(notes(*NAMES)) as pop:
        with Maildrop(pop) as drop:
            drop.calms_down()
            said = commands(pop)
            equal(said[:4], ["CAPA", "UTF8", "AUTH PLAIN ***", "CAPA"])
            equal(sorted(said[4:7]), ["LIST", "STAT", "UIDL"])
            equal(said[7:], ["TOP 1 0", "TOP 2 0", "TOP 3 0", "QUIT"])
            equal(pop.sessions[0].login, ("PLAIN", "alice", PASSWORD))
            drop.read("b")
            drop.rm("c", "a")
            drop.sync()
            said = commands(pop, 1)
            equal(said[7:], ["RETR 2", "TOP 1 0", "TOP 3 0", "DELE 1", "DELE 3", "QUIT"])
        equal(pop.uidls(), ["b"])


@case
def without_capa(_):
    with Pop3Server(notes(*NAMES), before=None, after=None) as pop, Maildrop(pop) as drop:
        drop.calms_down()
        equal(commands(pop)[:3], ["CAPA", "USER alice", "PASS ***"])
        # Nothing is known, so nothing is tried that old servers lose.
        equal(all(c.count(b"\r\n") == 1 for c in pop.sessions[0].chunks), True)
        works(drop)


@case
def what_it_can_is_asked_before_and_after(_):
    for before, after, login in (
            (("USER",), ("UIDL", "TOP"), ["USER alice", "PASS ***"]),
            (("SASL PLAIN LOGIN",), AFTER, ["AUTH PLAIN ***"]),
            (("sasl cram-md5 plain", "utf8"), AFTER, ["UTF8", "AUTH PLAIN ***"]),
            (("SASL CRAM-MD5", "USER", "EXPIRENEVER"), AFTER, ["USER alice", "PASS ***"]),
            (("USER", "PIPELINING", "UTF8"), ("UIDL",), ["UTF8", "USER alice", "PASS ***"]),
            (BEFORE, None, ["UTF8", "AUTH PLAIN ***"])):
        with Pop3Server(notes(*NAMES), before=before, after=after) as pop:
            with Maildrop(pop) as drop:
                works(drop)
            equal(commands(pop)[1:2 + len(login)], [*login, "CAPA"], before)


@case
def a_server_that_does_not_read_what_came_with_auth(_):
    with Pop3Server(notes(*NAMES), deaf=True) as pop, Maildrop(pop) as drop:
        works(drop)


@case
def utf8_may_be_refused(_):
    with Pop3Server(notes(*NAMES)) as pop:
        pop.always("UTF8", "-ERR no")
        with Maildrop(pop) as drop:
            works(drop)


@case
def pipelined_where_that_is_offered(_):
    def one(way):
        after, most = way
        with Pop3Server(notes(*NAMES), after=after) as pop, Maildrop(pop) as drop:
            drop.calms_down()
            session = pop.sessions[0]
            behind = [chunk.count(b"\r\n") for chunk in session.chunks if b"TOP" in chunk]
            equal(max(behind) >= most if most > 1 else max(behind) == 1, True, session.chunks)
            equal(all(c.count(b"\r\n") == 1 for c in session.chunks[:4]), True, session.chunks)

    side_by_side(one, ((AFTER, 3), (("UIDL", "TOP"), 1)))


@case
def a_long_password_comes_behind_the_question(_):
    password = "x" * 300
    for question in ("+ ", "+", "+OK"):
        with scratch() as directory, Pop3Server(notes(*NAMES), password=password) as pop:
            (directory / "long").write_text(password)
            (directory / "long").chmod(0o600)
            pop.always("MORE", question)
            with Maildrop(pop, [f"password_file={directory}/long"]) as drop:
                works(drop)
            equal(pop.sessions[0].login, ("PLAIN", "alice", password))


@case
def secrets_are_not_shown(_):
    digest = "c4c9334bac560ecc979e58001b3e22fb"  # of the example in RFC 1939, another password
    secrets = [PASSWORD, base64.b64encode(b"\0alice\0" + PASSWORD.encode()).decode(), digest]
    for before, options in ((BEFORE, ()), (("USER",), ()), (None, ()), (BEFORE, ["auth=apop"])):
        with Pop3Server(notes(*NAMES), before=before, timestamp=TIMESTAMP) as pop:
            with Maildrop(pop, options, arguments=["-d"]) as drop:
                works(drop)
                secrets.append(pop.sessions[0].login[2])
                text = drop.mount.stderr.read_text() + drop.log() + drop.status()
                equal([s for s in secrets if s in text], [])
                assert "TOP 1 0" in text, text[:2000]


# --- APOP ---


@case
def apop_where_it_is_asked_for(_):
    with Pop3Server(notes(*NAMES), timestamp=TIMESTAMP) as pop:
        with Maildrop(pop, ["auth=apop"]) as drop:
            works(drop)
        equal({s.login[:2] for s in pop.logins()}, {("APOP", "alice")})
        equal(pop.seen("^(USER|PASS|AUTH)"), [])


@case
def apop_not_unasked(_):
    with Pop3Server(notes(*NAMES), timestamp=TIMESTAMP) as pop:
        with Maildrop(pop) as drop:
            works(drop)
        equal(pop.seen("^APOP"), [])


@case
def apop_with_a_timestamp_alone(_):
    for stamp in ("", "<>", "<no-at>", "<a@b@c>", "<a\x01@b>", "<a b@c>", "<a@b", "<ä@b>",
                  "a@b", "<@b>", "<a@>", "<\x7f@b>"):
        with Pop3Server(notes(*NAMES), timestamp=stamp) as pop:
            starts_not(77, "timestamp", pop, "auth=apop")
            equal(pop.seen(LOGIN), [], stamp)


@case
def apop_refused_is_not_tried_otherwise(_):
    with Pop3Server(notes(*NAMES), timestamp=TIMESTAMP) as pop:
        pop.always("APOP", "-ERR [AUTH] no")
        starts_not(77, "login refused", pop, "auth=apop")
        equal(pop.seen("^(USER|PASS|AUTH)"), [])


# --- TLS ---


@case
def tls_from_the_start_and_by_stls(tls):
    for mode, clear in (("implicit", b""), ("starttls", b"CAPA\r\nSTLS\r\n")):
        with Pop3Server(notes(*NAMES), tls=mode, cert=tls.cert) as pop:
            with Maildrop(pop, [f"tls_ca={tls.ca}"]) as drop:
                works(drop)
            for session in pop.sessions:
                equal((bytes(session.clear), session.secure), (clear, True))


@case
def no_login_without_tls(tls):
    for refusal in ("stripped", "-ERR not now", "+ what"):
        with Pop3Server(notes(*NAMES), tls="starttls", cert=tls.cert,
                        stripped=refusal == "stripped") as pop:
            pop.always("STLS", None if refusal == "stripped" else refusal)
            starts_not(76, ".", pop, f"tls_ca={tls.ca}")
            equal(pop.seen(LOGIN), [], refusal)


@case
def nothing_comes_along_with_stls(tls):
    for injected in (b"+OK injected\r\n", b"-", b"\r\n",
                     b"+OK\r\n.\r\n+OK\r\n+OK\r\n+OK 1 2\r\n"):
        with Pop3Server(notes(*NAMES), tls="starttls", cert=tls.cert) as pop:
            pop.always("STLS", b"+OK go\r\n" + injected)
            starts_not(76, ".", pop, f"tls_ca={tls.ca}")
            equal(pop.seen(LOGIN), [])


@case
def what_was_said_without_tls_does_not_count(tls):
    with Pop3Server(notes(*NAMES), tls="starttls", cert=tls.cert, after=None) as pop:
        for _ in range(3):
            pop.on("CAPA", None, "-ERR unknown")
        with Maildrop(pop, [f"tls_ca={tls.ca}"]) as drop:
            drop.calms_down()
            equal(commands(pop)[:5], ["CAPA", "STLS", "CAPA", "USER alice", "PASS ***"])


@case
def a_stranger_gets_nothing(tls):
    with scratch() as directory:
        other = Authority(directory).ca
        for mode in ("implicit", "starttls"):
            with Pop3Server(notes(*NAMES), tls=mode, cert=tls.cert) as pop:
                starts_not(76, "certificate", pop, f"tls_ca={other}")
                equal(pop.seen(LOGIN), [])


# --- refused ---


@case
def the_start_tells_why(_):
    for step, answer, code, words in (
            ("AUTH", "-ERR wrong", 77, "wrong"), ("AUTH", "-ERR [AUTH] wrong", 77, "wrong"),
            ("AUTH", "-ERR [SYS/TEMP] try later", 75, "try later"),
            ("AUTH", "-ERR [SYS/PERM] call us", 69, "call us"),
            ("AUTH", "-ERR [LOGIN-DELAY] one a minute", 75, "one a minute"),
            ("AUTH", Cut(b"-ERR [sys/temp] db\r\n"), 75, "db"),
            ("GREETING", "-ERR busy", 75, "busy"), ("GREETING", "220 smtp", 76, "."),
            ("GREETING", b"\0\r\n", 76, "."), ("GREETING", Endless(b"x"), 76, "."),
            ("CAPA", Endless(b"x\r\n"), 76, "."), ("AUTH", "250 in", 76, ".")):
        with Pop3Server(notes(*NAMES)) as pop:
            pop.always(step, answer)
            starts_not(code, words, pop)
            equal(pop.faults, [])


@case
def no_login_that_may_be_used(_):
    with Pop3Server(notes(*NAMES), before=("SASL GSSAPI", "UIDL")) as pop:
        starts_not(77, "GSSAPI", pop)
        equal(pop.seen(LOGIN), [])


@case
def no_wrong_password_is_tried_again_and_again(_):
    with Pop3Server(notes(*NAMES)) as pop:
        with Maildrop(pop, ["poll=1"]) as drop:
            drop.calms_down()
            pop.always("AUTH", "-ERR [AUTH] changed")
            wait_until(lambda: (drop.names(), pop.seen("AUTH", 1))[1], 20, "a login")
            tried = len(pop.sessions)
            for _ in range(10):
                drop.names()
                time.sleep(0.5)
            equal(len(pop.sessions) <= tried + 2, True, f"{len(pop.sessions) - tried} more")
            # What is known is there.
            equal(drop.labels(), list(NAMES))


@case
def a_lock_is_waited_for(_):
    with Pop3Server(notes(*NAMES)) as pop:
        pop.on("AUTH", "-ERR [IN-USE] locked")
        with Maildrop(pop) as drop:
            equal(len(pop.sessions), 2)
            drop.calms_down()
            pop.on("AUTH", "-ERR [IN-USE] locked")
            drop.rm("c")
            equal(drop.read("a"), note("a"))
            times = [s.began_s for s in pop.sessions]
            equal(times[1] - times[0] > 4.5 and times[3] - times[2] > 4.5, True, times)
            drop.sync()
            equal(pop.uidls(), ["a", "b"])
            assert "IN-USE" in drop.log() or "locked" in drop.log(), drop.log()


@case
def a_lock_is_not_waited_for_for_ever(_):
    with Pop3Server(notes(*NAMES)) as pop:
        pop.always("AUTH", "-ERR [IN-USE] locked")
        starts_not(75, "locked", pop, "timeout=6")


@case
def temporary_troubles_pass(_):
    def one(words):
        caps = [*BEFORE, "LOGIN-DELAY 2"]
        with Pop3Server(notes(*NAMES), before=caps) as pop, Maildrop(pop) as drop:
            drop.calms_down()
            pop.on("AUTH", f"-ERR {words}")
            path = drop / drop.name("a")
            wait_until(lambda: run("cat", path, check=False).stdout == note("a"), 20, words)
            equal("state: refused" in drop.status(), False, drop.status())
            works(drop)

    side_by_side(one, ("[SYS/TEMP] db", "[LOGIN-DELAY] too soon"))


# --- how often ---


@case
def login_delay_is_kept(_):
    """A server that means it."""
    delay = 4
    with Pop3Server(notes(*NAMES, "d", "e"), after=[*AFTER, f"LOGIN-DELAY {delay}"]) as pop:
        refused = []

        def too_soon(session, _):
            others = [s.began_s for s in pop.logins()]
            if not others or session.began_s - max(others) >= delay:
                return None
            refused.append(session.began_s - max(others))
            return "-ERR [LOGIN-DELAY] too soon"

        pop.always("AUTH", too_soon)
        with Maildrop(pop, ["poll=1"]) as drop:
            wait_until(lambda: (drop.names(), len(pop.logins()) >= 3)[1], 30, "three logins")
            equal("allows no login for" in drop.log(), False, drop.log())
            for name in ("a", "b"):
                drop.calms_down()
                equal(drop.read(name), note(name))
            drop.calms_down()
            drop.rm("a")
            drop.sync(timeout=30)
            equal(pop.uidls(), ["b", "c", "d", "e"])
        equal(refused, [])


@case
def login_delay_is_waited_for(_):
    """By who reads and who removes, also behind a session that was lost."""
    delay = 6
    with Pop3Server(notes(*NAMES), after=[*AFTER, f"LOGIN-DELAY {delay}"]) as pop:
        with Maildrop(pop) as drop:
            drop.calms_down()
            pop.on("RETR", Cut())
            equal(drop.read("a"), note("a"))
            assert "allows no login for" in drop.log(), drop.log()
            drop.calms_down()
            drop.rm("b")
            equal(drop.sync(), 0)
        equal(pop.uidls(), ["a", "c"])
        times = [s.began_s for s in pop.sessions]
        equal([b - a >= delay for a, b in zip(times, times[1:])], [True] * 3, times)


@case
def poll_is_kept(_):
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop, ["poll=4"]) as drop:
        wait_until(lambda: (drop.names(), len(pop.sessions) >= 3)[1], 30, "three sessions")
        times = [s.began_s for s in pop.sessions]
        gaps = [b - a for a, b in zip(times, times[1:])]
        equal(min(gaps) > 3.9, True, gaps)
        # Each with a good-bye.
        drop.calms_down()
        equal({s.commands[-1] for s in pop.sessions}, {"QUIT"})


@case
def nothing_happens_when_nobody_asks(_):
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop, ["poll=60"]) as drop:
        drop.calms_down()
        drop.names()
        out = drop.mount.text(".mailfs/status")
        assert out
        quiet_for(5, drop)
        equal(len(pop.sessions), 1)


# --- a server that says nothing ---


@case
def a_silent_server_holds_nobody_up(_):
    with Pop3Server(notes(*NAMES)) as pop:
        with Maildrop(pop, ["timeout=60"]) as drop:
            drop.calms_down()
            held = pop.on("RETR", Hold(Cut()))
            reading = in_background(run, "timeout", "3", "cat", drop / drop.name("a"))
            held.wait()
            equal(within(2, drop.labels), list(NAMES))
            within(2, drop.rm, "b")
            equal(within(2, drop.labels), ["a", "c"])
            reading.join(20)
            assert isinstance(reading.outcome, AssertionError), reading.outcome
            held.go.set()
            equal(drop.read("a"), note("a"))
            equal(drop.sync(), 0)
            equal(pop.uidls(), ["a", "c"])


@case
def a_silent_server_is_given_up(_):
    with Pop3Server(notes(*NAMES)) as pop, Maildrop(pop, ["timeout=3"]) as drop:
        drop.calms_down()
        held = pop.on("RETR", Hold(Cut()))
        done = within(15, run, "cat", drop / drop.name("a"), check=False)
        equal(done.returncode, 1)
        held.go.set()
        wait_until(lambda: run("cat", drop / drop.name("a"), check=False).stdout == note("a"), 30)


@case
def before_the_first_connection_it_is_read_only(_):
    with Pop3Server(notes(*NAMES)) as pop:
        held = pop.on("GREETING", Hold())
        with Maildrop(pop, ["delay_connect"]) as drop:
            held.wait()
            done = run("mkdir", drop.mount / "new", check=False)
            assert b"Read-only" in done.stderr, done.stderr
            held.go.set()
            drop.shows(*NAMES)


@case
def a_slow_server_is_waited_for(_):
    with Pop3Server(notes(*NAMES)) as pop:
        pop.on("GREETING", Drip(b"+OK slow\r\n", 0.02))
        pop.on("CAPA", Drip(b"+OK\r\nUSER\r\nUIDL\r\n.\r\n"))
        pop.on("UIDL", Drip(b"+OK\r\n1   a \r\n2\tb\r\n3 c\r\n.\r\n"))
        with Maildrop(pop) as drop:
            pop.always("RETR", Drip(b"+OK\r\n" + note("b", "..\r\n...x\r\n") + b".\r\n", 0.002))
            equal(drop.read("b"), note("b", ".\r\n..x\r\n"))
            pop.clear()
            equal(os.path.exists(drop / drop.name("a")), True)


@case
def a_server_that_lists_for_long_is_waited_for(_):
    """It is never silent for as long as `timeout`, only all in all."""
    def late(session, _):
        session.ended.wait(1.5)

    with Pop3Server(notes(*NAMES)) as pop:
        for step in ("STAT", "UIDL", "LIST"):
            pop.always(step, late)
        with Maildrop(pop, ["timeout=3"]) as drop:
            equal(len(pop.sessions), 1)
            works(drop)
            drop.calms_down()
            pop.drop += notes("new")
            drop.rm("c")
            equal(drop.sync(), 0)
            equal(pop.uidls(), ["a", "new"])


main(fixture)
