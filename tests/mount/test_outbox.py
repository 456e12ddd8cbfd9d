"""A file written to outbox/ arrives once and whole, through a real MTA, whatever wrote it; and what
does not arrive stands in failed/ and says why."""

import errno
import os
import re
import shutil
import signal
import subprocess
import time

from changing import fails, in_background
from harness import Mount, Skip, case, equal, main, run, scratch, wait_until, within
from posting import crlf, parts, posting, world
from postfix import SIZE

DATE = rb"Date: [MTWFS]\w\w, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$"
MESSAGE_ID = rb"Message-ID: <[^<>@\s]+@[^<>@\s]+>$"


def one(head, pattern):
    """The one line of a header that matches."""
    found = [line for line in head if re.match(pattern, line, re.I)]
    equal(len(found), 1, f"{pattern} in {head}")
    return found[0]


# --- what arrives ---

@posting()
def what_is_written_arrives_in_the_inbox(me):
    me.dovecot.open_inbox(f"hidden-{me.user}")
    me.shell(r'printf "To: $ADDRESS\nBcc: hidden-$ADDRESS\nSubject: hi\n\nHello.\n" > 1.eml')
    assert "1.eml" in me.listed(), me.listed()
    received = me.received()[0]
    assert received.startswith(b"Return-Path: <%s>\r\n" % me.address.encode()), received
    head, body = parts(me.arrived()[0])
    equal(body, b"Hello.\r\n")
    one(head, DATE)
    one(head, MESSAGE_ID)
    equal(one(head, rb"From:"), b"From: <%s>" % me.address.encode())
    equal(one(head, rb"To:"), b"To: " + me.address.encode())
    equal(one(head, rb"Subject:"), b"Subject: hi")
    equal(len(head), 5, head)
    equal(me.arrived(f"hidden-{me.user}"), me.arrived())
    wait_until(lambda: me.mount.messages("INBOX"), 20, "the mail in INBOX/")
    path = me / "INBOX" / me.mount.messages("INBOX")[0]
    equal(run("cat", path).stdout, received)


@posting()
def a_copy_stands_in_the_sent_folder(me):
    me.send("1.eml", me.note(extra=f"Bcc: {me.other('hidden')}\n"))
    flags, copy = me.sent()[0]
    assert "\\Seen" in flags, flags
    head, body = parts(copy)
    equal(one(head, b"Bcc:"), b"Bcc: " + me.other("hidden").encode())
    equal(body, b"one\r\ntwo\r\nthree\r\n")
    arrived, _ = parts(me.arrived()[0])
    for field in (rb"Date:", rb"Message-ID:", rb"From:", rb"To:", rb"Subject:"):
        equal(one(head, field), one(arrived, field))


@posting(options=["save_sent=no"])
def save_sent_no_files_nothing(me):
    me.send("1.eml", me.note())
    me.is_whole()
    me.mount.stop()
    equal(me.held("Sent"), [])
    me.mount.start()


@posting()
def fields_that_are_there_stay(me):
    note = me.note(extra=f"From: Poster <{me.address}>\nDate: Mon, 02 Mar 2020 10:00:00 +0000\n"
                         "Message-ID: <my-own@example.org>\nMIME-Version: 1.0\n")
    me.send("1.eml", note)
    equal(me.arrived()[0], crlf(note))


@posting()
def bytes_over_127_arrive_as_they_are(me):
    note = me.note(extra="Content-Type: text/plain; charset=utf-8\n"
                         "Content-Transfer-Encoding: 8bit\n", body="Grüße aus Köln\n")
    me.send("1.eml", note)
    me.is_whole(note)


@posting()
def mixed_line_ends_and_dots_arrive_as_lines(me):
    """None of the sequences that some servers take for the end of a text ends it."""
    evil = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: evil\r\n\r\nevil" % (
        me.address.encode())
    ends = (b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\n",
            b"\r\n..\r\n", b"\n\r\n.\r\n\r\n", b"\r\r\n.\r\r\n")
    body = b".\n..\n.first\n" + b"".join(b"x" + end + evil for end in ends) + b"\n.\r\n."
    me.send("1.eml", me.note(body="") + body)
    equal(parts(me.arrived()[0])[1], crlf(body) + b"\r\n")


@posting()
def a_dot_at_every_place_of_a_buffer(me):
    body = b"".join(b"%s\n.%d\n" % (b"x" * (n % 61), n) for n in range(20000))
    me.send("1.eml", me.note(body="") + body)
    equal(parts(me.arrived()[0])[1], crlf(body))


@posting()
def a_message_of_25_megabytes(me):
    line = b"%07d " + b"x" * 60 + b"\n"
    body = b"".join(line % n for n in range(25 * 1024 * 1024 // 69))
    path = me.home.dir / "big"
    path.write_bytes(me.note(body="") + body)
    run("cp", path, me.outbox / "big.eml")
    me.sync("big.eml", timeout=120)
    equal(parts(me.arrived()[0])[1] == crlf(body), True, "the body")


@posting()
def fifty_at_once_over_one_connection(me):
    me.shell('for n in $(seq 50); do sed "s/note/note $n/" "$NOTE" > $n.eml; done')
    me.sync(timeout=120)
    equal(me.waiting(), [])
    subjects = {one(parts(m)[0], rb"Subject:") for m in me.arrived(count=50)}
    equal(subjects, {b"Subject: note %d" % n for n in range(1, 51)})
    ports = {a["client_port"] for a in me.texts_of()}
    # Some may have been due while the last ones were being written.
    assert len(ports) <= 2, ports
    return 50


# --- whoever writes ---

def writes(function):
    """A case whose function leaves $NOTE in outbox/note.eml."""
    def run_one(me):
        function(me)
        me.sync()
        me.is_whole()
    run_one.__name__ = function.__name__
    return posting(options=["send_delay=2"])(run_one)


@writes
def cat(me):
    me.shell('cat "$NOTE" > note.eml')


@writes
def cp(me):
    me.shell('cp "$NOTE" note.eml')


@writes
def cp_a(me):
    me.shell('cp -a "$NOTE" note.eml')


@writes
def tee(me):
    me.shell('cat "$NOTE" | tee note.eml >/dev/null')


@writes
def dd_with_fsync(me):
    """Its fsync is that of a writer, and waits for no server."""
    me.shell('dd if="$NOTE" of=note.eml conv=fsync bs=7 status=none')


@writes
def install(me):
    me.shell('install -m 600 "$NOTE" note.eml')


@writes
def mv_from_outside(me):
    me.shell('cp "$NOTE" "$NOTE.2"; mv "$NOTE.2" note.eml; ! test -e "$NOTE.2"')


@writes
def rename_from_a_scratch_name(me):
    me.shell('cat "$NOTE" > .note.eml.tmp; sleep 0.3; mv .note.eml.tmp note.eml')


@writes
def a_group_of_commands(me):
    me.shell('{ head -n 2 "$NOTE"; sleep 0.3; tail -n +3 "$NOTE"; } > note.eml')


@writes
def a_slow_group_of_commands(me):
    """It takes longer than send_delay, and closes the file in its children all the time."""
    me.shell('{ head -n 2 "$NOTE"; /bin/true; sleep 3; tail -n +3 "$NOTE"; } > note.eml')


@writes
def an_open_descriptor(me):
    me.shell('exec 3> note.eml; head -n 2 "$NOTE" >&3; /bin/true; sleep 2.5;'
             ' tail -n +3 "$NOTE" >&3; exec 3>&-')


@writes
def append_within_the_delay(me):
    me.shell('head -n 3 "$NOTE" > note.eml; sleep 0.5; tail -n +4 "$NOTE" >> note.eml')


@writes
def many_appends(me):
    me.shell('while IFS= read -r line; do printf "%s\\n" "$line" >> note.eml; sleep 0.2;'
             ' done < "$NOTE"')


@writes
def written_twice(me):
    me.shell('echo "To: nobody@example.com" > note.eml; cat "$NOTE" > note.eml')


@writes
def touch_then_write(me):
    me.shell('touch note.eml; sleep 0.3; cat "$NOTE" > note.eml')


@writes
def perl_with_a_child(me):
    if shutil.which("perl") is None:
        raise Skip("there is no perl")
    me.shell("""perl -e 'open F, ">", "note.eml"; $| = 1; open N, "<", $ENV{NOTE}; @l = <N>;
        print F @l[0..2]; F->flush(); system("true; sleep 2.5"); print F @l[3..$#l]; close F'""")


@writes
def rsync(me):
    if shutil.which("rsync") is None:
        raise Skip("there is no rsync")
    me.shell('rsync "$NOTE" note.eml')


@writes
def tar(me):
    me.shell('tar cf - -C "${NOTE%/*}" note.eml | tar xf -')


@writes
def python_atomic_write(me):
    me.shell("""python3 -c 'import os, tempfile
f = tempfile.NamedTemporaryFile(dir=".", delete=False)
f.write(open(os.environ["NOTE"], "rb").read()); f.flush(); os.fsync(f.fileno()); f.close()
os.replace(f.name, "note.eml")'""")


@writes
def as_mail_programs_save(me):
    """Create, write, fsync, link (which fails), rename, set the time."""
    path = me.outbox / "tmp.1234.host"
    with open(path, "xb") as file:
        file.write(me.note())
        file.flush()
        os.fsync(file.fileno())
    fails(errno.EPERM, os.link, path, me.outbox / "note.eml")
    os.rename(path, me.outbox / "note.eml")
    os.utime(me.outbox / "note.eml")


@writes
def sed_i_within_the_delay(me):
    me.shell('sed s/two/zwei/ "$NOTE" > note.eml; sed -i s/zwei/two/ note.eml')


def vim():
    found = shutil.which("vim") or shutil.which("vim.tiny")
    if found is None:
        raise Skip("there is no vim")
    return found


@writes
def vim_makes_it(me):
    me.shell(f"printf '%s' \"a\n$(cat $NOTE)\n.\nwq\n\" | {vim()} -es -u NONE -i NONE note.eml")


@writes
def vim_edits_it_within_the_delay(me):
    """Once in place, once with a backup that it renames."""
    edit = f"{vim()} -es -u NONE -i NONE -c 'set backup backupcopy=%s' -c '%s' -c wq note.eml"
    me.shell('sed s/two/zwei/ "$NOTE" > note.eml;'
             f"{edit % ('yes', '%s/zwei/drei/')}; {edit % ('no', '%s/drei/two/')}; rm -f *~")


@posting()
def scratch_names_are_never_sent(me):
    names = ["note", ".note.eml", ".note.eml.swp", "note.eml~", "4913", "sedABCDEF",
             "note.eml.part", ".note.eml.AbCdEf", ".goutputstream-ABCDEF", "#note.eml#"]
    for name in names:
        me.write(name, me.note())
    me.write("note.eml", me.note())
    me.sync()
    me.is_whole()
    equal(me.waiting(), sorted(names))
    me.shell("rm -f -- " + " ".join(f"'{n}'" for n in names))


@posting(options=["send_delay=3600"])
def nothing_empty_is_sent(me):
    me.shell("touch note.eml; : > other.eml")
    me.sync()
    me.shell("rm *.eml")
    return 0


# --- taking it back, waiting for it ---

@posting(options=["send_delay=3600"])
def rm_takes_it_back(me):
    me.write("note.eml", me.note())
    me.shell("rm note.eml")
    me.sync()
    equal((me.outbox / "note.eml").exists(), False)
    equal(me.held(), [])
    return 0


@posting(options=["send_delay=3600"])
def a_rename_to_a_scratch_name_takes_it_back(me):
    me.shell('cat "$NOTE" > note.eml; mv note.eml note')
    me.sync()
    equal(me.held(), [])
    me.shell("mv note note.eml")
    me.sync("note.eml")
    me.is_whole()


@posting(options=["send_delay=3600"])
def sync_of_a_file_waits_for_the_verdict(me):
    for n in range(1, 4):
        me.write(f"{n}.eml", me.note())
    me.sync("2.eml")
    equal((me.texts(), me.waiting()), (1, ["1.eml", "3.eml"]))
    for _ in range(2):
        me.sync("2.eml")
    me.sync()
    equal(me.waiting(), [])
    me.sync()
    return 3


@posting()
def a_name_that_was_sent_can_be_written_again(me):
    me.send("note.eml", me.note())
    second = me.note(body="second\n")
    me.send("note.eml", second)
    bodies = sorted(parts(m)[1] for m in me.arrived(count=2))
    equal(bodies, [b"one\r\ntwo\r\nthree\r\n", b"second\r\n"])
    return 2


@posting(options=["send_delay=0"])
def without_a_delay_it_goes_at_once(me):
    me.write("note.eml", me.note())
    me.is_whole()
    me.sync("note.eml")


@posting(options=["send_delay=3600"])
def sync_of_what_is_being_written_is_refused(me):
    with open(me.outbox / "note.eml", "wb", buffering=0) as file:
        file.write(me.note())
        me.sync_fails("busy", "note.eml")
        os.fsync(file.fileno())
        equal(me.texts(), 0)
    me.sync("note.eml")
    me.is_whole()


@posting(options=["send_delay=0"])
def what_is_on_its_way_cannot_be_taken_back(me):
    me.postfix.hold()
    try:
        me.write("note.eml", me.note())
        me.postfix.wait_held()
        fails(errno.EBUSY, os.unlink, me.outbox / "note.eml")
        fails(errno.EBUSY, os.open, me.outbox / "note.eml", os.O_WRONLY | os.O_APPEND)
        fails(errno.EBUSY, os.rename, me.outbox / "note.eml", me.outbox / "note")
        fails(errno.EBUSY, os.truncate, me.outbox / "note.eml", 0)
        equal((me.outbox / "note.eml").read_bytes(), me.note())
        assert re.search(r"^note\.eml\tsending\t", me.queue()), me.queue()
        syncing = in_background(me.sync, "note.eml")
        syncing.join(1)
        equal(syncing.is_alive(), True, "sync waits")
    finally:
        me.postfix.release()
    syncing.join(20)
    equal(syncing.outcome.returncode, 0)
    me.is_whole()


@posting(options=["send_delay=0"])
def a_sync_that_waits_can_be_interrupted(me):
    """The kernel keeps others from the file meanwhile."""
    me.postfix.hold()
    try:
        me.write("note.eml", me.note())
        me.postfix.wait_held()
        for name in ("note.eml", ""):
            syncing = subprocess.Popen(["sync", me.outbox / name], stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            equal(syncing.poll(), None, "sync waits")
            syncing.send_signal(signal.SIGINT)
            within(5, syncing.wait)
            fails(errno.EBUSY, within, 5, os.unlink, me.outbox / "note.eml")
            equal(me.waiting(), ["note.eml"])
    finally:
        me.postfix.release()
    me.sync("note.eml")
    me.is_whole()


@posting(options=["send_delay=3600"])
def what_waits_can_be_read(me):
    me.write("note.eml", me.note())
    equal((me.outbox / "note.eml").read_bytes(), me.note())
    equal(os.stat(me.outbox / "note.eml").st_size, len(me.note()))
    assert "note.eml" in me.queue(), me.queue()
    fails(errno.EPERM, os.mkdir, me.outbox / "folder")
    fails(errno.EPERM, os.rmdir, me.outbox / "failed")
    me.shell("rm note.eml")
    return 0


# --- to whom ---

@posting()
def several_recipients_and_groups(me):
    friends = {name: me.other(name) for name in ("a", "b", "c", "d", "e", "f", "g")}
    note = ("To: \"Doe, John\" <{a}>, (comment <x@example.com>) {b}, Friends: {c}, D <{d}>;\n"
            "Cc: undisclosed-recipients:;, =?utf-8?q?G=C3=BCnther?= <{e}>,\n {a}\n"
            "Bcc: {f},\n {g}\nSubject: hi\nBcc: {f}\n\nHello.\n").format(**friends).encode()
    me.send("1.eml", note)
    told = me.arrived(f"{me.user}-a")[0]
    for name in friends:
        equal(me.arrived(f"{me.user}-{name}")[0], told, name)
    assert b"bcc:" not in told.lower() and friends["f"].encode() not in told, told
    equal(me.texts_of()[0]["recipient_count"], "7")


@posting()
def what_is_resent_goes_to_those_of_resent_fields(me):
    note = (f"Resent-To: {me.other('b')}\nResent-Bcc: {me.other('c')}\nTo: {me.other('a')}\n"
            f"From: Somebody <somebody@example.com>\nResent-From: {me.address}\n"
            "Date: Mon, 02 Mar 2020 10:00:00 +0000\nMessage-ID: <old@example.com>\n\nHello.\n")
    me.send("1.eml", note.encode())
    told = me.arrived(f"{me.user}-b")[0]
    equal(me.arrived(f"{me.user}-c")[0], told)
    assert b"resent-bcc" not in told.lower(), told
    equal(me.held(user=f"{me.user}-a"), [])
    one(parts(told)[0], rb"From: Somebody")


@posting(options=["send_delay=3600"])
def an_explicit_envelope_counts_alone(me):
    me.write("note", me.note())
    me.write(".note.eml.envelope", f"{me.address}\n{me.other('b')}\n".encode())
    me.shell("mv note note.eml")
    equal([n for n in me.listed() if "envelope" in n], [])
    me.sync("note.eml")
    me.is_whole(user=f"{me.user}-b")
    equal(me.held(), [])


@posting(options=["send_delay=3600"])
def an_explicit_envelope_beside_the_header(me):
    me.write("note", me.note())
    me.write(".note.eml.envelope", f"{me.address}\n{me.other('b')}\nheader\n".encode())
    me.shell("mv note note.eml")
    me.sync("note.eml")
    me.is_whole(user=f"{me.user}-b")
    me.is_whole()


# --- what does not arrive ---

def fails_with(me, name, words):
    """It stands in failed/, with the reason beside it."""
    wait_until(lambda: name in me.listed("failed"), 20, f"failed/{name}")
    equal(me.listed("failed"), [name, name + ".err"])
    equal(me.waiting(), [])
    assert re.search(words, me.error(name), re.I), me.error(name)
    return me.error(name)


@posting()
def a_refused_recipient_and_another_try(me):
    bad, good = me.other("bad"), me.other("good")
    me.postfix.rules[bad] = "550 5.1.1 no such user here"
    note = me.note(f"{bad}, {good}")
    me.write("x.eml", note)
    me.sync_fails(".", "x.eml")
    said = fails_with(me, "x.eml", "no such user here")
    assert bad in said, said
    me.is_whole(note, f"{me.user}-good")
    equal((me.outbox / "failed/x.eml").read_bytes(), note)
    fails(errno.EPERM, os.open, me.outbox / "failed/x.eml", os.O_WRONLY)
    del me.postfix.rules[bad]
    me.shell("mv failed/x.eml .")
    me.sync("x.eml")
    equal(me.waiting(), [])
    me.is_whole(note, f"{me.user}-bad")
    equal(len(me.held(user=f"{me.user}-good")), 1, "not told twice")
    equal([a["recipient"] for a in me.texts_of()], [good, bad])
    ids = {one(parts(m)[0], rb"Message-ID:") for u in ("good", "bad")
           for m in me.arrived(f"{me.user}-{u}")}
    equal(len(ids), 1, "Message-IDs")
    return 2


@posting()
def all_refused_and_discarded(me):
    bad = me.other("bad")
    me.postfix.rules[bad] = "550 5.1.1 no such user here"
    me.write("x.eml", me.note(bad))
    me.sync_fails(".", "x.eml")
    fails_with(me, "x.eml", "550.5\\.1\\.1|no such user")
    equal(me.held("Sent"), [])
    me.shell("rm failed/*")
    equal(me.listed("failed"), [])
    me.sync()
    return 0


@posting()
def a_refused_text(me):
    me.postfix.rules["dot"] = "554 5.7.1 looks like spam"
    try:
        me.write("x.eml", me.note())
        me.sync_fails(".", "x.eml")
        fails_with(me, "x.eml", "looks like spam")
    finally:
        del me.postfix.rules["dot"]
    # Out of failed/, to another file system, by a copy.
    with scratch() as directory:
        run("mv", me.outbox / "failed/x.eml", directory)
        equal((directory / "x.eml").read_bytes(), me.note())
    equal([n for n in me.listed("failed") if n == "x.eml"], [])
    return 0


@posting()
def a_text_that_cannot_be_sent(me):
    for name, data, words in (
            ("nobody.eml", b"Subject: x\n\nx\n", "recipient"),
            ("nul.eml", me.note(body="a\0b\n"), "NUL"),
            ("long.eml", me.note(body="x" * 999 + "\n"), "998"),
            ("address.eml", me.note("a@example.org b@example.org"), "address|To"),
            ("unqualified.eml", me.note("bob"), "domain|address"),
            ("nothing.eml", b"no header at all\n", "header|field|line")):
        me.write(name, data)
        me.sync_fails(".", name)
        wait_until(lambda: name in me.listed("failed"), 20, f"failed/{name}")
        assert re.search(words, me.error(name), re.I), (name, me.error(name))
        equal((me.outbox / "failed" / name).read_bytes(), data)
        me.shell("rm failed/*")
    note = me.note(body="x" * 998 + "\n")
    me.send("full.eml", note)
    me.is_whole(note)


@posting()
def half_a_mail_is_never_sent(me):
    """Once the server has said what it takes, what is larger does not get in, and cp says so."""
    me.send("note.eml", me.note())
    big = me.home.dir / "big"
    big.write_bytes(me.note(body=("x" * 69 + "\n") * (SIZE // 60)))
    done = run("cp", big, me.outbox / "big.eml", check=False)
    equal(done.returncode, 1)
    assert b"File too large" in done.stderr, done.stderr
    me.sync()
    equal(me.waiting(), ["big.eml"])
    assert "big.eml was not written to its end" in (me / ".mailfs/log").read_text()
    me.shell("rm big.eml")


@posting()
def what_failed_is_removed_without_a_question(me):
    """rm asks before it removes what nobody may write to."""
    me.write("x.eml", b"Subject: x\n\nx\n")
    me.sync_fails(".", "x.eml")
    for name in me.listed("failed"):
        equal(oct(os.stat(me.outbox / "failed" / name).st_mode & 0o777), oct(0o600), name)
    me.shell("rm failed/*")
    return 0


@posting()
def two_that_fail_under_one_name(me):
    for body in ("first\n", "second\n"):
        me.write("x.eml", b"Subject: x\n\n" + body.encode())
        me.sync_fails(".", "x.eml")
    texts = {(me.outbox / "failed" / n).read_bytes() for n in me.listed("failed")
             if n.endswith(".eml")}
    equal(texts, {b"Subject: x\n\nfirst\n", b"Subject: x\n\nsecond\n"})
    equal(len(me.listed("failed")), 4)
    me.shell("rm failed/*")
    return 0


@posting(options=["send_delay=0"])
def a_failure_without_sync_is_told_by_the_next(me):
    me.write("x.eml", b"Subject: x\n\nx\n")
    fails_with(me, "x.eml", "recipient")
    me.sync_fails(".")
    me.sync()
    me.shell("rm failed/*")
    return 0


@posting()
def a_later_recipient_is_tried_again(me):
    later, good = me.other("later"), me.other("good")
    me.postfix.rules[later] = "450 4.2.0 come again"
    note = me.note(f"{later}, {good}")
    me.write("x.eml", note)
    me.sync_fails(".", "x.eml")
    me.is_whole(note, f"{me.user}-good")
    assert "x.eml" in me.listed(), me.listed()
    assert "come again" in me.queue(), me.queue()
    del me.postfix.rules[later]
    me.hurry()
    me.is_whole(note, f"{me.user}-later")
    equal([a["recipient"] for a in me.texts_of()], [good, later])
    return 2


# --- between the mail and the outbox ---

@posting()
def mv_of_a_message_sends_it(me):
    me.dovecot.deliver([(crlf(me.note(me.other())), 1600000000)], user=me.user)
    wait_until(lambda: me.mount.messages("INBOX"), 20, "the message")
    run("mv", me.mount.find(1), me.outbox)
    me.sync()
    equal(me.mount.messages("INBOX"), [])
    me.is_whole(me.note(me.other()), f"{me.user}-friend")


@posting(options=["send_delay=3600"])
def a_draft_can_be_filed_instead(me):
    me.write("note.eml", me.note())
    run("mv", me.outbox / "note.eml", me / "Sent")
    me.sync()
    wait_until(lambda: me.held("Sent"), 20, "the draft in Sent")
    equal(me.held("Sent")[0][1], crlf(me.note()))
    return 0


@posting(folders=("Sent", "outbox"))
def a_folder_of_that_name_is_another(me):
    names = os.listdir(me.mount.path)
    equal(("outbox" in names, "%6Futbox" in names), (True, True))
    me.write("../%6Futbox/note.eml", me.note())
    me.send("note.eml", me.note())
    me.is_whole()
    wait_until(lambda: me.held("outbox"), 20, "the message in the folder")
    equal(me.held("outbox")[0][1], crlf(me.note()))


@case
def without_smtp_there_is_no_outbox(shared):
    with Mount(shared.dovecot) as mount:
        equal("outbox" in os.listdir(mount.path), False)
        equal((mount / "outbox").exists(), False)


if __name__ == "__main__":
    main(world)
