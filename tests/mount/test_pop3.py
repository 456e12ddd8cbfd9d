"""A maildrop of a real server over TLS; another client says what is in it."""

import errno
import os
import re
import stat
import time

from changing import fails, in_background
from dovecot import Authority, ok
from harness import (SANITIZED, Dovecot, Mount, case, equal, mail, main, out, run, scratch,
                     uids_of, wait_until, within)
from maildrop import Maildrop, note, quiet_for, starts_not, uid_at
from sending import note as letter
from smtp_script import SmtpServer

NAMES = ("one", "two", "three", "four", "five")


class Site(Maildrop):
    """With `mails` (bytes) in it."""

    def __init__(self, server, options=(), mails=None):
        super().__init__(server, options)
        mails = [note(name) for name in NAMES] if mails is None else mails
        server.deliver([(data, 1600000000) for data in mails], user=self.user)

    def arrives(self, data):
        client = self.server.imap(self.user)
        client.append("INBOX", None, None, data)
        client.logout()

    def goes(self, number):
        """Another client removes it."""
        client = self.server.pop3(self.user)
        client.dele(number)
        client.quit()

    def count(self):
        """Of its messages, without its lock."""
        client = self.server.imap(self.user)
        (count,) = ok(client.select("INBOX"))
        client.logout()
        return int(count)

    def texts(self):
        return list(self.held().values())

    def logins(self):
        """How often mailfs logged in; other clients use no TLS."""
        log = (self.server.dir / "dovecot.log").read_text(errors="replace")
        return len(re.findall(rf"pop3-login: Info: Login: user=<{self.user}>.* TLS", log))

    def logged_in(self, count):
        """So often, and no more; Dovecot writes its log in its own time."""
        wait_until(lambda: self.logins() >= count, 10, f"{count} logins")
        equal(self.logins(), count, "logins")


# --- what is seen ---


@case
def one_flat_folder(server):
    with Site(server) as drop:
        equal(os.listdir(drop.mount.path), ["INBOX"])
        equal(drop.names(), [f"{n}.{name}.eml" for n, name in enumerate(NAMES, 1)])
        equal(sorted(os.listdir(drop / "")), sorted(drop.names()))
        for name in drop.names():
            status = os.stat(drop / name)
            equal(stat.filemode(status.st_mode), "-rw-------")
            equal((status.st_uid, status.st_nlink), (os.getuid(), 1))
        # Unlisted, but there.
        equal(os.stat(drop / "1.eml").st_ino, os.stat(drop / "1.one.eml").st_ino)


@case
def an_empty_maildrop(server):
    with Site(server, ["poll=1"], mails=[]) as drop:
        equal(drop.names(), [])
        equal(out("ls", "-A", drop.mount.path), "INBOX\n")
        drop.arrives(note("first"))
        drop.shows("first")


@case
def every_byte_by_every_tool(server):
    mails = [note("dots", ".\r\n..\r\n...\r\n.x\r\n\r\n.\r\n"), note("no-end", "no line end"),
             note("nul", "a\0b\r\n"), note("eight", "Grüße\r\n"), note("cr", "a\rb\r\n"),
             note("long", "x" * 100000 + "\r\n"), note("head-only", ""),
             note("big", "0123456789abcdef\r\n" * 200000)]
    with Site(server, mails=mails) as drop:
        truth = dict(zip(drop.names(), drop.texts()))
        equal(list(truth.values()), [m if m.endswith(b"\r\n") else m + b"\r\n" for m in mails])
        for name, data in truth.items():
            equal(run("cat", drop / name).stdout == data, True, name)
        with scratch() as there:
            run("cp", "-a", drop / "", there / "cp")
            run("bash", "-c", f"set -o pipefail; mkdir '{there}/tar'; "
                f"tar -C '{drop / ''}' -cf - . | tar -C '{there}/tar' -xf -")
            for how in ("cp", "tar"):
                equal({n: (there / how / n).read_bytes() for n in os.listdir(there / how)}, truth)
            for name in truth:
                equal(int(os.stat(there / "cp" / name).st_mtime),
                      int(os.stat(drop / name).st_mtime), name)
        equal(len(out("grep", "-rlaF", "Hello.", drop.mount.path, check=False).splitlines()), 0)
        equal(out("grep", "-rlaF", "Grüße", drop.mount.path), f"{drop / drop.name('eight')}\n")
        equal(int(out("du", "-sb", drop / "").split()[0]) - os.stat(drop / "").st_size,
              sum(map(len, truth.values())))


@case
def sizes_are_exact_when_open_has_returned(server):
    mails = [note("whole"), note("no-end", "no line end"), note("bare", "a\nb\nc\n"),
             note("big", "0123456789abcdef\r\n" * 20000 + "no line end")]
    with Site(server, mails=mails) as drop:
        for name, data in zip(drop.names(), drop.texts()):
            fd = os.open(drop / name, os.O_RDONLY)
            equal(os.fstat(fd).st_size, len(data), name)
            os.lseek(fd, -5, os.SEEK_END)
            equal(os.read(fd, 100), data[-5:], name)
            os.close(fd)
            equal(os.stat(drop / name).st_size, len(data), name)


@case
def mtime_is_the_date_of_the_header(server):
    dates = {"Mon, 02 Mar 2020 10:00:00 +0000": 1583143200,
             "2 Mar 2020 12:00:00 +0200": 1583143200,
             "Mon, 02 Mar 2020 05:00 EST": 1583143200,
             "Fri, 31 Dec 1999 23:59:59 -0000 (comment)": 946684799,
             "Sat, 1 Jan 00 00:00:00 GMT": 946684800}
    mails = [note(f"d{n}").replace(b"Mon, 02 Mar 2020 10:00:00 +0000", date.encode())
             for n, date in enumerate(dates)]
    with Site(server, mails=mails) as drop:
        for name, wanted in zip(drop.names(), dates.values()):
            equal(int(os.stat(drop / name).st_mtime), wanted, name)


@case
def labels_are_those_of_subjects(server):
    mails = [note("a b  c"), note("=?utf-8?Q?Gr=C3=BC=C3=9Fe?="), note("../../etc/passwd"),
             mail("x").replace(b"Subject: x\r\n", b""),
             note("x").replace(b"Subject: x", b"Subject: folded\r\n over lines")]
    with Site(server, mails=mails) as drop:
        labels = drop.labels()
        equal(labels[:3], ["a-b-c", "Grüße", "etc-passwd"])
        equal(re.fullmatch("[a-z2-7]{4}", labels[3]) is not None, True, labels[3])
        equal(labels[4], "folded-over-lines")


@case
def names_stay(server):
    with Site(server) as drop:
        before = {name: uid_at(drop / name) for name in drop.names()}
        drop.remount()
        equal({name: uid_at(drop / name) for name in drop.names()}, before)
        drop.calms_down()
        drop.goes(2)
        drop.goes(4)  # now the last
        drop.arrives(note("six"))
        drop.remount("poll=1")
        drop.shows("one", "three", "four", "six")
        # A number is not given again.
        equal(uids_of(drop.names()), [1, 3, 4, 6])
        equal(drop.read("six"), note("six"))
        equal(drop.read("three"), note("three"))


@case
def names_stay_without_the_cache_of_bodies(server):
    with Site(server, ["cache_size=1M"]) as drop:
        names = drop.names()
        for _ in range(2):
            equal([run("cat", drop / n).stdout for n in names], drop.texts())
            drop.remount()
            equal(drop.names(), names)


# --- read-only but for rm ---


@case
def nothing_else_can_be_changed(server):
    with Site(server) as drop:
        one = drop / drop.name("one")
        two = drop / drop.name("two")
        for what, change in {
                "create": lambda: (drop / "new.eml").write_bytes(note("new")),
                "create scratch": lambda: (drop / "new.tmp").write_bytes(b"x"),
                "create in the root": lambda: (drop.mount / "new.eml").write_bytes(b"x"),
                "rename": lambda: os.rename(one, drop / "other.eml"),
                "rename over": lambda: os.replace(one, two),
                "mkdir": lambda: os.mkdir(drop / "Sub"),
                "mkdir in the root": lambda: os.mkdir(drop.mount / "Folder"),
                "rmdir": lambda: os.rmdir(drop / ""),
                "rename the folder": lambda: os.rename(drop / "", drop.mount / "Other"),
                "write": lambda: os.close(os.open(one, os.O_WRONLY)),
                "truncate": lambda: os.truncate(one, 0)}.items():
            try:
                change()
            except OSError as error:
                if what in ("write", "truncate", "rename over", "rmdir", "rename the folder"):
                    # What no message or no INBOX allows anywhere.
                    wanted = (errno.EROFS, errno.EPERM, errno.EEXIST, errno.EBUSY, errno.EACCES)
                else:
                    wanted = (errno.EROFS,)
                equal(error.errno in wanted, True, f"{what}: {error}")
            else:
                raise AssertionError(f"{what} works")
        done = run("cp", one, drop / "copy.eml", check=False)
        assert b"Read-only file system" in done.stderr, done.stderr
        equal(sorted(drop.labels()), sorted(NAMES))
        equal(drop.texts(), [note(name) for name in NAMES])


@case
def read_only_forbids_rm_too(server):
    with Site(server, ["ro"]) as drop:
        fails(errno.EROFS, os.unlink, drop / drop.name("one"))
        equal(drop.read("one"), note("one"))
    equal(len(drop.texts()), 5)


# --- rm ---


@case
def rm_and_sync_remove_exactly_these(server):
    with Site(server) as drop:
        drop.rm("two", "four")
        equal(drop.labels(), ["one", "three", "five"])
        equal(drop.sync(), 0)
        equal(drop.texts(), [note(n) for n in ("one", "three", "five")])
        equal(drop.labels(), ["one", "three", "five"])
        equal(drop.names(".deleted"), [])
        drop.rm("one")
        equal(drop.sync(), 0)
        equal(drop.texts(), [note(n) for n in ("three", "five")])
        drop.remount()
        equal(drop.labels(), ["three", "five"])
        equal(drop.read("five"), note("five"))


@case
def rm_answers_without_a_session(server):
    with Site(server) as drop:
        drop.calms_down()
        logins = drop.logins()
        within(2, drop.rm, "one", "two")
        equal(drop.labels(".deleted"), ["one", "two"])
        quiet_for(2, drop)
        equal((drop.logins(), len(drop.texts())), (logins, 5))
        drop.sync()
        # All in one.
        equal(len(drop.texts()), 3)
        drop.logged_in(logins + 1)


@case
def what_was_removed_can_be_taken_back(server):
    with Site(server) as drop:
        drop.calms_down()
        drop.rm("one", "two", "three")
        drop.take_back("two")
        equal(sorted(drop.labels()), ["five", "four", "two"])
        equal(drop.labels(".deleted"), ["one", "three"])
        equal(drop.sync(), 0)
        equal(drop.texts(), [note(n) for n in ("two", "four", "five")])
        # Now it is too late.
        equal(drop.names(".deleted"), [])
        equal(drop.read("two"), note("two"))


@case
def what_was_removed_goes_with_the_next_session(server):
    with Site(server, ["poll=2"]) as drop:
        drop.rm("three")
        wait_until(lambda: drop.count() == 4, 20, "removed without sync")
        equal(note("three") in drop.texts(), False)


@case
def the_end_waits_for_what_was_removed(server):
    with Site(server) as drop:
        drop.calms_down()
        drop.rm("one")
        drop.mount.unmount(30)
        equal(len(drop.texts()), 4)
        drop.mount.start()
        drop.calms_down()
        drop.rm("two")
        drop.mount.stop(30)
        equal(drop.texts(), [note(n) for n in ("three", "four", "five")])


@case
def many_at_once(server):
    count = 120 if SANITIZED else 1300
    with Site(server, mails=[note(f"n{n}") for n in range(count)]) as drop:
        equal(len(drop.names()), count)
        drop.calms_down()
        logins = drop.logins()
        run("bash", "-c", "rm *[13579].eml", cwd=drop / "")
        equal(drop.sync(), 0)
        drop.logged_in(logins + 1)
        equal(drop.texts(), [note(f"n{n}") for n in range(count) if n % 2 == 0])


@case
def removed_by_both(server):
    """What another client removed first is gone all the same."""
    with Site(server) as drop:
        drop.calms_down()
        drop.rm("one", "three")
        drop.goes(1)
        equal(drop.sync(), 0)
        equal(drop.texts(), [note(n) for n in ("two", "four", "five")])


@case
def an_open_file_outlives_its_message(server):
    data = note("big", "0123456789abcdef\r\n" * 20000)
    with Site(server, mails=[data, note("small")]) as drop:
        with open(drop / drop.name("big"), "rb") as file:
            start = file.read(100)
            drop.rm("big")
            drop.sync()
            equal(start + file.read() == data, True, "the rest of it")
        equal(drop.texts(), [note("small")])


# --- sessions ---


@case
def no_session_is_held(server):
    with Site(server) as drop:
        equal(drop.read("one"), note("one"))
        drop.calms_down()
        logins = drop.logins()
        # What is known is told without one.
        equal(drop.read("one"), note("one"))
        equal(len(out("ls", "-l", drop / "").splitlines()), 6)
        out("find", drop.mount.path)
        quiet_for(4, drop)
        equal(drop.logins(), logins)
        # One that reads needs it at once.
        equal(within(5, drop.read, "two"), note("two"))
        drop.logged_in(logins + 1)
        drop.calms_down()


@case
def several_readers_share_a_session(server):
    mails = [note(f"n{n}", "text\r\n" * 2000) for n in range(60)]
    with Site(server, mails=mails) as drop:
        drop.calms_down()
        logins = drop.logins()
        readers = [in_background(run, "sh", "-c", f"cat {drop / ''}/*n*{n}.eml") for n in range(10)]
        for reader in readers:
            reader.join(60)
            equal(getattr(reader.outcome, "returncode", reader.outcome), 0)
        drop.logged_in(logins + 1)


@case
def not_more_often_than_poll(server):
    with Site(server, ["poll=6"]) as drop:
        drop.names()
        logins, started = drop.logins(), time.monotonic()
        while time.monotonic() < started + 13:
            drop.names()
            os.stat(drop / "")
            time.sleep(0.3)
        allowed = (time.monotonic() - started) / 6 + 1
        equal(logins < drop.logins() <= logins + allowed, True,
              f"{drop.logins() - logins} logins")


@case
def new_mail_shows_up(server):
    with Site(server, ["poll=1"]) as drop:
        drop.arrives(note("six"))
        drop.shows(*NAMES, "six")
        equal(drop.names()[-1], "6.six.eml")
        equal(drop.read("six"), note("six"))
        drop.goes(1)
        drop.shows(*NAMES[1:], "six")


@case
def another_session_is_waited_for(server):
    with Site(server) as drop:
        drop.calms_down()
        client = server.pop3(drop.user)
        reading = in_background(drop.read, "one")
        removing = drop / drop.name("two")
        within(2, os.unlink, removing)
        time.sleep(1)
        equal((reading.outcome, "two" in drop.labels()), (None, False))
        client.quit()
        reading.join(60)
        equal(reading.outcome, note("one"))
        equal(drop.sync(), 0)
        equal(len(drop.texts()), 4)


# --- how it connects ---


@case
def stls_and_tls(server):
    with Site(server) as drop:
        names = drop.names()
    url = server.pop3_url(drop.user, tls=False)
    with Mount(url, [f"tls_ca={server.ca}"]) as mount:
        equal(mount.messages(), names)
        equal(mount.text(f"INBOX/{names[0]}").encode(), note("one"))
    with scratch() as directory:
        starts_not(76, "certificate", server, f"tls_ca={Authority(directory).ca}")


@case
def the_wrong_password(server):
    with scratch() as directory:
        (directory / "wrong").write_text("wrong\n")
        (directory / "wrong").chmod(0o600)
        starts_not(77, "log ?in", server, f"password_file={directory}/wrong")


@case
def imap_and_pop3_side_by_side(server):
    """Of one account, in one home."""
    with Site(server) as drop:
        with Mount(server, ["poll=1"], user=drop.user, home=drop.home) as imap:
            equal(imap.messages(), drop.names())
            drop.rm("one")
            drop.sync()
            wait_until(lambda: len(imap.messages()) == 4, 20, "IMAP sees it")
            (imap / "INBOX/new.eml").write_bytes(note("new"))
            run("sync", imap / "INBOX")
        drop.remount("poll=1")
        drop.shows(*NAMES[1:], "new")


@case
def mail_is_sent(server):
    with SmtpServer() as smtp, Site(server, [f"smtp={smtp.url()}", "smtp_tls=off",
                                             "send_delay=0"]) as drop:
        equal(sorted(os.listdir(drop.mount.path)), ["INBOX", "outbox"])
        data = letter("sent")
        (drop.mount / "outbox/sent.eml").write_bytes(data)
        run("sync", drop.mount / "outbox")
        equal([a.data for a in smtp.accepted()], [data])
        equal(os.listdir(drop.mount / "outbox"), ["failed"])
        equal(os.listdir(drop.mount / "outbox/failed"), [])
        # From the maildrop to somebody else, as a shell does it.
        run("cp", drop / drop.name("one"), drop.mount / "outbox/forward.eml")
        run("sync", drop.mount / "outbox")
        equal([a.data for a in smtp.accepted()][1:], [note("one")])
        # No copy: there is nowhere to put it.
        equal(sorted(drop.labels()), sorted(NAMES))
        equal(smtp.faults, [])


main(lambda: Dovecot(pop3=True))
