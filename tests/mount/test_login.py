"""How mailfs logs in: each mechanism at a real IMAP, POP3 and submission server, what the servers
note of it, and what is said when it fails."""

import base64
import contextlib
import hashlib
import hmac
import os
import re
from collections import namedtuple

from dovecot import PASSWORD
from harness import (Dovecot, Home, Mount, case, equal, mail, main, run, start_error,
                     wait_until)
from scripted import Folder, Relay, ScriptedServer
from smtp_script import SmtpServer

PASSWORDS = ("plain", "login", "scram-sha-1", "scram-sha-256", "cram-md5")
OFFERED = "plain login scram-sha-1 scram-sha-256 cram-md5 external"
World = namedtuple("World", "dovecot relay")


@contextlib.contextmanager
def fixture():
    with SmtpServer(caps=()) as relay, \
            Dovecot(mechanisms=OFFERED, pop3=True, certificates=True, relay=relay.port) as dovecot:
        for user in ("alice", "bob"):
            dovecot.deliver([(mail("hello"), 1700000000)], user=user)
        yield World(dovecot, relay)


@contextlib.contextmanager
def a_home(password=PASSWORD):
    home = Home()
    home.secret.write_text(password + "\n")
    try:
        yield home
    finally:
        home.remove()


def methods(dovecot, service, user="alice"):
    """What Dovecot says how they logged in, from the first to the last."""
    text = (dovecot.dir / "dovecot.log").read_text(errors="replace")
    return re.findall(rf"{service}-login: Info: Login: user=<{user}>, method=([A-Z0-9-]+)", text)


def last_method(dovecot, service, user="alice"):
    """Its log may be behind."""
    wait_until(lambda: methods(dovecot, service, user), what="a login in the log")
    return methods(dovecot, service, user)[-1]


def forget(dovecot):
    (dovecot.dir / "dovecot.log").write_text("")


def reads(mount):
    names = os.listdir(mount / "INBOX")
    equal(len([n for n in names if n.endswith(".eml")]), 1)


def logs_in(world, options, method, url=None, user="alice", arguments=()):
    """The way in which it does so; and the mail is there."""
    dovecot = world.dovecot
    service = "pop3" if url and url.startswith("pop3") else "imap"
    forget(dovecot)
    with a_home() as home:
        trust = [f"tls_ca={dovecot.ca}"]
        with Mount(url or dovecot.url(user), [*trust, *options], home=home,
                   arguments=arguments) as mount:
            reads(mount)
        equal(last_method(dovecot, service, user), method)


def refused(world, options, words, code=77, password=PASSWORD, url=None):
    """The program ends with this code and says why, in words that hold no secret."""
    with a_home(password) as home:
        mount = Mount(url or world.dovecot.url(), [f"tls_ca={world.dovecot.ca}", *options],
                      home=home)
        text = start_error(mount)
        home.check_reports()
    assert f"ended with {code}:" in text, text
    assert words in text, text
    assert password not in text, text


def client(world, user, **options):
    """tls_cert= and tls_key= for a user."""
    cert, key = world.dovecot.authority.certify(user, f"email:{user}@example.org", **options)
    return [f"tls_cert={cert}", f"tls_key={key}"]


# --- each mechanism ---


@case
def imap_by_each(world):
    for mechanism in PASSWORDS:
        logs_in(world, [f"auth={mechanism}"], mechanism.upper())


@case
def imap_starttls(world):
    logs_in(world, ["auth=scram-sha-256"], "SCRAM-SHA-256", url=world.dovecot.url(tls=False))


@case
def pop3_by_each(world):
    for mechanism in PASSWORDS:
        logs_in(world, [f"auth={mechanism}"], mechanism.upper(), url=world.dovecot.pop3_url())


@case
def pop3_stls(world):
    logs_in(world, ["auth=scram-sha-256"], "SCRAM-SHA-256",
            url=world.dovecot.pop3_url(tls=False))


def submits(world, options, method, tls=True):
    """A mail goes out, by this login."""
    dovecot = world.dovecot
    forget(dovecot)
    before = len(world.relay.accepted())
    with a_home() as home:
        given = [f"smtp={dovecot.smtp_url(tls)}", "send_delay=0", "from=alice@example.org",
                 "save_sent=no", *options]
        with Mount(dovecot, given, home=home) as mount:
            draft = home.dir / "draft"
            draft.write_text("To: bob@example.org\nSubject: hello\n\nHello.\n")
            run("cp", draft, mount / "outbox" / "a.eml")
            wait_until(lambda: len(world.relay.accepted()) == before + 1, what="the mail")
            run("sync", mount / "outbox")
    equal(last_method(dovecot, "submission"), method)


@case
def smtp_by_each(world):
    for mechanism in PASSWORDS:
        submits(world, [f"smtp_auth={mechanism}"], mechanism.upper())


@case
def smtp_starttls(world):
    submits(world, ["smtp_auth=scram-sha-256"], "SCRAM-SHA-256", tls=False)


@case
def auth_is_for_both(world):
    submits(world, ["auth=scram-sha-1"], "SCRAM-SHA-1")
    equal(methods(world.dovecot, "imap")[-1], "SCRAM-SHA-1")


# --- certificates ---


@case
def external(world):
    cert = client(world, "alice")
    logs_in(world, cert, "EXTERNAL")
    logs_in(world, cert, "EXTERNAL", url=world.dovecot.url(tls=False))
    logs_in(world, cert, "EXTERNAL", url=world.dovecot.pop3_url())
    submits(world, cert, "EXTERNAL")
    equal(methods(world.dovecot, "imap")[-1], "EXTERNAL")


@case
def external_needs_no_password(world):
    """Nobody is asked for one, and who the certificate names counts."""
    cert = client(world, "bob")
    logs_in(world, [*cert, "auth=external", "password_file=/nonexistent"], "EXTERNAL", user="bob")


@case
def certificate_and_key_in_one_file(world):
    cert, key = world.dovecot.authority.certify("alice", "email:alice@example.org")
    both = cert.with_name("both.pem")
    both.write_text(cert.read_text() + key.read_text())
    both.chmod(0o600)
    logs_in(world, [f"tls_cert={both}"], "EXTERNAL")
    both.chmod(0o644)
    refused(world, [f"tls_cert={both}"], f"tls_cert={both}: ", 78)


@case
def certificates_that_cannot_be_used(world):
    cert, key = world.dovecot.authority.certify("alice", "email:alice@example.org")
    _, other = world.dovecot.authority.certify("bob", "email:bob@example.org")
    secret = key.with_name("secret.key")
    run("openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", secret)
    secret.chmod(0o600)
    refused(world, [f"tls_cert={cert}"], f"tls_cert={cert}: ", 78)
    os.chmod(cert, 0o600)
    refused(world, [f"tls_cert={cert}"], f"tls_cert={cert}: no key in it, give tls_key=FILE", 78)
    refused(world, [f"tls_cert={cert}", f"tls_key={other}"],
            f"tls_key={other}: the key is not that of the certificate", 78)
    refused(world, [f"tls_cert={cert}", f"tls_key={cert}"], f"tls_key={cert}: no key in it", 78)
    refused(world, [f"tls_cert={cert}", f"tls_key={secret}"],
            f"tls_key={secret}: the key is encrypted, mailfs has nobody to ask", 78)
    refused(world, ["tls_cert=/nonexistent.pem"], "tls_cert=/nonexistent.pem: No such file", 78)
    os.chmod(key, 0o644)
    refused(world, [f"tls_cert={cert}", f"tls_key={key}"], f"tls_key={key}: ", 78)
    refused(world, [f"tls_key={key}"], "tls_key means nothing without tls_cert=FILE", 64)


@case
def without_a_certificate_there_is_no_external(world):
    refused(world, ["auth=external"], "the server offers no login that may be used", 77)


# --- choice ---


@case
def the_best_is_taken(world):
    logs_in(world, [], "SCRAM-SHA-256")
    logs_in(world, [], "SCRAM-SHA-256", url=world.dovecot.pop3_url())
    logs_in(world, ["auth=plain:scram-sha-1:login"], "SCRAM-SHA-1")


@case
def what_may_be_used_is_not_offered(world):
    words = ("the server offers no login that may be used (it offers PLAIN LOGIN SCRAM-SHA-1 "
             "SCRAM-SHA-256 CRAM-MD5 EXTERNAL, and these may: ")
    refused(world, ["auth=scram-sha-256-plus"], words + "SCRAM-SHA-256-PLUS)")
    with Dovecot() as plain:
        other = World(plain, None)
        refused(other, ["auth=scram-sha-256:scram-sha-1"],
                "(it offers PLAIN LOGIN, and these may: SCRAM-SHA-256 SCRAM-SHA-1)")


# --- wrong passwords ---


@case
def a_wrong_password(world):
    for url in (world.dovecot.url(), world.dovecot.pop3_url()):
        for mechanism in PASSWORDS:
            refused(world, [f"auth={mechanism}"], "login refused", password="wrong-horse",
                    url=url)


@case
def a_login_is_not_traced(world):
    """-d shows neither password nor what could be guessed from."""
    with a_home() as home:
        with Mount(world.dovecot, ["auth=scram-sha-256"], home=home, arguments=["-d"]) as mount:
            reads(mount)
            text = mount.errors()
        whole = mount.stderr.read_text(errors="replace")
    assert "AUTHENTICATE SCRAM-SHA-256" in whole, text
    assert PASSWORD not in whole, text
    # "c=biws", as the client's last message begins
    assert "Yz1iaXdz" not in whole, text


# --- servers that lie ---


def salted(password, salt, iterations):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def signature(password, salt, iterations, auth):
    key = hmac.digest(salted(password, salt, iterations), b"Server Key", "sha256")
    return base64.b64encode(hmac.digest(key, auth.encode(), "sha256")).decode()


class Liar:
    """A SCRAM server that knows the password, but for what a test makes it say otherwise: `first`
    of the client's nonce, `last` of the right signature. `said` is what the client sent."""

    def __init__(self, first=None, last=None):
        self.first = first or (lambda nonce: f"r={nonce}X,s=c2FsdA==,i=4096")
        self.last = last or (lambda right: f"v={right}")
        self.said = []

    def hear(self, connection):
        line = connection.reader.readline().decode().strip()
        self.said.append(line)
        return line

    def tell(self, connection, text):
        connection.say(f"+ {base64.b64encode(text.encode()).decode()}\r\n")
        return self.hear(connection)

    def __call__(self, connection, verb, argument, tag):
        if verb != b"AUTHENTICATE":
            return None
        name, _, initial = argument.decode().partition(" ")
        self.said.append(name)
        bare = base64.b64decode(initial).decode()[len("n,,"):]
        first = self.first(bare.partition("r=")[2])
        if not first:
            return "OK you are in"
        answer = self.tell(connection, first)
        if answer == "*":
            return "BAD cancelled"
        without = base64.b64decode(answer).decode().rpartition(",p=")[0]
        right = signature(PASSWORD, b"salt", 4096, f"{bare},{first},{without}")
        last = self.last(right)
        if not last:
            return "OK you are in"
        self.tell(connection, last)
        # Also to who cancelled it.
        return "OK you are in"


def lied_to(liar, words, said):
    """It is not mounted, and the client has said so much."""
    box = {b"INBOX": Folder({})}
    with ScriptedServer(box, capability="IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN",
                        evil=liar) as server, a_home() as home:
        mount = Mount(server.url(), ["tls=off"], home=home)
        text = start_error(mount)
    assert "ended with 77:" in text and words in text, text
    equal([re.sub("^[A-Za-z0-9+/=]{20,}$", "proof", line) for line in liar.said],
          ["SCRAM-SHA-256", *said])


@case
def an_honest_one(_):
    """So that the others are refused for their lies alone."""
    liar = Liar()
    box = {b"INBOX": Folder({})}
    with ScriptedServer(box, capability="IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN",
                        evil=liar) as server:
        with Mount(server.url(), ["tls=off"]) as mount:
            equal(os.listdir(mount / "INBOX"), [])


@case
def a_wrong_signature(_):
    other = base64.b64encode(bytes(32)).decode()
    lied_to(Liar(last=lambda right: f"v={other}"),
            "does not prove by SCRAM-SHA-256 that it knows the password", ["proof", "*"])


@case
def an_early_success(_):
    lied_to(Liar(last=lambda right: None), "is done before it is", ["proof"])
    lied_to(Liar(first=lambda nonce: None), "is done before it is", [])


@case
def another_nonce(_):
    lied_to(Liar(first=lambda nonce: "r=QUJDREVGR0hJSktMTU5PUFFS,s=c2FsdA==,i=4096"),
            "does not belong to this login", ["*"])


@case
def iterations_beyond_reason(_):
    for count, words in ((1, "fewer than 4096 iterations"), (4095, "fewer than 4096 iterations"),
                         (1000001, "more than 1000000 iterations")):
        lied_to(Liar(first=lambda nonce, i=count: f"r={nonce}X,s=c2FsdA==,i={i}"), words, ["*"])


@case
def stripped(_):
    """Who pins is not brought down to a worse login."""
    with ScriptedServer({b"INBOX": Folder({})},
                        capability="IMAP4rev1 SASL-IR AUTH=PLAIN") as server, a_home() as home:
        mount = Mount(server.url(), ["tls=off", "auth=scram-sha-256"], home=home)
        text = start_error(mount)
        assert "(it offers PLAIN, and these may: SCRAM-SHA-256)" in text, text


@case
def brought_down_later(_):
    """A server that took a proof is not told the password, but where the user pins that."""
    liar = Liar()
    logins = []

    def honest(connection, verb, argument, tag):
        if verb in (b"AUTHENTICATE", b"LOGIN"):
            logins.append(argument.split(b" ")[0])
        return "OK in" if argument.startswith(b"PLAIN ") else liar(connection, verb, argument, tag)

    best = "IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN"
    for options, is_told in (([], False), (["auth=plain:scram-sha-256"], True)):
        logins.clear()
        with ScriptedServer({b"INBOX": Folder({})}, capability=best, evil=honest) as server, \
                Relay(server.port) as relay, \
                Mount(f"imap://alice@127.0.0.1:{relay.port}", ["tls=off", *options]) as mount:
            usual = server.greeting
            server.greeting = usual.replace(b"AUTH=SCRAM-SHA-256 ", b"")
            relay.cut()
            if is_told:
                wait_until(lambda: b"PLAIN" in logins, what="another login")
                continue
            wait_until(lambda: "it took a better one before" in mount.text(".mailfs/log"),
                       what="the reason")
            server.greeting = usual
            wait_until(lambda: "\nstate: online" in mount.text(".mailfs/status"), what="a login")
            equal(set(logins), {b"SCRAM-SHA-256"})


@case
def brought_down_later_elsewhere(world):
    """The same of a maildrop, and of the server that sends."""
    with Dovecot(mechanisms="scram-sha-256 plain", pop3=True, relay=world.relay.port) as dovecot:
        options = [f"tls_ca={dovecot.ca}", f"smtp={dovecot.smtp_url()}", "send_delay=0", "poll=1",
                   "from=alice@example.org"]
        dovecot.deliver([(mail("hello"), 1700000000)])
        with Mount(dovecot.pop3_url(), options) as mount:
            (mount / "outbox/a.eml").write_text("To: bob@example.org\nSubject: a\n\nHello.\n")
            run("sync", mount / "outbox")
            for service in ("pop3", "submission"):
                equal(last_method(dovecot, service), "SCRAM-SHA-256")
            dovecot.stop()
            dovecot.config.write_text(dovecot.config.read_text().replace(
                "auth_mechanisms = scram-sha-256 plain", "auth_mechanisms = plain"))
            forget(dovecot)
            dovecot.start()
            (mount / "outbox/b.eml").write_text("To: bob@example.org\nSubject: b\n\nHello.\n")
            wait_until(lambda: "a better one before" in mount.text(".mailfs/queue"),
                       what="the reason of that which sends")
            wait_until(lambda: (os.listdir(mount / "INBOX"), re.search(
                r"\d: the server offers no .* a better one before", mount.text(".mailfs/log")))[1],
                       what="the reason of the maildrop")
            run("rm", mount / "outbox/b.eml")
            equal(methods(dovecot, "pop3") + methods(dovecot, "submission"), [])


main(fixture)
