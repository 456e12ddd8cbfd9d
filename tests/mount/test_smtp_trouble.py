"""What becomes of a message when the server refuses, defers, or goes: it is sent once, is tried
again, or stands in failed/ with the reason."""

import datetime
import errno
import os
import re
import time

from changing import fails, in_background
from harness import Dovecot, case, equal, free_ports, main, run, wait_until
from scripted import Cut as ImapCut
from sending import Desk, Office, message_id, note
from smtp_script import CAPS, Cut, Hold, SmtpServer

LOST = (errno.EAGAIN, errno.EHOSTUNREACH, errno.EIO, errno.ECONNRESET)
WAITS, FAILS = "waits", "fails"

# What the server says where, the errno of `sync`, and what becomes of the message.
REPLIES = [
    ("GREETING", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("GREETING", "451 4.3.2 not now", errno.EAGAIN, WAITS),
    ("GREETING", "554 5.3.2 nobody here", errno.EAGAIN, WAITS),
    ("EHLO", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("EHLO", "451 4.3.0 not now", errno.EAGAIN, WAITS),
    ("STARTTLS", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("STARTTLS", "454 4.7.0 no TLS today", (errno.EAGAIN, errno.EACCES), WAITS),
    ("STARTTLS", "554 5.7.0 no TLS", errno.EACCES, WAITS),
    ("AUTH", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("AUTH", "454 4.7.0 directory is down", errno.EAGAIN, WAITS),
    ("AUTH", "535 5.7.8 who are you", errno.EACCES, WAITS),
    ("AUTH", "538 5.7.11 encrypt", errno.EACCES, WAITS),
    ("MAIL", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("MAIL", "451 4.3.0 not now", errno.EAGAIN, WAITS),
    ("MAIL", "550 5.1.8 bad sender", errno.EIO, FAILS),
    ("MAIL", "552 5.3.4 too big", errno.EMSGSIZE, FAILS),
    ("MAIL", "530 5.7.0 log in first", errno.EACCES, WAITS),
    ("RCPT", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("RCPT", "450 4.7.1 grey", errno.EAGAIN, WAITS),
    ("RCPT", "550 5.1.1 nobody of that name", errno.EIO, FAILS),
    ("RCPT", "552 5.2.2 full", errno.EDQUOT, FAILS),
    ("DATA", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("DATA", "451 4.3.0 not now", errno.EAGAIN, WAITS),
    ("DATA", "554 5.7.1 no", errno.EIO, FAILS),
    ("TEXT", "421 4.3.2 busy", errno.EAGAIN, WAITS),
    ("TEXT", "451 4.3.0 not now", errno.EAGAIN, WAITS),
    ("TEXT", "452 no room", errno.EAGAIN, WAITS),
    ("TEXT", "554 5.7.1 spam", errno.EIO, FAILS),
    ("TEXT", "552 5.3.4 too big", errno.EMSGSIZE, FAILS),
]


def cert_of(imap):
    return imap.dir / "server.pem", imap.dir / "server.key"


def arrived(smtp, name):
    """How often a note was accepted."""
    return [message_id(a.data) for a in smtp.accepted()].count(f"<{name}@example.org>")


def goes_out(desk, smtp, name):
    """At the next try it is sent, once."""
    equal(arrived(smtp, name), 0, name)
    desk.hurry()
    desk.settles()
    equal(arrived(smtp, name), 1, f"{name}: {smtp.letters}")
    equal(desk.failed(), [], name)


def one_of(got, wanted, what):
    if got not in (wanted if isinstance(wanted, tuple) else (wanted,)):
        raise AssertionError(f"{what}: got {os.strerror(got)}, wanted {wanted}")


def failed_file(desk, name, *words):
    """It stands in failed/, with these words; then it is gone."""
    equal(desk.waiting(), [], name)
    equal(desk.failed(), [f"{name}.eml", f"{name}.eml.err"])
    for word in words:
        assert word in desk.reason(f"{name}.eml"), f"{word}: {desk.reason(f'{name}.eml')}"
    os.unlink(desk / f"failed/{name}.eml")
    equal(desk.failed(), [])


# --- whole messages ---


@case
def each_refusal_of_each_command(imap):
    with SmtpServer(auth="PLAIN LOGIN", tls="starttls", cert=cert_of(imap)) as smtp, \
            Desk(imap, smtp) as desk:
        for number, (step, reply, verdict, fate) in enumerate(REPLIES):
            name, what = f"n{number}", f"{reply} to {step}"
            smtp.hang_up()
            smtp.on(step, reply)
            one_of(desk.post(f"{name}.eml", note(name)), verdict, what)
            words = reply.partition(" ")[2]
            if fate is FAILS:
                failed_file(desk, name, reply, "bob@example.org")
                equal(arrived(smtp, name), 0, what)
                continue
            equal(desk.waiting(), [f"{name}.eml"], what)
            assert words in desk.row(f"{name}.eml")[3], desk.queue()
            one_of(desk.verdict(f"{name}.eml"), verdict, f"{what}, asked again")
            goes_out(desk, smtp, name)


@case
def refused_behind_ehlo_and_helo(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        for first, second, verdict in (("550 5.7.0 no", "550 5.7.0 no", errno.EAGAIN),
                                       ("550 5.7.0 no", "451 4.3.0 no", errno.EAGAIN)):
            smtp.hang_up()
            smtp.on("EHLO", first)
            smtp.on("HELO", second)
            equal(desk.post("a.eml", note(second[:3])), verdict)
            equal(desk.waiting(), ["a.eml"])
            goes_out(desk, smtp, second[:3])


@case
def lost_at_each_command(imap):
    """Before the final dot it is tried again."""
    with SmtpServer(auth="PLAIN", tls="starttls", cert=cert_of(imap)) as smtp, \
            Desk(imap, smtp) as desk:
        replies = {"GREETING": b"220 hi\r\n", "EHLO": b"250 hi\r\n", "STARTTLS": b"220 go\r\n",
                   "AUTH": b"235 in\r\n", "MAIL": b"250 ok\r\n", "RCPT": b"250 ok\r\n",
                   "DATA": b"354 go\r\n"}
        number = 0
        for step, reply in replies.items():
            for cut in (Cut(), Cut(reset=True), Cut(reply), Cut(reply[:2])):
                number += 1
                name, what = f"n{number}", f"{step}: {cut.words} {cut.reset}"
                smtp.hang_up()
                smtp.on(step, cut)
                verdict = desk.post(f"{name}.eml", note(name))
                # Behind 354 a short text may be on its way as a whole.
                if desk.failed() and step == "DATA" and cut.words == reply:
                    equal(verdict, errno.EIO, what)
                    failed_file(desk, name, "unknown")
                    continue
                one_of(verdict, LOST + (errno.EACCES,), what)
                equal(desk.waiting(), [f"{name}.eml"], what)
                goes_out(desk, smtp, name)


@case
def lost_in_the_middle_of_the_text(imap):
    long = b"0123456789abcdef0123456789abcdef0123456789abcdef\r\n" * 300000
    with SmtpServer(middle=200000) as smtp, Desk(imap, smtp) as desk:
        for number, words in enumerate((b"", b"421 4.3.2 bye\r\n", b"451 4.3.0 too slow\r\n")):
            name = f"n{number}"
            smtp.hang_up()
            smtp.on("MIDDLE", Cut(words, reset=True))
            one_of(desk.post(f"{name}.eml", note(name, body=long)), LOST, name)
            equal(desk.waiting(), [f"{name}.eml"])
            goes_out(desk, smtp, name)


@case
def refused_in_the_middle_of_the_text(imap):
    """The server says why, and then hangs up on what is still coming."""
    long = b"0123456789abcdef0123456789abcdef0123456789abcdef\r\n" * 300000
    with SmtpServer(middle=200000) as smtp, Desk(imap, smtp) as desk:
        smtp.on("MIDDLE", Cut(b"552 5.3.4 too big\r\n", reset=True))
        equal(desk.post("big.eml", note("big", body=long)), errno.EMSGSIZE)
        equal(desk.failed(), ["big.eml", "big.eml.err"])
        assert "552 5.3.4 too big" in desk.reason("big.eml"), desk.reason("big.eml")


@case
def lost_behind_the_dot(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        cuts = Cut(), Cut(reset=True), Cut(b"25"), Cut(b"250-2.0.0 ok\r\n")
        for number, cut in enumerate(cuts):
            name = f"n{number}"
            smtp.hang_up()
            smtp.on("TEXT", cut)
            equal(desk.post(f"{name}.eml", note(name)), errno.EIO)
            equal(desk.waiting(), [])
            equal(desk.failed(), [f"{name}.eml", f"{name}.eml.err"])
            assert "unknown" in desk.reason(f"{name}.eml"), desk.reason(f"{name}.eml")
            desk.hurry()
            # What comes after it is served: so its own turn has passed.
            equal(desk.post(f"next{number}.eml", note(f"next{number}")), 0)
            equal(arrived(smtp, name), 1)
            failed_file(desk, name, "bob@example.org")
        # Who wants it sent once more has to say so.
        smtp.on("TEXT", Cut())
        equal(desk.post("x.eml", note("x")), errno.EIO)
        run("mv", desk / "failed/x.eml", desk / "x.eml")
        desk.settles()
        equal(arrived(smtp, "x"), 2)
        equal(desk.is_empty(), True)
        # The answer was heard.
        smtp.on("TEXT", Cut(b"250 2.0.0 ok\r\n"))
        equal(desk.post("y.eml", note("y")), 0)
        equal(arrived(smtp, "y"), 1)


@case
def a_server_that_tires_of_idle_clients(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        for number in range(4):
            equal(desk.post("a.eml", note(f"n{number}")), 0)
            smtp.hang_up()
        # It says so only when the next one comes.
        for number, step in enumerate((Cut(), "421 4.4.2 idle", Cut(reset=True))):
            equal(desk.post("a.eml", note(f"before{number}")), 0)
            smtp.on("MAIL", step)
            equal(desk.post("a.eml", note(f"late{number}")), 0)
            equal(arrived(smtp, f"late{number}"), 1)
        equal(len(smtp.letters), 10)


# --- recipients ---


FOUR = "ann@example.org, bob@example.org, cy@example.org, di@example.org"


@case
def each_recipient_has_a_verdict(imap):
    for caps in (CAPS, [c for c in CAPS if c != "PIPELINING"]):
        with SmtpServer(caps) as smtp, Desk(imap, smtp) as desk:
            smtp.on("RCPT", None, "550 5.1.1 no bob", "451 4.7.1 grey", None)
            data = b"Subject: four\r\nTo: " + FOUR.encode() + b"\r\n\r\nfour\r\n"
            equal(desk.post("four.eml", data), errno.EAGAIN)
            equal(desk.waiting(), ["four.eml"])
            equal([a.recipients for a in smtp.letters], [["ann@example.org", "di@example.org"]])
            smtp.on("RCPT", "452 4.2.2 still")
            desk.hurry()
            wait_until(lambda: "still" in desk.queue(), 20, "the second try")
            desk.hurry()
            desk.settles()
            equal([a.recipients for a in smtp.letters],
                  [["ann@example.org", "di@example.org"], ["cy@example.org"]])
            equal(smtp.letters[0].data, smtp.letters[1].data)
            reason = desk.reason("four.eml")
            assert re.search("(?m)^.*bob@example.org.*550 5.1.1 no bob", reason), reason
            lines = {who: line for line in reason.splitlines() for who in
                     ("ann@", "cy@", "di@", "bob@") if who in line}
            assert lines["bob@"] not in [lines.get(w) for w in ("ann@", "cy@", "di@")], reason
            # Once more: for the one who does not have it.
            run("mv", desk / "failed/four.eml", desk / "")
            desk.settles()
            equal(smtp.letters[2].recipients, ["bob@example.org"])
            equal(smtp.letters[2].data, smtp.letters[0].data)
            equal(desk.is_empty(), True)


@case
def all_recipients_are_refused(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        data = note("all", to=FOUR)
        smtp.on("RCPT", *["550 5.1.1 no"] * 4)
        equal(desk.post("all.eml", data), errno.EIO)
        failed_file(desk, "all", "ann@example.org", "di@example.org", "550 5.1.1 no")
        smtp.on("RCPT", *["550 5.1.1 no"] * 2, *["451 4.7.1 later"] * 2)
        equal(desk.post("all.eml", data), errno.EAGAIN)
        equal(smtp.seen("DATA"), [])
        desk.hurry()
        desk.settles()
        equal([a.recipients for a in smtp.letters], [["cy@example.org", "di@example.org"]])
        failed_file(desk, "all", "bob@example.org", "550 5.1.1 no")
        # The same connection goes on with others.
        equal(desk.post("next.eml", note("next")), 0)
        equal(len(smtp.letters), 2)


@case
def many_recipients_in_several_transactions(imap):
    people = [f"p{n}@example.org" for n in range(250)]
    data = (b"Subject: many\r\nTo: " + ",\r\n ".join(people).encode()
            + b",\r\n P0@EXAMPLE.org, p1@EXAMPLE.ORG\r\n\r\nmany\r\n")
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        smtp.on("RCPT", "550 5.1.1 no", *[None] * 148, "451 4.7.1 grey")
        equal(desk.post("many.eml", data), errno.EAGAIN)
        # "P0" may be another mailbox than "p0", but "EXAMPLE" is no other domain.
        people.append(next((r for a in smtp.letters for r in a.recipients if r[0] == "P"),
                           "P0@EXAMPLE.org"))
        equal([len(a.recipients) for a in smtp.letters], [99, 99, 51])
        equal(sum([a.recipients for a in smtp.letters], []),
              [p for p in people if p not in ("p0@example.org", "p149@example.org")])
        desk.hurry()
        desk.settles()
        equal(smtp.letters[3].recipients, ["p149@example.org"])
        equal(len({message_id(a.data) for a in smtp.letters}), 1)
        equal(len({a.data for a in smtp.letters}), 1)
        failed_file(desk, "many", "p0@example.org")


@case
def lost_between_the_transactions(imap):
    people = [f"p{n}@example.org" for n in range(150)]
    data = note("many", to=",\r\n ".join(people))
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        smtp.on("TEXT", None, Cut())
        equal(desk.post("many.eml", data), errno.EIO)
        equal([len(a.recipients) for a in smtp.letters], [100, 50])
        reason = desk.reason("many.eml")
        assert "unknown" in reason, reason
        run("mv", desk / "failed/many.eml", desk / "")
        desk.settles()
        equal([a.recipients for a in smtp.letters[2:]], [people[100:]])


# --- the queue ---


def in_seconds(stamp):
    when = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")
    return when.replace(tzinfo=datetime.timezone.utc).timestamp() - time.time()


@case
def one_that_waits_holds_up_no_other(imap):
    def grey(_, argument):
        return "450 4.7.1 grey" if b"slow" in argument else None

    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        smtp.always("RCPT", grey)
        equal(desk.post("slow.eml", note("slow", to="slow@example.org")), errno.EAGAIN)
        for number in range(3):
            equal(desk.post(f"{number}.eml", note(str(number))), 0)
        equal(desk.waiting(), ["slow.eml"])
        smtp.clear()
        goes_out(desk, smtp, "slow")


@case
def the_order_is_kept(imap):
    names = [f"{n}" for n in (5, 3, 9, 1, 7, 2, 8, 4)]
    with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=0"]) as desk:
        held = smtp.on("GREETING", Hold())
        for name in names:
            desk.write(f"{name}.eml", note(name))
        held.wait()
        equal(desk.waiting(), sorted(f"{n}.eml" for n in names))
        held.go.set()
        run("sync", desk / "")
        equal([message_id(a.data) for a in smtp.letters], [f"<{n}@example.org>" for n in names])
        equal(len(smtp.sessions), 1)
        equal(desk.is_empty(), True)


@case
def the_queue_tells_how_it_stands(imap):
    with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=3600"]) as desk:
        smtp.on("RCPT", "450 4.7.1 grey list", "450 4.7.1 grey yet")
        equal(desk.post("grey.eml", note("grey")), errno.EAGAIN)
        state, tries, when, reply = desk.row("grey.eml")
        equal((state, tries, reply), ("deferred", "1", "450 4.7.1 grey list"))
        assert 50 <= in_seconds(when) <= 61, when
        desk.hurry()
        wait_until(lambda: desk.row("grey.eml")[1] == "2", 20, "the second try")
        state, tries, when, reply = desk.row("grey.eml")
        equal((state, reply), ("deferred", "450 4.7.1 grey yet"))
        assert 290 <= in_seconds(when) <= 301, when
        held = smtp.on("TEXT", Hold("554 5.7.1 spam"))
        posting = in_background(desk.post, "spam.eml", note("spam"))
        held.wait()
        equal(desk.row("spam.eml")[0], "sending")
        held.go.set()
        posting.join(20)
        equal(posting.outcome, errno.EIO)
        equal(desk.row("spam.eml"), ["failed", "1", "-", "554 5.7.1 spam"])
        os.unlink(desk / "failed/spam.eml")
        equal(desk.row("spam.eml"), [])
        desk.write("later.eml", note("later"))
        desk.write("draft", b"not yet")
        wait_until(lambda: desk.state("later.eml") == "waiting", 20, "the queue")
        equal([desk.row("later.eml")[n] for n in (1, 3)], ["0", "-"])
        assert in_seconds(desk.row("later.eml")[2]) > 3000
        equal(desk.row("draft"), [])
        for name in ("later.eml", "grey.eml", "draft"):
            os.unlink(desk / name)
        equal(desk.is_empty(), True)


@case
def nobody_hurries_what_is_not_waited_for(imap):
    with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=3600"]) as desk:
        desk.write("think.eml", note("think"))
        equal(desk.post("now.eml", note("now")), 0)
        equal(desk.post("then.eml", note("then")), 0)
        equal([message_id(a.data) for a in smtp.letters],
              ["<now@example.org>", "<then@example.org>"])
        equal(desk.row("think.eml")[:2], ["waiting", "0"])
        equal(desk.verdict(), 0)
        equal(arrived(smtp, "think"), 1)


@case
def a_pause_is_told_once_for_all(imap):
    with SmtpServer(auth="PLAIN", tls="implicit", cert=cert_of(imap)) as smtp, \
            Desk(imap, smtp) as desk:
        smtp.always("AUTH", "535 5.7.8 locked")
        for number in range(5):
            equal(desk.post(f"{number}.eml", note(str(number))), errno.EACCES)
        # A wrong password is not tried for each of them.
        equal(len(smtp.seen("AUTH")), 1)
        equal(len(desk.waiting()), 5)
        assert "535 5.7.8 locked" in desk.queue(), desk.queue()
        smtp.clear()
        desk.hurry()
        desk.settles()
        equal([message_id(a.data) for a in smtp.letters], [f"<{n}@example.org>" for n in range(5)])


# --- second thoughts ---


@case
def taken_back_before_the_text(imap):
    for step in ("GREETING", "EHLO", "MAIL", "RCPT"):
        with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=0"]) as desk:
            held = smtp.on(step, Hold())
            desk.write("oops.eml", note("oops"))
            held.wait()
            os.unlink(desk / "oops.eml")
            held.go.set()
            equal(desk.post("next.eml", note("next")), 0)
            equal([message_id(a.data) for a in smtp.letters], ["<next@example.org>"], step)
            equal(len(smtp.seen("DATA")), 1)
            equal(desk.is_empty(), True)
    with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=3600"]) as desk:
        desk.write("oops.eml", note("oops"))
        os.unlink(desk / "oops.eml")
        equal(desk.verdict(), 0)
        equal(smtp.sessions, [])


@case
def not_taken_back_any_more(imap):
    for step in ("DATA", "TEXT"):
        with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=0"]) as desk:
            held = smtp.on(step, Hold())
            desk.write("gone.eml", note("gone"))
            held.wait()
            path = desk / "gone.eml"
            fails(errno.EBUSY, os.unlink, path)
            fails(errno.EBUSY, os.rename, path, desk / "draft")
            fails(errno.EBUSY, open, path, "ab")
            equal(path.read_bytes(), note("gone"))
            held.go.set()
            desk.settles()
            equal(arrived(smtp, "gone"), 1)
            equal(desk.verdict("gone.eml"), 0)


@case
def written_to_again_while_it_waits(imap):
    with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=3600"]) as desk:
        desk.write("a.eml", note("a"))
        with open(desk / "a.eml", "ab") as more:
            more.write(b"PS: more\r\n")
            more.flush()
            equal(desk.verdict("a.eml"), errno.EBUSY)
        equal(desk.verdict(), 0)
        equal([a.data for a in smtp.letters], [note("a") + b"PS: more\r\n"])
    for step in ("MAIL", "RCPT"):
        with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=0"]) as desk:
            held = smtp.on(step, Hold())
            desk.write("a.eml", note("a"))
            held.wait()
            desk.write("a.eml", note("b"))
            held.go.set()
            equal(desk.verdict(), 0)
            equal([a.data for a in smtp.letters], [note("b")])


@case
def appended_to_what_was_sent_it_is_a_new_one(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        equal(desk.post("a.eml", note("a", body=b"longer\r\n" * 100)), 0)
        new = note("b", body=b"shorter\r\n" * 10)
        more = os.open(desk / "a.eml", os.O_WRONLY | os.O_APPEND)
        try:
            for start in range(0, len(new), 50):
                os.write(more, new[start:start + 50])
        finally:
            os.close(more)
        equal(desk.verdict("a.eml"), 0)
        equal([a.data for a in smtp.letters][1:], [new])


# --- what sync says ---


@case
def sync_tells_why(imap):
    with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=600"]) as desk:
        equal(desk.post("ok.eml", note("ok")), 0)
        run("sync", desk / "ok.eml")
        for data in (b"Subject: nobody\r\n\r\nbody\r\n", b"To: undisclosed:;\r\n\r\n", b"no header",
                     b"To: bob@\r\n\r\nbody\r\n"):
            equal(desk.post("x.eml", data), errno.EINVAL, data)
            os.unlink(desk / "failed/x.eml")
        smtp.on("TEXT", "554 5.7.1 spam")
        desk.write("spam.eml", note("spam"))
        done = run("sync", desk / "spam.eml", check=False)
        equal((done.returncode, b"Input/output error" in done.stderr), (1, True), done)
        fails(errno.ENOENT, desk.verdict, "spam.eml")
        # All that nobody was told of, once.
        smtp.on("RCPT", "550 5.1.1 no")
        desk.write("unseen.eml", note("unseen"))
        one_of(desk.verdict(), (errno.EIO,), "sync outbox")
        equal(desk.verdict(), 0)


@case
def nobody_there(imap):
    port = free_ports(1)[0]
    with Desk(imap, f"smtp://127.0.0.1:{port}") as desk:
        equal(desk.post("a.eml", note("a")), errno.EHOSTUNREACH)
        equal(desk.waiting(), ["a.eml"])
        assert "refused" in desk.queue(), desk.queue()
    with Desk(imap, "smtp://nowhere.invalid") as desk:
        one_of(desk.post("a.eml", note("a")), (errno.EHOSTUNREACH, errno.EAGAIN), "no such host")
        equal(desk.waiting(), ["a.eml"])


@case
def it_waits_for_the_next_mount(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        smtp.always("MAIL", "451 4.3.0 not now")
        equal(desk.post("a.eml", note("a")), errno.EAGAIN)
        desk.mount.unmount()
        equal(arrived(smtp, "a"), 0)
        smtp.clear()
        desk.mount.start()
        equal(desk.waiting(), ["a.eml"])
        assert "451 4.3.0 not now" in desk.queue(), desk.queue()
        goes_out(desk, smtp, "a")
    # What was never tried goes out when the mount goes.
    with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=3600"]) as desk:
        desk.write("b.eml", note("b"))
        desk.mount.unmount()
        equal(arrived(smtp, "b"), 1)


# --- the copy ---


SECRET = note("copied", extra="Bcc: eve@example.org\r\n")


@case
def a_copy_is_kept(_):
    for option, copies in (("save_sent=yes", 1), ("save_sent=auto", 1), ("save_sent=no", 0)):
        with Office() as office, SmtpServer() as smtp, \
                Desk(office.url(), smtp, [option]) as desk:
            equal(desk.post("copied.eml", SECRET), 0)
            wait_until(lambda: len(office.texts()) == copies, 20, "the copy")
            equal(smtp.letters[0].data, note("copied"))
            equal(office.texts(), [SECRET] * copies)
            assert all("\\Seen" in c for c in office.server.seen("^APPEND"))
            equal(desk.is_empty(), True)


@case
def only_the_copy_is_tried_again(_):
    for refusal in (ImapCut(), "NO [UNAVAILABLE] not now", "NO not such a one"):
        with Office(refusal) as office, SmtpServer() as smtp, \
                Desk(office.url(), smtp, ["save_sent=yes"]) as desk:
            equal(desk.post("copied.eml", SECRET), 0)
            wait_until(lambda: office.tried >= 1, 20, "the first try")
            if refusal == "NO not such a one":
                # That is no matter of time: it is kept as a file until the next mount.
                wait_until(lambda: "not such a one" in desk.mount.text(".mailfs/log"), 20, "NO")
                desk.mount.unmount()
                desk.mount.start()
            wait_until(office.texts, 30, "the copy")
            equal(office.texts(), [SECRET])
            equal(desk.verdict(), 0)
            equal(arrived(smtp, "copied"), 1)
            equal(len(smtp.letters), 1)
            equal(desk.is_empty(), True)


@case
def nothing_that_failed_is_copied(_):
    with Office() as office, SmtpServer() as smtp, \
            Desk(office.url(), smtp, ["save_sent=yes"]) as desk:
        smtp.on("TEXT", "554 5.7.1 spam", Cut())
        for name in ("spam", "lost"):
            equal(desk.post(f"{name}.eml", note(name)), errno.EIO)
        # To some it went: one copy, and no other for the rest.
        smtp.on("RCPT", None, "451 4.7.1 grey")
        equal(desk.post("two.eml", note("two", to="a@example.org, b@example.org")), errno.EAGAIN)
        desk.hurry()
        desk.settles()
        equal(len(smtp.accepted()), 3)
        wait_until(office.texts, 20, "the copy")
        equal(desk.post("last.eml", note("last")), 0)
        wait_until(lambda: len(office.texts()) > 1, 20, "the last copy")
        equal([message_id(t) for t in office.texts()], ["<two@example.org>", "<last@example.org>"])


main(Dovecot)
