"""What goes over the wire to a submission server, byte for byte, and what becomes of a message
whatever the server does."""

import base64
import errno
import os
import random
import re

from changing import fails, in_background
from dovecot import PASSWORD, Authority
from harness import SANITIZED, Dovecot, case, equal, main, out, scratch
from sending import Desk, message_id, note
from smtp_script import CAPS, Drip, Endless, Hold, SmtpServer

HELLO = b"EHLO [127.0.0.1]\r\n"
BARE = ("ENHANCEDSTATUSCODES",)
SEED = random.SystemRandom().randrange(1 << 32)


def cert_of(imap):
    return imap.dir / "server.pem", imap.dir / "server.key"


def envelope(parameters=b"", to=(b"<bob@example.org>",)):
    """MAIL and RCPT, as lines."""
    return [b"MAIL FROM:<ann@example.org>" + parameters + b"\r\n",
            *(b"RCPT TO:" + one + b"\r\n" for one in to)]


def sized(data):
    return b" SIZE=%d" % len(data)


def conversation(smtp, number=0):
    """What one connection wrote: commands by write, the text as one."""
    chunks = list(smtp.sessions[number].chunks)
    at = chunks.index(b"DATA\r\n") + 1
    return chunks[:at] + [b"".join(chunks[at:])]


# --- the bytes ---


@case
def a_plain_session(imap):
    first, second = note("first"), note("second", body=b"two\r\n")
    with SmtpServer() as smtp:
        with Desk(imap, smtp) as desk:
            equal(desk.post("first.eml", first), 0)
            equal(conversation(smtp), [HELLO, b"".join(envelope(sized(first))), b"DATA\r\n",
                                       first + b".\r\n"])
            equal(desk.post("second.eml", second), 0)
            equal(desk.is_empty(), True)
        again = b"".join(envelope(sized(second))) + b"DATA\r\n" + second + b".\r\n"
        whole = HELLO + b"".join(envelope(sized(first))) + b"DATA\r\n" + first + b".\r\n"
        equal(smtp.bytes_since(), [whole + again + b"QUIT\r\n"])


@case
def one_command_at_a_time_without_pipelining(imap):
    data = note("slow", to="bob@example.org, \"c d\" <cy@example.org>")
    caps = [c for c in CAPS if c != "PIPELINING"]
    with SmtpServer(caps) as smtp, Desk(imap, smtp) as desk:
        equal(desk.post("slow.eml", data), 0)
        to = (b"<bob@example.org>", b"<cy@example.org>")
        equal(conversation(smtp), [HELLO, *envelope(sized(data), to), b"DATA\r\n",
                                   data + b".\r\n"])


@case
def data_waits_for_the_recipients(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        held = smtp.on("MAIL", Hold())
        asked = smtp.on("RCPT", Hold())
        posting = in_background(desk.post, "a.eml", note("a"))
        held.wait()
        # All that it says before an answer came in one write.
        equal(smtp.sessions[0].chunks[1:], [b"".join(envelope(sized(note("a"))))])
        held.go.set()
        asked.wait()
        equal(len(smtp.sessions[0].chunks), 2)
        asked.go.set()
        posting.join(20)
        equal(posting.outcome, 0)


@case
def helo_where_ehlo_is_not_known(imap):
    data = note("old")
    with SmtpServer(caps=None) as smtp, Desk(imap, smtp, ["dsn_notify=never"]) as desk:
        equal(desk.post("old.eml", data), 0)
        equal(conversation(smtp), [HELLO, b"HELO [127.0.0.1]\r\n", *envelope(), b"DATA\r\n",
                                   data + b".\r\n"])


@case
def logins(imap):
    plain = base64.b64encode(b"\0me@example.org\0" + PASSWORD.encode())
    name, word = (base64.b64encode(w) for w in (b"me@example.org", PASSWORD.encode()))
    for offered, said in (("LOGIN PLAIN", [b"AUTH PLAIN " + plain]),
                          ("LOGIN", [b"AUTH LOGIN", name, word])):
        with SmtpServer(auth=offered, tls="implicit", cert=cert_of(imap)) as smtp, \
                Desk(imap, smtp, login="me%40example.org") as desk:
            equal(desk.post("a.eml", note("a")), 0)
            equal(smtp.sessions[0].chunks[:1 + len(said)], [HELLO, *(s + b"\r\n" for s in said)])
            equal(bytes(smtp.sessions[0].clear), b"")
            shown = desk.mount.text(".mailfs/log") + desk.queue() + desk.mount.errors()
            assert PASSWORD not in shown and plain.decode() not in shown, shown


@case
def the_login_is_that_of_the_mail_unless_another_is_named(imap):
    with SmtpServer(auth="PLAIN", tls="implicit", cert=cert_of(imap)) as smtp:
        with Desk(imap, smtp) as desk:
            equal(desk.post("a.eml", note("a")), 0)
            equal(smtp.sessions[-1].login, ("PLAIN", desk.user, PASSWORD))
        with scratch() as directory:
            (directory / "secret").write_text("wrong\n")
            (directory / "secret").chmod(0o600)
            with Desk(imap, smtp, [f"smtp_password_file={directory}/secret"], "me") as desk:
                equal(desk.post("b.eml", note("b")), errno.EACCES)
                equal(smtp.sessions[-1].login, ("PLAIN", "me", "wrong"))
                equal(desk.waiting(), ["b.eml"])


@case
def no_login_where_none_is_offered_or_wanted(imap):
    for auth, login, verdict in (("", None, 0), ("", "me", errno.EACCES),
                                 ("GSSAPI", "me", errno.EACCES)):
        with SmtpServer(auth=auth) as smtp, Desk(imap, smtp, login=login) as desk:
            equal(desk.post("a.eml", note("a")), verdict, f"{auth!r} {login}")
            equal(len(smtp.accepted()), 0 if verdict else 1)
            if verdict:
                equal(smtp.seen("MAIL|AUTH"), [])
                equal(desk.waiting(), ["a.eml"])


@case
def what_the_server_cannot_take_is_not_begun(imap):
    big = note("big", body=b"0123456789\r\n" * 6000)
    eight = note("eight", body="Grüße\r\n".encode())
    named = note("named", extra="X-Name: Jürgen\r\n")
    local = note("local", to="jürgen@example.org")
    with SmtpServer(["PIPELINING", "SIZE 70000"]) as smtp, Desk(imap, smtp) as desk:
        equal(desk.post("big.eml", big), errno.EMSGSIZE)
        # Now it is known.
        fails(errno.EFBIG, desk.write, "bigger.eml", big)
        os.unlink(desk / "bigger.eml")
        equal(desk.post("ok.eml", note("ok")), 0)
        for name, data in (("eight", eight), ("named", named), ("local", local)):
            equal(desk.post(f"{name}.eml", data), errno.EINVAL, name)
        equal(len(smtp.seen("MAIL|RCPT")), 2)
        equal(desk.failed(), sorted(n + e for n in ("big", "eight", "named", "local")
                                    for e in (".eml", ".eml.err")))
        assert "70000" in desk.reason("big.eml"), desk.reason("big.eml")
        for name in ("eight", "named", "local"):
            assert "8BITMIME" in desk.reason(f"{name}.eml"), desk.reason(f"{name}.eml")
    with SmtpServer(["8BITMIME"]) as smtp, Desk(imap, smtp) as desk:
        equal(desk.post("local.eml", local), errno.EINVAL)
        assert "SMTPUTF8" in desk.reason("local.eml"), desk.reason("local.eml")
        # A header as many a program writes it has always gone as it is.
        equal(desk.post("named.eml", named), 0)
        equal(conversation(smtp)[1:3], envelope(b" BODY=8BITMIME"))
        equal(smtp.letters[0].data, named)


@case
def no_server_can_close_the_outbox_for_good(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        smtp.on("EHLO", "250-scripted.example\r\n250 SIZE 1")
        equal(desk.post("a.eml", note("a")), errno.EMSGSIZE)
        smtp.hang_up()
        equal(desk.post("b.eml", note("b")), 0)
        equal([a.data for a in smtp.letters], [note("b")])


@case
def eight_bits_are_announced(imap):
    eight = note("eight", body="Grüße\r\n".encode())
    named = note("named", sender="Jürgen <ann@example.org>")
    local = note("local", to="jürgen@example.org")
    domain = note("domain", to="Bob <bob@münchen.example>")
    for data, mail, rcpt in (
            (note("seven"), b"", b"<bob@example.org>"),
            (eight, b" BODY=8BITMIME", b"<bob@example.org>"),
            (named, b" BODY=8BITMIME SMTPUTF8", b"<bob@example.org>"),
            (local, b" BODY=8BITMIME SMTPUTF8", "<jürgen@example.org>".encode())):
        with SmtpServer() as smtp, Desk(imap, smtp) as desk:
            equal(desk.post("a.eml", data), 0)
            equal(conversation(smtp)[1], b"".join(envelope(sized(data) + mail, [rcpt])))
            equal(smtp.letters[0].data, data)
    # Its own letters are needed in the header alone.
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        equal(desk.post("a.eml", domain), 0)
        assert smtp.letters[0].recipients[0] in ("bob@xn--mnchen-3ya.example",
                                                 "bob@münchen.example"), smtp.letters
        equal(smtp.letters[0].data, domain)
    with SmtpServer(["8BITMIME"]) as smtp, Desk(imap, smtp) as desk:
        with_words = note("word", to="=?utf-8?Q?J=C3=BCrgen?= <bob@xn--mnchen-3ya.example>")
        equal(desk.post("a.eml", with_words), 0)
        equal(smtp.letters[0].recipients, ["bob@xn--mnchen-3ya.example"])


@case
def reports_are_asked_for(imap):
    data = note("report")
    for options, caps, mail, rcpt in (
            (["dsn_notify=never"], CAPS, rb"", b" NOTIFY=NEVER"),
            (["dsn_notify=success+failure+delay"], CAPS, rb"", b" NOTIFY=SUCCESS,FAILURE,DELAY"),
            ([], CAPS, rb"", b""), (["dsn_notify=delay"], BARE, b"", b"")):
        with SmtpServer(caps) as smtp, Desk(imap, smtp, options) as desk:
            equal(desk.post("a.eml", data), 0)
            sent = re.sub(rb" (RET=HDRS|RET=FULL|ENVID=\S+)", rb"",
                          bytes(smtp.sessions[0].received))
            size = sized(data) if caps is CAPS else b""
            equal(sent, HELLO + b"".join(envelope(size + mail, [b"<bob@example.org>" + rcpt]))
                  + b"DATA\r\n" + data + b".\r\n")


@case
def the_text_that_is_sent(imap):
    head = note("text", body=b"")
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        for body, wanted in ((b".\r\n..\r\n.a\r\n", b".\r\n..\r\n.a\r\n"),
                             (b"no end", b"no end\r\n"), (b".", b".\r\n"), (b"", b""),
                             (b"a\nb\rc\r\nd\r", b"a\r\nb\r\nc\r\nd\r\n"),
                             (b"\n\n\n", b"\r\n\r\n\r\n"),
                             (b"x" * 998 + b"\n", b"x" * 998 + b"\r\n")):
            equal(desk.post("a.eml", head + body), 0)
            equal(smtp.letters[-1].data, head + wanted)
        equal(desk.post("a.eml", head.replace(b"\r\n", b"\n") + b"lf\n"), 0)
        equal(smtp.letters[-1].data, head + b"lf\r\n")
        secret = note("bcc", extra="Bcc: eve@example.org,\r\n mallory@example.org\r\n")
        equal(desk.post("a.eml", secret), 0)
        equal(smtp.letters[-1].data, note("bcc"))
        equal(smtp.letters[-1].recipients,
              ["bob@example.org", "eve@example.org", "mallory@example.org"])
        equal(desk.post("a.eml", b"To: bob@example.org\nSubject: bare\n\nbody\n"), 0)
        added, own, _ = smtp.letters[-1].data.partition(b"To: bob@example.org\r\n")
        equal(smtp.letters[-1].data[len(added + own):], b"Subject: bare\r\n\r\nbody\r\n")
        equal(sorted(line.split(b":")[0] for line in added.splitlines()),
              [b"Date", b"From", b"Message-ID"])
        for bad in (b"nul \0 here\n", b"x" * 999 + b"\n"):
            equal(desk.post("bad.eml", head + bad), errno.EINVAL)
            (desk / "failed/bad.eml").unlink()


def normal(data):
    return re.sub(rb"\r\n|\r|\n", b"\r\n", data)


@case
def nothing_in_a_text_ends_it(imap):
    evil = (b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\r\n.\r", b"\r.\r\n", b"\r\r\n.\r\r\n",
            b"\r\n.\r\n", b"\n\r.\n\r", b"\r\n\r\n.\r\n.\r\n")
    rest = b"MAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n"
    line = b"0123456789abcde\n"
    head = note("smuggled", body=b"")
    print(f"# seed {SEED}")
    chance = random.Random(SEED)
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        # Each sequence around each boundary that anybody may read or write by.
        body = bytearray(line * (65536 // 16 * 9))
        for at in range(8192, len(body) - 4096, 8192):
            piece = chance.choice(evil)
            start = at - len(head) - chance.randrange(len(piece) + 1)
            body[start:start + len(piece)] = piece
        for sequence in evil:
            body += b"text" + sequence + rest
        for wild in (bytes(body), bytes(chance.choices(b"\r\n.x", k=300000)) + b".",
                     b"".join(s + rest for s in evil)):
            equal(desk.post("a.eml", head + wild), 0)
            wanted = normal(head + wild)
            wanted += b"" if wanted.endswith(b"\r\n") else b"\r\n"
            equal(smtp.letters[-1].data == wanted, True, "the text as it was written")
        equal(len(smtp.letters), 3)
        equal(smtp.seen("eve"), [])


@case
def no_address_becomes_a_command(imap):
    to_bob = b"Subject: x\r\nTo: bob@example.org\r\n"
    heads = [b"Subject: x\r\nTo: " + to + b"\r\n" for to in (
        b'"a\0b"@example.org', b"bob@exam\0ple.org", b"bob\r@example.org",
        b"bob@example.org\rRCPT TO:<eve@example.org>",
        b"bob@example.org>\nRCPT TO:<eve@example.org",
        b'"x\r\n RCPT TO:<eve@example.org>\r\n "@example.org', b"<bob@example.org> SIZE=1>",
        b"=?utf-8?Q?bob=40example.org=0D=0ARCPT_TO:=3Ceve@example.org=3E?=",
        b"=?utf-8?Q?=0D=0ARCPT_TO:?= <bob@example.org>", b"bob@example.org\x0b",
        b'"a\\\0b"@example.org', b'"a\\\r\n b"@example.org', b"bob@[127.0.0.1\r\n RCPT]",
        b"<@eve@example.org:bob@example.org>")]
    heads += [to_bob + b"From: " + who + b"\r\n" for who in (
        b"ann@example.org\rRSET", b"ann\0@example.org", b'"\r\n RSET\r\n "@example.org',
        b"<ann@example.org> BODY=8BITMIME>")]
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        for number, head in enumerate(heads):
            verdict = desk.post(f"{number}.eml", head + b"\r\nbody\r\n")
            assert verdict in (0, errno.EINVAL), f"{head}: {verdict}"
        equal(smtp.seen("^(RCPT TO:<(?!\"?bob|\"x|\"a)|RSET)|eve@example.org>$"), [])
        for letter in smtp.letters:
            equal(len(letter.recipients), 1, letter)


# --- TLS ---


@case
def with_tls_nothing_is_said_without(imap):
    data = note("safe")
    for tls, clear in (("starttls", HELLO + b"STARTTLS\r\n"), ("implicit", b"")):
        with SmtpServer(auth="PLAIN", tls=tls, cert=cert_of(imap)) as smtp, \
                Desk(imap, smtp) as desk:
            equal(desk.post("a.eml", data), 0)
            equal(bytes(smtp.sessions[0].clear), clear)
            equal(len(smtp.seen("^EHLO")), 2 if clear else 1)
            equal(smtp.letters[0].data, data)
            equal(smtp.letters[0].session.login[0], "PLAIN")


@case
def without_tls_nothing_is_sent(imap):
    refusals = [{"stripped": True}, {"caps": None}, {}, {}, {}]
    steps = [None, None, "502 5.5.1 no", "454 4.7.0 not now",
             b"220 go\r\n250 2.1.0 injected\r\n235 2.7.0 in\r\n"]
    for extra, step in zip(refusals, steps):
        with SmtpServer(auth="PLAIN", tls="starttls", cert=cert_of(imap), **extra) as smtp, \
                Desk(imap, smtp) as desk:
            smtp.always("STARTTLS", step)
            verdict = desk.post("a.eml", note("a"))
            assert verdict in (errno.EACCES, errno.EAGAIN, errno.EIO), f"{step}: {verdict}"
            equal(smtp.seen("MAIL|AUTH|RCPT"), [], step)
            for session in smtp.sessions:
                equal(session.secure, False, step)
                assert bytes(session.clear).startswith(HELLO)
                # Nor did it answer the injected ones in TLS.
                rest = bytes(session.clear).removeprefix(HELLO)
                assert rest in (b"", b"STARTTLS\r\n", b"STARTTLS\r\nQUIT\r\n", b"QUIT\r\n",
                                b"HELO [127.0.0.1]\r\n"), rest
            equal(desk.waiting(), ["a.eml"])
            if step:
                smtp.clear()
                desk.hurry()
                desk.settles()
                equal(len(smtp.accepted()), 1)


@case
def a_stranger_gets_nothing(imap):
    with scratch() as directory:
        authority = Authority(directory / "tls")
        cert = authority.certify("stranger", "DNS:localhost,IP:127.0.0.1")
        for tls in ("implicit", "starttls"):
            with SmtpServer(auth="PLAIN", tls=tls, cert=cert) as smtp, Desk(imap, smtp) as desk:
                equal(desk.post("a.eml", note("a")), errno.EACCES)
                assert smtp.sessions and not smtp.seen("AUTH|MAIL")
                assert "certificate" in desk.queue().lower(), desk.queue()
                equal(desk.waiting(), ["a.eml"])


# --- slow and strange servers ---


@case
def a_slow_server_is_waited_for(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        greeting = b"220-scripted\r\n220-" + b"x" * 300 + b"\r\n220 now\r\n"
        held = smtp.on("GREETING", Hold(Drip(greeting)))
        smtp.on("MAIL", Drip(b"250-2.1.0 on\r\n250 2.1.0 ok\r\n"))
        posting = in_background(desk.post, "a.eml", note("a"))
        held.wait()
        equal(desk.waiting(), ["a.eml"])
        out("ls", desk.mount / "INBOX")
        equal(smtp.sessions[0].chunks, [])
        held.go.set()
        posting.join(30)
        equal(posting.outcome, 0)
        equal(len(smtp.accepted()), 1)


@case
def endless_replies_are_cut_off(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        equal(desk.post("first.eml", note("first")), 0)
        before = desk.mount.memory_kib()
        for step in ("GREETING", "EHLO", "MAIL", "DATA", "TEXT"):
            code = {"GREETING": b"220", "DATA": b"354"}.get(step, b"250")
            for data in (code + b"-more\r\n", code + b" ok\r\n", b"x" * 1000, b"\0", b"\r\n"):
                name = f"{step}{len(data)}{data[-1]}"
                smtp.hang_up()
                smtp.on(step, Endless(data))
                verdict = desk.post(f"{name}.eml", note(name))
                done = code + b" ok\r\n" == data and step == "TEXT"
                assert verdict != 0 or done, name
                if not done:
                    equal(desk.waiting() + desk.failed()[:1],
                          [f"{name}.eml"], f"{name} {verdict}")
                smtp.clear()
                desk.hurry()
                desk.settles()
                if desk.failed():
                    # An answer too many behind 354 may be one to the text.
                    assert step == "TEXT" or data == b"354 ok\r\n", name
                    assert "unknown" in desk.reason(f"{name}.eml"), name
                    os.unlink(desk / f"failed/{name}.eml")
        equal(len({message_id(a.data) for a in smtp.accepted()}), len(smtp.letters))
        assert SANITIZED or desk.mount.memory_kib() < before + 40000


@case
def nonsense_is_no_answer(imap):
    with SmtpServer() as smtp, Desk(imap, smtp) as desk:
        for number, words in enumerate((b"ok\r\n", b"25\r\n", b"99 no\r\n", b"600 no\r\n",
                                        b"2500 ok\r\n", b"250-a\r\n251 b\r\n", b"\r\n",
                                        b"-1 ok\r\n", b"250ok\r\n", b"354 go\r\n",
                                        b"1" * 5000 + b"\r\n", b"250 \0\x1b[2J\xff\r\n")):
            name = f"{number}.eml"
            smtp.hang_up()
            smtp.on("MAIL", words)
            verdict = desk.post(name, note(str(number)))
            # The last one is an answer, with text that must not reach a terminal.
            assert (verdict == 0) == (words in (b"250 \0\x1b[2J\xff\r\n",)), f"{words} {verdict}"
            shown = desk.queue() + desk.mount.text(".mailfs/log")
            assert not re.search("[\0\x1b]", shown), shown
            if verdict:
                equal(desk.waiting(), [name], words)
                desk.hurry()
                desk.settles()
        equal(len(smtp.accepted()), 12)
        equal(desk.failed(), [])


main(Dovecot)
