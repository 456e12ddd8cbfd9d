"""The way to the server: TLS, logins, servers that are down, mounts that end or are killed with
mail waiting."""

import re

from harness import (MAILFS, PASSWORD, Home, case, equal, is_mounted, main, run, scratch,
                     wait_until)
from postfix import Postfix
from posting import Poster, World, posting, world

HOUR = ["send_delay=3600"]


def waits(me, words, name="note.eml"):
    """It stays listed, and the queue says why."""
    assert name in me.waiting(), me.waiting()
    wait_until(lambda: re.search(words, me.queue(), re.I), 20, f"{words} in {me.queue()}")


# --- encryption ---

def logged_in_over_tls(me, port):
    text = me.texts_of()[0]
    equal((text["server_port"], text["sasl_username"]), (str(port), me.user))
    assert text["encryption_protocol"] in ("TLSv1.2", "TLSv1.3"), text


@posting(tls=True)
def tls_at_once(me):
    me.send("note.eml", me.note())
    me.is_whole()
    logged_in_over_tls(me, me.postfix.tls_port)


@posting(tls=False)
def tls_by_starttls(me):
    me.send("note.eml", me.note())
    me.is_whole()
    logged_in_over_tls(me, me.postfix.port)


@posting(tls=None)
def no_tls_and_no_login_where_that_was_said(me):
    me.send("note.eml", me.note())
    me.is_whole()
    equal((me.texts_of()[0]["encryption_protocol"], me.texts_of()[0]["sasl_username"]), ("", ""))


def goes_to_nobody(shared, tls, options, trust, words):
    """Neither mail nor password goes to a server that cannot prove who it is."""
    since = shared.postfix.mark()
    with Poster(shared, [*options, *HOUR], tls, trust=trust) as me:
        me.write("note.eml", me.note())
        me.sync_fails(".", "note.eml")
        waits(me, words)
        wait_until(lambda: shared.postfix.count(": disconnect from", since), 20, "the end")
        equal(shared.postfix.count(r"(auth|mail|rcpt)=|sasl_", since), 0, shared.postfix.log())
        equal(me.texts(), 0)
        me.shell("rm note.eml")
        me.mount.stop()


@case
def an_unknown_authority_gets_nothing(shared):
    for tls in (True, False):
        goes_to_nobody(shared, tls, [], False, "certificate|TLS")


@case
def another_fingerprint_gets_nothing(shared):
    wrong = "smtp_tls_fingerprint=SHA256:" + "0" * 64
    for tls in (True, False):
        goes_to_nobody(shared, tls, [wrong], True, "certificate|fingerprint")


@case
def tls_that_is_not_there_is_not_done_without(shared):
    plain = f"smtp=smtp://localhost:{shared.postfix.plain_port}"
    goes_to_nobody(shared, False, [plain], True, "STARTTLS")


# --- logins ---

@case
def a_wrong_password_waits_until_it_is_right(shared):
    home = Home()
    secret = home.dir / "smtp-secret"
    secret.touch(mode=0o600)
    secret.write_text("other-horse\n")
    with Poster(shared, [f"smtp_password_file={secret}", *HOUR]) as me:
        me.write("note.eml", me.note())
        me.sync_fails("denied", "note.eml")
        waits(me, "auth")
        assert "other-horse" not in me.queue() + me.mount.errors() + me.mount.text(".mailfs/log")
        shared.dovecot.passwords.write_text(f"{me.user}:other-horse\n")
        wait_until(lambda: shared.dovecot.knows(me.user, "other-horse"), 20, "the new password")
        me.hurry()
        me.is_whole()
        me.settled(1)
    home.remove()


@posting(options=HOUR)
def another_user_than_that_of_imap(me):
    me.mount.stop()
    me.mount_again(smtp=me.postfix.url(f"{me.user}-smtp%40elsewhere"))
    me.send("note.eml", me.note())
    equal(me.texts_of()[0]["sasl_username"], f"{me.user}-smtp")
    me.is_whole()


# --- servers that are down ---

@case
def a_server_that_is_down_and_comes_up(shared):
    with Postfix(shared.dovecot) as postfix, Poster(World(shared.dovecot, postfix)) as me:
        postfix.stop()
        me.write("1.eml", me.note())
        me.sync_fails(".", "1.eml")
        waits(me, "refused", "1.eml")
        me.write("2.eml", me.note(me.other()))
        postfix.start()
        me.hurry()
        me.is_whole()
        me.is_whole(me.note(me.other()), f"{me.user}-friend")
        me.settled(2)


@case
def a_server_that_goes_away_between_two(shared):
    with Postfix(shared.dovecot) as postfix, Poster(World(shared.dovecot, postfix)) as me:
        me.send("1.eml", me.note())
        wait_until(lambda: postfix.count(": removed$"), 20, "the end of the delivery")
        postfix.stop()
        postfix.start()
        me.send("2.eml", me.note())
        equal(len(me.arrived(count=2)), 2)
        me.settled(2)


@case
def what_is_too_large_for_the_server(shared):
    with Postfix(shared.dovecot, size=100000) as postfix:
        with Poster(World(shared.dovecot, postfix)) as me:
            me.write("big.eml", me.note(body="x" * 70 + "\n") + b"y" * 70 + b"\n" * 100000)
            me.sync_fails("message too long", "big.eml")
            equal(me.listed("failed"), ["big.eml", "big.eml.err"])
            assert "up to 100000 bytes" in me.error("big.eml"), me.error("big.eml")
            me.shell("rm failed/*")
            # Now that it has said so, writing fails.
            done = me.shell("head -c 200000 /dev/zero > big.eml; rm big.eml", check=False)
            assert b"File too large" in done.stderr, done.stderr
            me.send("note.eml", me.note())
            me.settled(1)


@posting()
def a_slow_server_holds_up_no_reading(me):
    """IMAP goes on while the submission server hangs."""
    me.postfix.hold()
    try:
        me.write("note.eml", me.note())
        me.postfix.wait_held()
        me.dovecot.deliver([(me.note().replace(b"\n", b"\r\n"), 1600000000)], user=me.user)
        wait_until(lambda: me.mount.messages("INBOX", timeout=5), 20, "new mail")
        run("cat", me / ".mailfs/status", timeout=5)
    finally:
        me.postfix.release()
    me.sync()
    me.arrived(count=2)


# --- ends of the mount ---

@posting(options=HOUR)
def an_unmount_sends_what_waits(me):
    me.write("note.eml", me.note())
    me.mount.unmount()
    equal(me.texts(), 1)
    me.is_whole()
    me.mount.start()


@posting(options=HOUR)
def a_termination_sends_what_waits(me):
    for n in range(5):
        me.write(f"{n}.eml", me.note(body=f"{n}\n"))
    me.mount.stop()
    equal(me.texts(), 5)
    me.mount.start()
    return 5


@posting(options=HOUR)
def what_waits_survives_a_kill(me):
    me.write("note.eml", me.note())
    me.write("scratch", me.note())
    killed(me)
    me.mount_again(send_delay=HOUR[0].partition("=")[2])
    equal(me.waiting(), ["note.eml", "scratch"])
    equal((me.outbox / "note.eml").read_bytes(), me.note())
    killed(me)
    me.mount_again(send_delay="1")
    me.sync()
    me.is_whole()
    me.shell("rm -f scratch")


@posting(options=["send_delay=0"])
def what_was_under_way_at_a_kill_is_unknown(me):
    """The server may have it: it stands in failed/ and is not sent again."""
    me.postfix.hold()
    try:
        me.write("note.eml", me.note())
        me.postfix.wait_held()
        killed(me)
    finally:
        me.postfix.release()
    me.mount_again()
    equal((me.waiting(), me.listed("failed")), ([], ["note.eml", "note.eml.err"]))
    assert re.search("unknown|not known", me.error("note.eml")), me.error("note.eml")
    me.sync()
    me.is_whole()
    me.shell("rm failed/*")


@posting()
def a_late_sync_after_a_remount(me):
    me.send("note.eml", me.note())
    me.mount.unmount()
    me.mount.start()
    me.sync("note.eml")
    equal(me.waiting(), [])


def killed(me):
    me.mount.kill()
    run("fusermount3", "-uz", me.mount.path)
    wait_until(lambda: not is_mounted(me.mount.path), 20, "the end of the mount")


# --- the command line ---

@case
def options_that_do_not_go_together(shared):
    smtp = "smtp=" + shared.postfix.url()
    for options, words in ((f"ro,{smtp}", "ro"), ("from=a@example.org", "smtp"),
                           (f"{smtp},smtp_tls=off", "smtp_tls"),
                           (f"{smtp},send_delay=3601", "3600"),
                           (f"{smtp},from=bob", "from"),
                           (f"smtp=smtps://a:{PASSWORD}@localhost", "password")):
        with scratch() as directory:
            done = run(MAILFS, "-f", "-o", options, shared.dovecot.url(), directory, check=False)
            text = done.stderr.decode()
            equal(done.returncode in (64, 78), True, f"{options}: {done.returncode} {text}")
            assert re.search(words, text) and PASSWORD not in text, text


if __name__ == "__main__":
    main(world)
