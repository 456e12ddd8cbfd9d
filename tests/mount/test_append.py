"""New messages: what is written into a folder arrives there once, as it was written."""

import errno
import os
import pathlib
import signal
import subprocess

from changing import both, both_servers, fails, in_background, uid_at
from harness import equal, mail, main, run, scratch, wait_until

NOTE = b"From: a@example.org\nSubject: a note\nMessage-ID: <note@example.org>\n\none\ntwo\n"
CRLF = NOTE.replace(b"\n", b"\r\n")


def note_file(directory, data=NOTE, name="note.eml", when=1500000000):
    path = directory / name
    path.write_bytes(data)
    os.utime(path, (when, when))
    return path


@both()
def cp_becomes_one_message(site):
    with scratch() as directory:
        run("cp", "-p", note_file(directory), site / "Archive")
    equal(site.listed("Archive"), ["note.eml"])
    run("cat", site / "Archive/note.eml")
    site.sync("Archive/note.eml")
    uid, message = site.only("Archive")
    equal(message, (frozenset(), 1500000000, CRLF))
    equal(len(site.wire.seen("^APPEND")), 1)
    for _ in range(2):
        equal(site.listed("Archive"), ["note.eml"])
        equal(run("cat", site / "Archive/note.eml").stdout, CRLF)
        equal(uid_at(site / "Archive/note.eml"), uid)
        equal(uid_at(site / f"Archive/{uid}.eml"), uid)
        state = (site / "Archive/note.eml").stat()
        equal((state.st_size, int(state.st_mtime)), (len(CRLF), 1500000000))
        site.remount()
    fails(errno.EPERM, open, site / "Archive/note.eml", "ab")
    equal(len(site.wire.seen("^APPEND")), 1)


@both(options=["append_seen"])
def append_seen_marks_them_read(site):
    (site / "Archive/a.eml").write_bytes(NOTE)
    site.sync("Archive")
    equal(site.only("Archive")[1].flags, {"\\Seen"})


@both()
def the_time_of_writing_is_its_date(site):
    (site / "Archive/a.eml").write_bytes(CRLF)
    site.sync("Archive")
    _, message = site.only("Archive")
    now = (site.server.dir / "home").stat().st_mtime
    equal(now - 60 < message.date < now + 600, True, f"date {message.date}")
    equal(message.data, CRLF)


@both()
def line_ends_become_crlf(site):
    for name, data in (("mixed", b"Subject: x\r\n\nlf\ncrlf\r\nend\n"), ("none", b"Subject: x\n\nend"),
                       ("8bit", b"Subject: \xfc\n\n\xff\xfe\n"),
                       ("long", b"Subject: x\n\n" + b"x" * 200000 + b"\n")):
        (site / f"Archive/{name}.eml").write_bytes(data)
        site.sync(f"Archive/{name}.eml")
        wanted = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        got = run("cat", site / f"Archive/{name}.eml").stdout
        equal(got.removesuffix(b"\r\n"), wanted.removesuffix(b"\r\n"), name)
        held = site.live("Archive")[uid_at(site / f"Archive/{name}.eml")]
        equal(held.data, got, name)
    equal(len(site.live("Archive")), 4)


@both()
def big_ones_ask_before_they_send(site):
    sizes = (100, 90000, 110000, 3000000)
    for n in sizes:
        data = mail(f"big {n}", "0123456789abc\r\n" * (n // 15))
        (site / f"Archive/{n}.eml").write_bytes(data)
        site.sync(f"Archive/{n}.eml")
        equal(run("cat", site / f"Archive/{n}.eml").stdout, data)
    equal([len(m.data) // 1000 for m in site.live("Archive").values()],
          [len(mail(f"big {n}", "0123456789abc\r\n" * (n // 15))) // 1000 for n in sizes])
    appended = site.wire.seen("^APPEND")
    equal(len(appended), len(sizes))
    assert not any("+}" in c for c in appended[2:]), appended


@both()
def an_empty_file_is_no_message_until_it_has_content(site):
    path = site / "Archive/new.eml"
    run("touch", path)
    equal(path.stat().st_size, 0)
    site.sync("Archive")
    equal(site.view("Archive"), {})
    path.write_bytes(NOTE)
    site.sync(path)
    equal(site.only("Archive")[1].data, CRLF)
    equal(site.listed("Archive"), ["new.eml"])


@both()
def scratch_names_stay_here(site):
    start = site.wire.count()
    for name in ("4913", ".x.eml", "draft", "a.eml~", ".a.eml.AbCdEf", ".goutputstream-ABC",
                 "sedAbC", "x.EML.tmp", "note.txt"):
        path = site / "Archive" / name
        path.write_bytes(NOTE)
        equal(path.read_bytes(), NOTE)
        path.write_bytes(b"shorter")
        equal(path.read_bytes(), b"shorter")
        run("sync", path)
        if name != "draft":
            path.unlink()
    site.sync()
    equal(site.wire.seen("APPEND", start), [])
    equal(site.view("Archive"), {})
    # Renamed to the name of a message it becomes one.
    (site / "Archive/draft").write_bytes(NOTE)
    equal(os.listdir(site / "Archive"), ["draft"])
    run("mv", site / "Archive/draft", site / "Archive/sent.eml")
    site.sync("Archive/sent.eml")
    equal(site.only("Archive")[1].data, CRLF)
    equal(os.listdir(site / "Archive"), ["sent.eml"])


@both()
def scratch_moves_and_replaces_scratch(site):
    (site / "Archive/a").write_bytes(b"a")
    (site / "Archive/b").write_bytes(b"b")
    os.rename(site / "Archive/a", site / "Archive/b")
    equal(os.listdir(site / "Archive"), ["b"])
    os.rename(site / "Archive/b", site / "INBOX/b")
    equal((site / "INBOX/b").read_bytes(), b"a")
    with open(site / "INBOX/b", "r+b") as file:
        file.truncate(0)
        file.write(b"longer than before")
        file.seek(3)
        file.write(b"GER")
    equal((site / "INBOX/b").read_bytes(), b"lonGER than before")
    os.unlink(site / "INBOX/b")
    equal(os.listdir(site / "Archive"), [])
    site.sync()
    equal(site.wire.seen("APPEND"), [])


@both()
def what_cannot_be_mail_is_refused_and_kept(site):
    path = site / "Archive/bad.eml"
    with open(path, "wb") as file:
        file.write(b"Subject: x\n\nzero \0 byte\n")
    done = run("sync", path, check=False)
    equal(done.returncode, 1)
    assert b"Invalid argument" in done.stderr, done.stderr
    equal(path.read_bytes(), b"Subject: x\n\nzero \0 byte\n")
    equal(site.view("Archive"), {})
    assert "bad.eml" in site.mount.text(".mailfs/log")
    path.write_bytes(NOTE)
    site.sync(path)
    equal(site.only("Archive")[1].data, CRLF)


@both()
def written_while_the_server_is_away_it_arrives_later(site):
    site.listed("Archive")
    site.wire.hold()
    path = site / "Archive/later.eml"
    path.write_bytes(CRLF)
    equal(path.read_bytes(), CRLF)
    waiting = subprocess.Popen(["sync", path], stdin=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        # An impatient user is let go.
        wait_until(lambda: sleeps(waiting.pid), 20, "sync waits")
    finally:
        waiting.send_signal(signal.SIGINT)
        waiting.wait(20)
    second = in_background(site.mount.text, "Archive/later.eml")
    second.join(20)
    equal(second.outcome.encode(), CRLF)
    equal(site.view("Archive"), {})
    site.wire.release()
    wait_until(lambda: site.live("Archive"), 60, "the message")
    equal(site.only("Archive")[1].data, CRLF)
    # It may be listed before it is known to be this one.
    wait_until(lambda: site.listed("Archive") == ["later.eml"], 20, "one name")


def sleeps(pid):
    where = pathlib.Path(f"/proc/{pid}/wchan").read_text()
    return "fuse" in where or "request" in where


@both()
def a_new_message_is_taken_back_before_it_is_sent(site):
    site.listed("Archive")
    site.wire.hold()
    path = site / "Archive/regret.eml"
    path.write_bytes(NOTE)
    os.unlink(path)
    equal(site.listed("Archive"), [])
    # Written anew: the last one counts.
    path.write_bytes(NOTE)
    path.write_bytes(b"Subject: better\r\n\r\nbetter\r\n")
    site.wire.release()
    wait_until(lambda: site.live("Archive"), 60, "the message")
    site.sync("Archive")
    equal(site.only("Archive")[1].data, b"Subject: better\r\n\r\nbetter\r\n")


@both()
def a_new_message_is_moved_and_renamed_at_once(site):
    path = site / "Archive/a.eml"
    for target in ("Archive/b.eml", "INBOX/c.eml"):
        path.write_bytes(CRLF)
        os.rename(path, site / target)
        equal((site / target).read_bytes(), CRLF)
        os.unlink(site / target)
    path.write_bytes(CRLF)
    os.rename(path, site / "INBOX/d.eml")
    site.sync()
    held = [m.data for folder in ("INBOX", "Archive") for m in site.live(folder).values()]
    equal(held.count(CRLF), 1)
    equal(site.listed("Archive"), [])
    equal((site / "INBOX/d.eml").read_bytes(), CRLF)
    site.shows_what_is()


@both()
def a_copy_of_a_part_is_no_copy(site):
    """Only whole messages are copied by the server."""
    source = site.find(6)
    run("dd", f"if={source}", f"of={site / 'Archive/part.eml'}", "bs=10", "skip=1", "count=5",
        "status=none")
    site.sync("Archive")
    part = source.read_bytes()[10:60]
    equal(site.only("Archive")[1].data.removesuffix(b"\r\n"), part.removesuffix(b"\r\n"))
    equal(site.wire.seen("COPY"), [])


@both()
def a_copy_that_goes_on_is_uploaded(site):
    """A copied message with more behind it is a new one."""
    source = site.find(2)
    with open(source, "rb") as old, open(site / "Archive/more.eml", "wb") as new:
        size = os.fstat(old.fileno()).st_size
        equal(os.copy_file_range(old.fileno(), new.fileno(), size) > 0, True)
        new.seek(size)
        new.write(b"PS: more\r\n")
    site.sync("Archive/more.eml")
    equal(site.only("Archive")[1].data, source.read_bytes() + b"PS: more\r\n")
    equal(site.wire.seen("COPY"), [])


main(both_servers)
