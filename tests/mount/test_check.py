"""--check: what is told of servers that are well, poor, wrong or silent; and the exit codes."""

import contextlib
import re
import socket

from harness import MAILFS, PASSWORD, Dovecot, Home, case, equal, mail, main, run
from pop3_script import Mail, Pop3Server
from scripted import Folder, ScriptedServer
from smtp_script import SmtpServer

BODY = mail("hello")
CERTIFICATE = r"certificate: localhost, 127\.0\.0\.1, ::1, until 20\d\d-\d\d-\d\d"
TLS = r"tls: TLSv1\.[23] \S+"


@contextlib.contextmanager
def fixture():
    with Dovecot(pop3=True) as server:
        server.deliver([(BODY, 1600000000)] * 3)
        server.deliver([(BODY, 1600000000)], folder="Archive")
        server.deliver([(BODY, 1600000000)] * 2, user="carol")
        yield server


def check(*arguments, code=0, home=None, password=PASSWORD):
    """(lines of stdout, lines of stderr)."""
    own = home or Home()
    own.secret.write_text(password + "\n")
    done = run(MAILFS, "--check", *arguments, "-o", f"password_file={own.secret}", check=False,
               env=own.environment)
    told, errors = done.stdout.decode(), done.stderr.decode()
    equal(done.returncode, code, f"exit code ({told}{errors})")
    assert password not in told + errors, told + errors
    own.check_reports()
    if not home:
        own.remove()
    return told.splitlines(), errors.splitlines()


def like(lines, *patterns):
    """Each line is as its pattern wants it, and there are no others."""
    for line, pattern in zip(lines, patterns):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"
    equal(len(lines), len(patterns), f"lines: {lines}")


@case
def a_mailbox_that_is_well(server):
    told, errors = check(server.url(), "-o", f"tls_ca={server.ca}")
    like(told, rf"account: alice@localhost:{server.tls_port}",
         rf"server: (127\.0\.0\.1|\[::1\]):{server.tls_port}", TLS, CERTIFICATE,
         "compression: none", "login: PLAIN", r"capabilities: IMAP4REV1 .*UIDPLUS.*",
         "lacks QUOTA: df does not know how much room there is", "folders: 2",
         "messages in INBOX: 3", "result: ok")
    equal(errors, [])


@case
def starttls_is_told_as_tls(server):
    told, _ = check(server.url(tls=False), "-o", f"tls_ca={server.ca}")
    like(told[2:4], TLS, CERTIFICATE)
    equal(told[-1], "result: ok")


@case
def a_maildrop_that_is_well(server):
    told, _ = check(server.pop3_url("carol"), "-o", f"tls_ca={server.ca}")
    like(told, rf"account: carol@localhost:{server.pop3s_port}",
         rf"server: (127\.0\.0\.1|\[::1\]):{server.pop3s_port}", TLS, CERTIFICATE,
         "login: PLAIN", "capabilities: TOP UIDL PIPELINING RESP-CODES", "folders: 1",
         "messages in INBOX: 2", "result: ok")


@case
def what_a_poor_server_lacks_is_told(server):
    with ScriptedServer({b"INBOX": Folder()}) as poor:
        told, _ = check(poor.url(), "-o", "tls=off")
        lacks = [line.split(":")[0] for line in told if line.startswith("lacks ")]
        equal(lacks, [f"lacks {word}" for word in
                      ("IDLE", "UIDPLUS", "MOVE", "SPECIAL-USE", "CONDSTORE", "QRESYNC",
                       "LIST-STATUS", "QUOTA")])
        like(told[2:6], "tls: cleartext", "certificate: none", "compression: none",
             "login: LOGIN")
        like(told[-3:], "folders: 1", "messages in INBOX: 0", "result: ok")
        # Only looked at.
        equal(poor.seen("SELECT|EXAMINE|CREATE|STORE"), [])


@case
def what_a_poor_maildrop_lacks_is_told(server):
    with Pop3Server([Mail(BODY, "")] * 4, before=["USER"], after=["USER"], uidl=False) as poor:
        told, _ = check(poor.url(), "-o", "tls=off")
        like(told[4:], "login: USER", "capabilities: USER",
             "lacks UIDL: .*", "lacks TOP: .*", "lacks PIPELINING: .*", "folders: 1",
             "messages in INBOX: 4", "result: ok")
        equal(poor.seen("TOP|RETR|DELE"), [])
    # Without CAPA nobody knows what it lacks.
    with Pop3Server([Mail(BODY, "")], before=None, after=None) as old:
        told, _ = check(old.url(), "-o", "tls=off")
        like(told[2:], "tls: cleartext", "certificate: none", "login: USER",
             "capabilities: not told", "folders: 1", "messages in INBOX: 1", "result: ok")


@case
def a_check_can_be_traced(_):
    with ScriptedServer({b"INBOX": Folder()}) as poor:
        told, errors = check(poor.url(), "-d", "-o", "tls=off")
        equal(told[-1], "result: ok")
        assert any("S: " in line and "OK" in line for line in errors), errors
        assert any(re.search("C: .*LOGIN", line) for line in errors), errors


@case
def the_server_that_sends_is_tried_too(server):
    with SmtpServer(auth="PLAIN", caps=["SIZE 1000"]) as smtp:
        told, _ = check(server.url(), "-o", f"tls_ca={server.ca},smtp={smtp.url()},smtp_tls=off")
        at = told.index("messages in INBOX: 3") + 1
        like(told[at:], r"smtp server: 127\.0\.0\.1:\d+", "smtp tls: cleartext",
             "smtp certificate: none", "smtp login: PLAIN",
             "smtp capabilities: SIZE=1000 AUTH=PLAIN", "smtp lacks 8BITMIME: .*",
             "smtp lacks SMTPUTF8: .*", "smtp lacks DSN: .*", "result: ok")
        # Its own password is wrong: the mailbox is well all the same.
        home = Home()
        wrong = home.dir / "wrong"
        wrong.write_text("hunter2\n")
        wrong.chmod(0o600)
        told, errors = check(server.url(), "-o", f"tls_ca={server.ca},smtp={smtp.url()}," +
                             f"smtp_tls=off,smtp_password_file={wrong}", code=77, home=home)
        home.remove()
        assert "messages in INBOX: 3" in told, told
        equal(told[-1], "result: failed")
        like(errors, rf"mailfs: alice@localhost:{server.tls_port}: smtp: login refused.*")
        equal(smtp.accepted(), [])


@case
def a_wrong_password_is_77(server):
    told, errors = check(server.url(), "-o", f"tls_ca={server.ca}", code=77, password="hunter2")
    like(told[2:], TLS, CERTIFICATE, "compression: none", "capabilities: .*", "result: failed")
    like(errors, rf"mailfs: alice@localhost:{server.tls_port}: login refused: .*")


@case
def a_wrong_certificate_is_76(server):
    told, errors = check(server.url(), code=76)
    like(told, "account: .*", "server: .*", "result: failed")
    like(errors, "mailfs: .*: certificate of localhost: .* tls_ca=FILE .*")


@case
def one_that_is_not_there_is_68_or_69(server):
    _, errors = check("imaps://alice@nowhere.invalid", code=68)
    like(errors, "mailfs: alice@nowhere.invalid: no address for nowhere.invalid.*")
    with ScriptedServer({}) as gone:
        url = gone.url()
    check(url, "-o", "tls=off", code=69)


@case
def a_silent_one_is_75(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        check(f"imap://alice@127.0.0.1:{port}", "-o", "tls=off,timeout=1", code=75)
        check(f"pop3://alice@127.0.0.1:{port}", "-o", "tls=off,timeout=1", code=75)


@case
def all_accounts_are_tried(server):
    home = Home()
    file = home.dir / "mailfs.conf"
    file.write_text(f"""[defaults]
tls_ca = {server.ca}
[account work]
imap = {server.url()}
[account gone]
imap = imaps://alice@nowhere.invalid
[account odd]
pop3 = {server.pop3_url("carol")}
poll = often
[account old]
pop3 = {server.pop3_url("carol")}
""")
    told, errors = check("-c", str(file), code=68, home=home)
    equal([line for line in told if re.match("account|result", line)],
          [f"account: work (alice@localhost:{server.tls_port})", "result: ok",
           "account: gone (alice@nowhere.invalid)", "result: failed",
           f"account: old (carol@localhost:{server.pop3s_port})", "result: ok"])
    like(errors, "mailfs: gone: no address .*",
         rf"mailfs: {file}: \[account odd\]: poll: 'often' is not a number.*")
    told, _ = check("-c", str(file), "old", home=home)
    equal(told[0], f"account: old (carol@localhost:{server.pop3s_port})")
    home.remove()


if __name__ == "__main__":
    main(fixture)
