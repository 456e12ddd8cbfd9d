"""mailfs-sendmail as programs call sendmail: what it takes arrives, and its exit status says what
became of it."""

import os
import re
import signal
import subprocess

from harness import Mount, Skip, case, equal, main, run, scratch, wait_until
from posting import SHELL, Poster, crlf, parts, pipe_of, posting, world

SENDMAIL = os.environ.get("MAILFS_SENDMAIL", "mailfs-sendmail")
HOUR = ["send_delay=3600"]
NOT_OTHERS = r"""
while read -r _ path kind _; do
    [ "$kind" != fuse.mailfs ] || [ "$path" = "$1" ] || umount -l "$path"
done < /proc/self/mounts
shift
exec "$@"
"""


def sendmail(me, *arguments, data=None, status=0, words="", **options):
    """Runs it with the outbox of `me`; nothing else of it stays there."""
    options.setdefault("env", {**SHELL, "MAILFS_OUTBOX": str(me.outbox)})
    done = run(SENDMAIL, *arguments, stdin=pipe_of(me.note() if data is None else data),
               check=False, **options)
    text = done.stderr.decode()
    equal(done.returncode, status, f"exit status ({text})")
    equal(done.stdout, b"")
    assert re.search(words, text, re.I) and bool(text) == bool(status), text
    return text


@posting(options=HOUR)
def recipients_of_the_header(me):
    note = me.note(extra=f"Cc: {me.other('a')}\nBcc: {me.other('b')}\n")
    sendmail(me, "-t", data=note)
    equal(me.waiting(), [])
    head = me.is_whole(note)
    equal([line for line in head if line.startswith(b"Bcc")], [])
    equal(me.arrived(f"{me.user}-a"), me.arrived())
    equal(me.arrived(f"{me.user}-b"), me.arrived())


@posting(options=HOUR)
def recipients_of_the_command_line(me):
    sendmail(me, "-i", me.other("a"), f"B <{me.other('b')}>, {me.other('c')}")
    for name in ("a", "b", "c"):
        me.is_whole(user=f"{me.user}-{name}")
    equal(me.held(), [])


@posting(options=HOUR)
def recipients_of_both(me):
    sendmail(me, "-ti", "--", me.other("a"))
    me.is_whole(user=f"{me.user}-a")
    me.is_whole()


@posting(options=HOUR)
def a_sender_of_the_command_line(me):
    note = me.note(me.other("a"), extra=f"From: Boss <{me.other('boss')}>\n")
    sendmail(me, "-f", me.address, "-t", data=note)
    received = me.received(f"{me.user}-a")[0]
    assert received.startswith(b"Return-Path: <%s>\r\n" % me.address.encode()), received
    assert b"From: Boss <%s>\r\n" % me.other("boss").encode() in received, received


@posting(options=HOUR)
def no_sender_at_all(me):
    sendmail(me, "-f", "", me.other("a"))
    received = me.received(f"{me.user}-a")[0]
    assert received.startswith(b"Return-Path: <>\r\n"), received
    equal([a["recipient"] for a in me.postfix.handed_in if a["sender"] == ""], [me.other("a")])
    return 0


@posting(options=HOUR)
def as_cron_calls_it(me):
    sendmail(me, "-FCronDaemon", "-f", me.address, "-i", "-odi", "-oem", "-oi", "-t")
    head = me.is_whole()
    assert any(re.match(rb"From: \"?CronDaemon\"? <", line) for line in head), head


@posting(options=HOUR)
def a_lone_dot(me):
    body = "one\n.\ntwo\n"
    sendmail(me, "-t", data=me.note(body=body))
    equal(parts(me.arrived()[0])[1], b"one\r\n")
    sendmail(me, "-oi", me.other("a"), data=me.note(body=body))
    equal(parts(me.arrived(f"{me.user}-a")[0])[1], crlf(body.encode()))
    return 2


@posting(options=HOUR)
def the_status_says_what_became_of_it(me):
    rules = me.postfix.rules
    rules[me.other("nobody")] = "550 5.1.1 no such user here"
    sendmail(me, me.other("nobody"), status=67, words="no such user here")
    sendmail(me, "-t", data=b"Subject: x\n\nx\n", status=65, words="recipient")
    sendmail(me, "-t", data=b"", status=65, words="empty")
    sendmail(me, "bob", status=67, words="bob.*domain")
    sendmail(me, status=64, words="recipients")
    sendmail(me, "-x", status=64)
    rules["dot"] = "554 5.7.1 looks like spam"
    try:
        sendmail(me, "-t", status=69, words="looks like spam")
        rules["dot"] = "451 4.3.0 come again"
        sendmail(me, "-t", status=75, words="queued")
    finally:
        del rules["dot"]
    equal(len(me.waiting()), 1)
    me.hurry()
    me.is_whole()
    equal(len([n for n in me.listed("failed") if n.endswith(".eml")]), 3)
    me.shell("rm failed/*")


@posting(options=["send_delay=1"])
def it_need_not_wait(me):
    me.postfix.hold()
    try:
        sendmail(me, "-odb", "-t")
        equal(me.texts(), 0)
    finally:
        me.postfix.release()
    me.is_whole()


@posting(options=HOUR)
def it_is_stopped_and_goes_on(me):
    """The kernel ends its fsync() then."""
    me.postfix.hold()
    try:
        sending = subprocess.Popen([SENDMAIL, "-t"], stdin=pipe_of(me.note()),
                                   env={**SHELL, "MAILFS_OUTBOX": str(me.outbox)})
        me.postfix.wait_held()
        for _ in range(3):
            sending.send_signal(signal.SIGSTOP)
            wait_until(lambda: state_of(sending) == "T", 5, "it to stop")
            sending.send_signal(signal.SIGCONT)
            wait_until(lambda: state_of(sending) != "T", 5, "it to go on")
        equal(sending.poll(), None)
    finally:
        me.postfix.release()
    equal(sending.wait(20), 0)
    me.is_whole()


def state_of(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(") ")[2][0]


@posting(options=HOUR)
def another_directory_is_no_outbox(me):
    sendmail(me, "--outbox", me / "INBOX", "-t", status=73, words="not the outbox")
    equal(me.mount.messages("INBOX"), [])
    return 0


@posting(options=HOUR)
def a_large_message(me):
    body = "".join(f"{n:07} {'x' * 60}\n" for n in range(150000))
    sendmail(me, "-t", data=me.note(body=body), timeout=120)
    equal(parts(me.arrived()[0])[1] == crlf(body.encode()), True, "the body")


@posting(options=HOUR)
def several_at_once(me):
    me.shell('for n in $(seq 8); do "$SENDMAIL" --outbox . -t < "$NOTE" & pids="$pids $!"; done;'
             ' for pid in $pids; do wait $pid || exit 1; done',
             env={**SHELL, "SENDMAIL": SENDMAIL, "NOTE": str(me.note_file())})
    equal(len(me.arrived(count=8)), 8)
    return 8


@posting(options=HOUR)
def the_one_account_that_is_mounted(me):
    """In a namespace where no other test has mounted anything."""
    if os.geteuid() != 0:
        raise Skip("only root can have a namespace of its own")
    done = run("unshare", "-m", "--propagation", "private", "sh", "-c", NOT_OTHERS, "sh",
               me.mount.path, SENDMAIL, "-t", stdin=pipe_of(me.note()), env=SHELL)
    equal(done.stderr, b"")
    me.is_whole()


@case
def no_account_that_is_mounted(shared):
    with Mount(shared.dovecot) as mount, scratch() as directory:
        note = directory / "note.eml"
        note.write_bytes(b"To: a@example.org\n\nx\n")
        done = run("unshare", "-m", "--propagation", "private", "sh", "-c", NOT_OTHERS, "sh",
                   mount.path, SENDMAIL, "-t", stdin=open(note, "rb"), env=SHELL, check=False)
        equal(done.returncode, 78)
        assert b"smtp=" in done.stderr, done.stderr


@case
def a_mount_that_ends_meanwhile(shared):
    """What it had taken is sent."""
    with Poster(shared, HOUR) as me:
        sendmail(me, "-odq", "-t")
        me.mount.unmount()
        me.is_whole()
        me.mount.start()
        wait_until(lambda: not me.waiting(), 20, "an empty outbox")
        me.settled(1)


if __name__ == "__main__":
    main(world)
