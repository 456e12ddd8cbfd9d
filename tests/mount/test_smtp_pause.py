"""When the server is in the way, and not the message: everything waits, and nobody is hammered."""

import errno
import os
import re
import time

from harness import Dovecot, case, equal, main, wait_until
from sending import Desk, Office, message_id, note
from smtp_script import Cut, Hold, SmtpServer


def arrived(smtp):
    return [message_id(letter.data) for letter in smtp.accepted()]


@case
def mail_wants_another_login(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        smtp.always("MAIL", "530 5.7.0 log in first")
        for name in ("a", "b", "c"):
            equal(desk.post(f"{name}.eml", note(name)), errno.EACCES, name)
        time.sleep(1)
        # Neither again nor for the others: it would say the same.
        equal(len(smtp.seen("MAIL")), 1)
        equal(len(smtp.sessions), 1)
        for name in ("a", "b", "c"):
            assert "530 5.7.0 log in first" in desk.row(f"{name}.eml")[3], desk.queue()
        smtp.clear()
        desk.hurry()
        desk.settles()
        equal(arrived(smtp), [f"<{name}@example.org>" for name in ("a", "b", "c")])


@case
def closed_on_the_first(imap):
    """Who wants no mail now is not asked for each of them."""
    for step in ("MAIL", "RCPT", "DATA", "TEXT"):
        with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=0"]) as desk:
            smtp.always(step, "421 4.3.2 busy")
            for name in ("a", "b", "c"):
                desk.write(f"{name}.eml", note(name))
            wait_until(lambda: desk.state("a.eml") == "deferred", 20, "the first try")
            time.sleep(0.5)
            equal(len(smtp.sessions), 1, step)
            assert "421 4.3.2 busy" in desk.row("c.eml")[3], desk.queue()
            smtp.clear()
            desk.hurry()
            desk.settles()
            equal(arrived(smtp), [f"<{name}@example.org>" for name in ("a", "b", "c")])


@case
def hung_up_behind_a_refusal(imap):
    """Others then go over a new connection, at once."""
    for end in (Cut(), Cut(reset=True), "421 4.7.0 go away", "550 5.7.0 go away"):
        with SmtpServer() as smtp, Desk(imap, smtp, ["send_delay=0"]) as desk:
            held = smtp.on("GREETING", Hold())
            desk.write("bad.eml", note("bad"))
            held.wait()
            desk.write("good.eml", note("good"))
            smtp.on("RCPT", "550 5.7.1 no")
            smtp.on("RSET", end)
            held.go.set()
            desk.settles()
            equal(arrived(smtp), ["<good@example.org>"], end)
            equal(desk.failed(), ["bad.eml", "bad.eml.err"])
            assert "go away" not in desk.queue(), desk.queue()


@case
def codes_that_no_standard_has(imap):
    """Their first digit counts."""
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        # MAIL last: the RCPT behind one that was refused may still be on its way.
        for step in ("RCPT", "DATA", "TEXT", "MAIL"):
            smtp.on(step, "571 5.7.1 not from you")
            equal(desk.post(f"{step}.eml", note(step)), errno.EIO, step)
            assert "571 5.7.1 not from you" in desk.reason(f"{step}.eml")
            smtp.on(step, "471 4.7.1 grey")
            equal(desk.post(f"{step}-later.eml", note(f"{step}-later")), errno.EAGAIN, step)
        equal(len(smtp.sessions), 1)


@case
def cron_has_no_domain(imap):
    with SmtpServer() as smtp, Desk(imap, smtp, ["from=me@example.org"]) as desk:
        equal(desk.post("a.eml", note("a", sender="root (Cron Daemon)")), 0)
        equal(smtp.letters[0].sender, "me@example.org")
        assert b"From: root (Cron Daemon)\r\n" in smtp.letters[0].data, smtp.letters[0].data
        equal(desk.post("b.eml", note("b", to="root")), errno.EINVAL)
        assert "'root' is no address: it has no domain" in desk.reason("b.eml")


@case
def the_copy_waits_for_the_folders(_):
    """Nobody has asked for them yet."""
    with Office() as office, SmtpServer() as smtp, \
            Desk(office.url(), smtp, ["save_sent=yes", "delay_connect"]) as desk:
        equal(desk.post("a.eml", note("a")), 0)
        wait_until(office.texts, 30, "the copy")
        equal(office.texts(), [note("a")])


@case
def many_of_one_name(_):
    with Office() as office, SmtpServer() as smtp, \
            Desk(office.url(), smtp, ["save_sent=yes"]) as desk:
        for number in range(12):
            equal(desk.post("mail.eml", note(str(number))), 0)
        wait_until(lambda: len(office.texts()) >= 12, 30, "the copies")
        equal(sorted(office.ids()), sorted(f"<{n}@example.org>" for n in range(12)))
        # Those that the server did not number have theirs still.
        names = [n for n in os.listdir(desk.mount / "Sent") if n.startswith("mail")]
        assert all(re.fullmatch(r"mail(~[2-9]|~[0-9a-f]{6})?\.eml", n) for n in names), names


main(Dovecot)
