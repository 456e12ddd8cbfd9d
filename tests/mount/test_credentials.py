"""Where passwords and tokens come from, how they are found again, and that no server is shown twice
what it refused."""

import contextlib
import errno
import http.server
import json
import os
import re
import signal
import threading
import urllib.parse
from collections import namedtuple

from changing import fails
from dovecot import PASSWORD
from guarding import Source, a_home, becomes, change_password, guarded, lines, reconnect, state
from harness import (Dovecot, Mount, case, equal, is_mounted, mail, main, run, start_error,
                     wait_until)
from pop3_script import Pop3Server
from scripted import Relay
from sending import note
from smtp_script import Hold, SmtpServer

World = namedtuple("World", "dovecot relay tokens")


class Tokens:
    """Says what Dovecot asks: whose a token is (RFC 7662)."""

    def __init__(self):
        self.users = {}
        self.asked = []
        tokens = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                token = query.get("token", [""])[0]
                tokens.asked.append(token)
                user = tokens.users.get(token)
                answer = {"active": user is not None, **({"username": user} if user else {})}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def fixture():
    with Tokens() as tokens, SmtpServer(caps=()) as relay, \
            Dovecot(mechanisms="plain login oauthbearer xoauth2", pop3=True, tokens=tokens.port,
                    relay=relay.port) as dovecot:
        dovecot.deliver([(mail("hello"), 1700000000)])
        yield World(dovecot, relay, tokens)


def methods(dovecot, service):
    text = (dovecot.dir / "dovecot.log").read_text(errors="replace")
    return re.findall(rf"{service}-login: Info: Login: user=<alice>, method=([A-Z0-9-]+)", text)


def forget(dovecot):
    (dovecot.dir / "dovecot.log").write_text("")


def reads(mount):
    equal(len([n for n in os.listdir(mount / "INBOX") if n.endswith(".eml")]), 1)


def refused_at_start(mount, code, words):
    text = start_error(mount)
    mount.home.check_reports()
    assert f"ended with {code}:" in text and words in text and PASSWORD not in text, text


# --- tokens ---


def token_mount(world, home, source, options=(), url=None):
    return Mount(url or world.dovecot.url(),
                 [f"tls_ca={world.dovecot.ca}", f"oauth2_token_command={source.command}", *options],
                 home=home, secret=False)


@case
def logs_in_by_a_token(world):
    dovecot = world.dovecot
    world.tokens.users = {"good": "alice"}
    for service, url in (("imap", dovecot.url()), ("pop3", dovecot.pop3_url())):
        for options, method in (([], "OAUTHBEARER"), (["auth=oauthbearer"], "OAUTHBEARER"),
                                (["auth=xoauth2"], "XOAUTH2")):
            forget(dovecot)
            with a_home() as home:
                source = Source(home, "token", "good")
                with token_mount(world, home, source, options, url) as mount:
                    reads(mount)
                equal(source.count(), 1)
            wait_until(lambda: methods(dovecot, service), what="a login in the log")
            equal(set(methods(dovecot, service)), {method})


@case
def mail_goes_out_by_the_same_token(world):
    world.tokens.users = {"good": "alice"}
    for method in ("oauthbearer", "xoauth2"):
        forget(world.dovecot)
        before = len(world.relay.accepted())
        with a_home() as home:
            source = Source(home, "token", "good")
            options = [f"smtp={world.dovecot.smtp_url()}", f"smtp_auth={method}", "send_delay=0",
                       "from=alice@example.org", "save_sent=no"]
            with token_mount(world, home, source, options) as mount:
                (mount / "outbox/a.eml").write_bytes(note("a"))
                run("sync", mount / "outbox")
            equal(source.count(), 1)
        equal(len(world.relay.accepted()), before + 1)
        wait_until(lambda: methods(world.dovecot, "submission"), what="a login in the log")
        equal(methods(world.dovecot, "submission"), [method.upper()])


@case
def an_expired_token_is_replaced_once(world):
    world.tokens.users = {"new": "alice"}
    for url in (world.dovecot.url(), world.dovecot.pop3_url()):
        world.tokens.asked.clear()
        with a_home() as home:
            source = Source(home, "token", "new")
            source.command = (f"echo >>{source.runs}; test $(wc -l <{source.runs}) = 1 && "
                              f"echo old || cat {source.path}")
            with token_mount(world, home, source, url=url) as mount:
                reads(mount)
                equal(state(mount), "online")
            equal(source.count(), 2)
        equal(world.tokens.asked.count("old"), 1)


@case
def a_token_that_is_refused_again_ends_it(world):
    world.tokens.users = {}
    for method in ("oauthbearer", "xoauth2"):
        world.tokens.asked.clear()
        with a_home() as home:
            source = Source(home, "token", "stale")
            refused_at_start(token_mount(world, home, source, [f"auth={method}"]), 77,
                             "login refused")
            equal(source.count(), 2)
        equal(world.tokens.asked, ["stale", "stale"])


@case
def a_token_expires_while_it_is_mounted(world):
    world.tokens.users = {"first": "alice"}
    with Relay(world.dovecot.tls_port) as relay, a_home() as home:
        source = Source(home, "token", "first")
        with token_mount(world, home, source, url=f"imaps://alice@127.0.0.1:{relay.port}") as mount:
            reads(mount)
            equal(source.count(), 1)
            world.tokens.users = {"second": "alice"}
            source.set("second")
            relay.cut()
            wait_until(lambda: source.count() == 2 and state(mount) == "online", what="a new token")
            # It is kept for the next connection.
            relay.cut()
            wait_until(lambda: lines(mount, "online")[2:] and state(mount) == "online",
                       what="the next connection")
            equal(source.count(), 2)
            world.tokens.users = {}
            relay.cut()
            becomes(mount, "login refused")
            equal(source.count(), 3)
            fails(errno.EACCES, os.mkdir, mount / "New")
            world.tokens.users = {"third": "alice"}
            source.set("third")
            reconnect(mount)
            becomes(mount, "online")
            equal(source.count(), 4)


@case
def the_net_is_away_when_a_token_is_wanted(world):
    """Whoever gives tokens is tried again, without a word of anybody."""
    world.tokens.users = {"good": "alice"}
    with a_home() as home:
        source = Source(home, "token", "good")
        source.command = f"echo >>{source.runs}; test $(wc -l <{source.runs}) -gt 2 && echo good"
        with token_mount(world, home, source, ["delay_connect"]) as mount:
            becomes(mount, "online")
            reads(mount)
            assert lines(mount, "oauth2_token_command failed with exit status 1"), "no word of it"


# --- a refused password ---


def ask_a_lot(mount):
    """All that makes it want a connection."""
    for _ in range(20):
        run("cat", mount / "INBOX/2.eml", check=False)
        run("ls", mount / "INBOX", check=False)
        run("sync", mount / "INBOX", check=False)


@case
def a_refused_password_is_tried_once(_):
    with guarded() as (guard, url, relay), Mount(url, ["tls=off", "poll=1"]) as mount:
        equal(run("cat", mount.find(1)).stdout, mail("m1"))
        change_password(guard, relay, mount)
        ask_a_lot(mount)
        equal(len(guard.logins), 1)
        done = run("cat", mount / "INBOX/2.eml", check=False)
        assert b"Permission denied" in done.stderr, done.stderr
        # What is known is still there.
        equal(run("cat", mount / "INBOX/1.eml").stdout, mail("m1"))
        told = lines(mount, "refused")
        equal(len(told), 1)
        assert "not this one" in told[0] and "reconnect" in told[0], told
        assert "last-error: login refused" in mount.text(".mailfs/status")
        # Neither is it without a reason.
        reconnect(mount)
        wait_until(lambda: len(guard.logins) == 2, what="another login")
        becomes(mount, "login refused")
        mount.home.secret.write_text("changed\n")
        ask_a_lot(mount)
        equal(len(guard.logins), 2)
        reconnect(mount)
        becomes(mount, "online")
        equal(run("cat", mount / "INBOX/2.eml").stdout, mail("m2"))


@case
def sighup_finds_the_password_again(_):
    with guarded() as (guard, url, relay), a_home() as home:
        source = Source(home, "password", PASSWORD)
        with Mount(url, ["tls=off", "poll=1", f"password_command={source.command}"], home=home,
                   secret=False) as mount:
            change_password(guard, relay, mount)
            equal(source.count(), 1)
            source.set("changed")
            mount.process.send_signal(signal.SIGHUP)
            becomes(mount, "online")
            equal(source.count(), 2)
            equal(len(guard.logins) >= 2, True)
            # Also when all is well: a new password may be there before the old one is refused.
            mount.process.send_signal(signal.SIGHUP)
            wait_until(lambda: source.count() == 3 and state(mount) == "online", what="it again")


@case
def not_now_is_no_refusal(_):
    for answer in ("NO [UNAVAILABLE] not now", "NO [INUSE] later", "NO [SERVERBUG] oops"):
        with guarded() as (guard, url, relay), Mount(url, ["tls=off", "poll=1"]) as mount:
            equal(run("cat", mount.find(1)).stdout, mail("m1"))
            guard.answer = answer
            guard.word = "not yet"
            guard.logins.clear()
            relay.cut()
            wait_until(lambda: guard.logins, what="a login")
            guard.word = PASSWORD
            becomes(mount, "online")
            equal(lines(mount, "to try again"), [])


@case
def a_server_that_offers_no_login_has_refused_nothing(_):
    """It is asked again by itself; it was shown no password."""
    with guarded() as (guard, url, relay), Mount(url, ["tls=off", "poll=1"]) as mount:
        equal(run("cat", mount.find(1)).stdout, mail("m1"))
        usual = guard.script.greeting
        guard.script.greeting = b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\r\n"
        relay.cut()
        wait_until(lambda: lines(mount, "the server offers no login"), what="the reason")
        guard.script.greeting = usual
        becomes(mount, "online")
        equal(lines(mount, "to try again"), [])


@case
def one_connection_too_many_is_no_refusal(_):
    """It says so as if the password were wrong."""
    with guarded() as (guard, url, _), Mount(url, ["tls=off", "poll=1"]) as mount:
        guard.word = "nobody's any more"
        for uid in (1, 2, 3):
            equal(run("cat", mount.find(uid)).stdout, mail(f"m{uid}"))
        equal(state(mount), "online")
        run("rm", mount.find(3))
        run("sync", mount / "INBOX", check=False)
        # Some may have been there before it was so, and two on their way.
        assert len(guard.logins) <= 4, guard.logins
        equal(state(mount), "online")


@case
def a_maildrop_is_left_alone_too(_):
    with Pop3Server([]) as pop:
        with Mount(pop.url(), ["tls=off", "poll=1"]) as mount:
            wait_until(lambda: not pop.open_sessions(), 30, "no session")
            pop.password = "changed"
            before = len(pop.sessions)
            wait_until(lambda: (os.listdir(mount / "INBOX"), state(mount) == "login refused")[1],
                       what="the refusal")
            for _ in range(20):
                os.listdir(mount / "INBOX")
            equal(len(pop.sessions), before + 1)
            mount.home.secret.write_text("changed\n")
            reconnect(mount)
            becomes(mount, "online")
            equal(len(pop.sessions) >= before + 2, True)


def row(mount, name):
    """[name, state, tries, next try, last reply]"""
    rows = [line.split("\t") for line in mount.text(".mailfs/queue").splitlines()]
    return next((row for row in rows if row[0] == name), [""] * 5)


@contextlib.contextmanager
def posting(smtp, url, *options, **more):
    given = [f"smtp={smtp.url('alice')}", "smtp_tls=off", "tls=off", "send_delay=0", "save_sent=no"]
    with Mount(url, [*given, *options], **more) as mount:
        yield mount
    equal(smtp.faults, [])


@case
def mail_waits_for_another_password(_):
    with guarded() as (_, url, _), SmtpServer(auth="PLAIN") as smtp, posting(smtp, url) as mount:
        smtp.always("AUTH", "535 5.7.8 who are you")
        for name in ("a", "b"):
            (mount / f"outbox/{name}.eml").write_bytes(note(name))
            done = run("sync", mount / f"outbox/{name}.eml", check=False)
            assert b"Permission denied" in done.stderr, done.stderr
        equal(len(smtp.seen("^AUTH")), 1)
        # There is no next time before somebody says so.
        for name in ("a.eml", "b.eml"):
            equal((row(mount, name)[1], row(mount, name)[3]), ("waiting", "-"))
        assert "535 5.7.8 who are you" in row(mount, "a.eml")[4], row(mount, "a.eml")
        equal(state(mount), "online")
        smtp.always("AUTH", "535 5.7.8 still nobody")
        reconnect(mount)
        wait_until(lambda: "still nobody" in row(mount, "a.eml")[4], what="another login")
        equal(len(smtp.seen("^AUTH")), 2)
        smtp.clear()
        reconnect(mount)
        run("sync", mount / "outbox")
        equal(len(smtp.accepted()), 2)


@case
def a_server_that_is_busy_has_refused_nothing(_):
    with guarded() as (_, url, _), SmtpServer(auth="PLAIN") as smtp, posting(smtp, url) as mount:
        smtp.always("AUTH", "454 4.7.0 the directory is down")
        (mount / "outbox/a.eml").write_bytes(note("a"))
        done = run("sync", mount / "outbox/a.eml", check=False)
        assert b"temporarily" in done.stderr, done.stderr
        assert row(mount, "a.eml")[3] != "-", row(mount, "a.eml")


@case
def one_login_at_a_time(_):
    """Two servers of one provider, and a password that is wrong at both."""
    with guarded() as (guard, url, _), SmtpServer(auth="PLAIN") as smtp:
        guard.word = "another"
        guard.hold = Hold()
        with posting(smtp, url, "delay_connect") as mount:
            guard.hold.wait()
            (mount / "outbox/a.eml").write_bytes(note("a"))
            wait_until(lambda: row(mount, "a.eml")[1] == "connecting", what="that it is to be sent")
            equal(smtp.sessions, [])
            guard.hold.go.set()
            becomes(mount, "login refused")
            wait_until(lambda: "refused the same password" in row(mount, "a.eml")[4],
                       what="the reason")
            equal((len(guard.logins), len(smtp.sessions)), (1, 0))
            guard.hold = None
            guard.word = PASSWORD
            reconnect(mount)
            run("sync", mount / "outbox")
            equal((len(guard.logins) >= 2, len(smtp.accepted())), (True, 1))


@case
def what_was_promised_survives(world):
    """Removed and sent while the login is refused, and done when there is a password again."""
    dovecot = world.dovecot
    dovecot.deliver([(mail(name), 1700000000) for name in ("keep", "drop")], user="bob")
    before = len(world.relay.accepted())
    with Relay(dovecot.tls_port) as relay, a_home() as home:
        source = Source(home, "password", PASSWORD)
        options = [f"tls_ca={dovecot.ca}", f"password_command={source.command}", "poll=1",
                   f"smtp={dovecot.smtp_url()}", "send_delay=0", "save_sent=no", "timeout=8"]

        def mounted():
            return Mount(f"imaps://bob@127.0.0.1:{relay.port}", options, home=home, secret=False)

        with mounted() as mount:
            names = sorted(mount.messages())
            run("cat", *(mount / "INBOX" / name for name in names))
            source.set("wrong")
            reconnect(mount)
            becomes(mount, "login refused")
            run("rm", mount / "INBOX" / next(n for n in names if "drop" in n))
            (mount / "outbox/a.eml").write_bytes(note("a"))
            done = run("sync", mount / "outbox/a.eml", check=False)
            assert b"Permission denied" in done.stderr, done.stderr
            equal([n for n in mount.messages() if "drop" in n], [])
        source.set(PASSWORD)
        equal(len(world.relay.accepted()), before)
        with mounted() as mount:
            run("sync", mount / "outbox")
            equal(len(world.relay.accepted()), before + 1)
            wait_until(lambda: "pending-changes: 0" in mount.text(".mailfs/status"), what="the rm")
        client = dovecot.imap("bob", "INBOX")
        equal(len(client.search(None, "DELETED")[1][0].split()), 1)
        client.logout()


# --- commands ---


@case
def a_command_that_fails_says_how(world):
    for command, words in (("exit 3", "password_command failed with exit status 3"),
                           ("kill -9 $$", "password_command was killed by signal 9"),
                           ("true", "password_command printed no password"),
                           ("head -c 1000000 /dev/zero", "password_command printed more than 16384")):
        with a_home() as home:
            refused_at_start(Mount(world.dovecot, [f"password_command={command}"], home=home,
                                   secret=False), 78, words)
            refused_at_start(token_mount(world, home, Source(home, "token", "a b")), 78,
                             "the first line that oauth2_token_command prints is no token")


@case
def a_command_that_fails_later_takes_nothing_away(_):
    with guarded() as (guard, url, relay), a_home() as home:
        source = Source(home, "password", PASSWORD)
        source.command = f"cat {source.path}"
        with Mount(url, ["tls=off", "poll=1", f"password_command={source.command}"], home=home,
                   secret=False) as mount:
            os.unlink(source.path)
            before = len(guard.logins)
            reconnect(mount)
            wait_until(lambda: len(guard.logins) > before and state(mount) == "online",
                       what="a login with the old one")
            assert lines(mount, "what was found before is used"), mount.text(".mailfs/log")
            # Unless that was refused.
            change_password(guard, relay, mount)
            reconnect(mount)
            wait_until(lambda: "last-error: password_command failed with exit status 1"
                       in mount.text(".mailfs/status"), what="the reason")
            equal(len(guard.logins), 1)
            fails(errno.EACCES, os.mkdir, mount / "New")


@case
def a_command_that_hangs_holds_up_nobody(_):
    with guarded() as (_, url, _), a_home() as home:
        pid = home.dir / "pid"
        source = Source(home, "password", PASSWORD)
        source.command = (f"test -e {pid}.on && echo $$ >{pid} && exec sleep 1000; "
                          f"cat {source.path}")
        mount = Mount(url, ["tls=off", "poll=1", "timeout=5", f"password_command={source.command}"],
                      home=home, secret=False)
        with mount:
            equal(run("cat", mount.find(1)).stdout, mail("m1"))
            (home.dir / "pid.on").touch()
            reconnect(mount)
            wait_until(lambda: pid.exists() and pid.read_text(), what="the command")
            # What is known is told at once, and what is not is not waited for as long.
            equal(run("cat", mount / "INBOX/1.eml").stdout, mail("m1"))
            equal(len(mount.messages()), 3)
            done = run("cat", mount / "INBOX/2.eml", check=False)
            assert b"timed out" in done.stderr, done.stderr
            assert "still being looked for" in mount.text(".mailfs/status")
            mount.stop(10)
        equal(is_mounted(mount.path), False)
        wait_until(lambda: not os.path.exists(f"/proc/{int(pid.read_text())}"), what="its end")


@case
def a_command_sees_no_secret(world):
    with a_home() as home:
        home.environment.update({"OTHER": "other", "GNUPGHOME": "/gnupg", "LC_ALL": "C.UTF-8",
                                 "CREDENTIALS_DIRECTORY": str(home.dir)})
        (home.dir / "mailfs.password").write_text("not this one\n")
        command = (f"env >{home.dir}/env; tr '\\0' '\\n' </proc/$PPID/cmdline >{home.dir}/argv; "
                   f"cat {home.secret}")
        with Mount(world.dovecot, [f"password_command={command}"], home=home, secret=False) as mount:
            reads(mount)
            first = (home.dir / "env").read_text()
            os.unlink(home.dir / "env")
            # The second time by another process.
            reconnect(mount)
            wait_until(lambda: "MAILFS_HOST" in (home.dir / "env").read_text() and
                       state(mount) == "online", what="the second time")
            for text in (first, (home.dir / "env").read_text()):
                names = {line.partition("=")[0] for line in text.splitlines()}
                equal(names & {"OTHER", "CREDENTIALS_DIRECTORY", "ASAN_OPTIONS"}, set())
                for wanted in ("GNUPGHOME=/gnupg", "LC_ALL=C.UTF-8", f"HOME={home.dir}",
                               "MAILFS_USER=alice", "MAILFS_HOST=localhost",
                               "MAILFS_PROTOCOL=imap"):
                    assert wanted + "\n" in text, f"{wanted}: {text}"
            shown = first + (home.dir / "argv").read_text() + mount.text(".mailfs/log")
            assert PASSWORD not in shown, shown


@case
def the_secret_service_is_asked(world):
    with a_home() as home:
        tools = home.dir / "bin"
        tools.mkdir()
        tool = tools / "secret-tool"
        tool.write_text(f"#!/bin/sh\necho \"$*\" >>{home.dir}/asked\n"
                        f"test \"$*\" = 'lookup host localhost service imap user alice' || exit 1\n"
                        f"printf %s '{PASSWORD}'\n")
        tool.chmod(0o755)
        home.environment["PATH"] = f"{tools}:{home.environment['PATH']}"
        with Mount(world.dovecot, [f"smtp={world.dovecot.smtp_url()}"], home=home,
                   secret=False) as mount:
            reads(mount)
        equal(sorted(set((home.dir / "asked").read_text().splitlines())),
              ["lookup host localhost service imap user alice",
               "lookup host localhost service smtp user alice"])


# --- ctl ---


@case
def ctl_takes_words(world):
    with Mount(world.dovecot) as mount:
        ctl = mount / ".mailfs/ctl"
        for word in (b"recon\n", b"reconnect now\n", b"\n", b"\0", b"x" * 5000):
            with open(ctl, "wb", buffering=0) as file:
                fails(errno.EINVAL, file.write, word)
        equal(oct(os.stat(ctl).st_mode), oct(0o100200))
        equal("ctl" in os.listdir(mount / ".mailfs"), False)
        equal(run("cat", ctl, check=False).stdout, b"")
        fails(errno.EPERM, open, mount / ".mailfs/status", "wb")
        for form in ("echo reconnect >ctl", "echo reconnect >>ctl", "printf reconnect >ctl"):
            before = len(lines(mount, "asked to reconnect"))
            run("sh", "-c", form, cwd=mount / ".mailfs")
            wait_until(lambda: len(lines(mount, "asked to reconnect")) > before, 30, form)
        becomes(mount, "online")


main(fixture)
