"""`.mailfs/events`: a line for each event, for whoever has it open, for as long as he likes."""

import contextlib
import errno
import os
import pathlib
import re
import select
import signal
import subprocess
import time

from changing import Site, fails, mails
from harness import (SANITIZED, Dovecot, Home, Mount, case, equal, mail, main, ok, out, quote, run,
                     wait_until, within)
from sending import Desk, note
from smtp_script import SmtpServer

LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\t([a-z]+)\t([^\t\n]+)(?:\t([^\t\n]+))?\n")
RENAMES = 1500
READERS = 64


class Listener:
    """Reads without ever waiting; `lines`: (kind, path, and the last field if there is one)."""

    def __init__(self, mount):
        self.fd = os.open(mount / ".mailfs/events", os.O_RDONLY | os.O_NONBLOCK)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def lines(self):
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, 65536):
                self.text += data.decode()
        found = LINE.findall(self.text)
        equal("".join(self.text.splitlines(True)[len(found):]), "", "what is no line")
        return [tuple(field for field in line[1:] if field) for line in found]

    def wait(self, *wanted):
        wait_until(lambda: all(w in self.lines() for w in wanted), 20,
                   f"{wanted} among {self.lines()}")


def reader(mount, *command):
    """A tool that reads it from now on."""
    process = subprocess.Popen(command or ["cat", mount / ".mailfs/events"],
                               stdout=subprocess.PIPE, start_new_session=True)
    wait_until(lambda: is_open(process.pid, mount), 10, "the reader")
    return process


def is_open(pid, mount):
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{name}") == str(mount / ".mailfs/events"):
                return True
    return False


@contextlib.contextmanager
def listed_site(server, options=(), **kwargs):
    with Site(server, ["idle=off", *options], **kwargs) as site:
        for folder in site.folders:
            site.listed(folder)
        yield site


@case
def while_read_gets_a_line_at_once(server):
    with listed_site(server) as site:
        script = 'while IFS="\t" read -r when kind path; do echo "$kind:$path"; done < "$0"'
        loop = reader(site.mount, "sh", "-c", script, site / ".mailfs/events")
        site.append(mail("Fresh news"))
        equal(loop.stdout.readline(), b"new:INBOX/7.Fresh-news.eml\n")
        os.unlink(site.find(1))
        equal(loop.stdout.readline(), b"gone:INBOX/1.mail-1.eml\n")
        loop.terminate()
        equal(within(2, loop.wait), -signal.SIGTERM)


@case
def each_kind(server):
    with listed_site(server) as site, Listener(site) as events:
        started = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
        site.append(mail("fresh"))
        events.wait(("new", "INBOX/7.fresh.eml"))
        equal(started <= events.text[:16] <= time.strftime("%Y-%m-%dT%H:%M", time.gmtime()), True)
        site.flag(2, "+", "\\Flagged")
        events.wait(("flags", "INBOX/2.mail-2.eml"))
        site.flag(3, "+", "\\Deleted")
        events.wait(("gone", "INBOX/3.mail-3.eml"))
        site.flag(3, "-", "\\Deleted")
        events.wait(("new", "INBOX/3.mail-3.eml"))
        with site.client("INBOX") as client:
            ok(client.uid("STORE", "4", "+FLAGS.SILENT", "(\\Deleted)"))
            ok(client.expunge())
            ok(client.create(quote("Fresh")))
        events.wait(("gone", "INBOX/4.mail-4.eml"))
        wait_until(lambda: "Fresh" in os.listdir(site / "") and
                   ("folder", "Fresh") in events.lines(), 20, "the folder")
        equal(len(events.lines()), 6)


@case
def what_this_mount_does(server):
    with listed_site(server) as site, Listener(site) as events:
        os.rename(site.find(1), site / "Archive/a\tb\\c.eml")
        os.unlink(site.find(2))
        os.rename(site / "INBOX/.deleted/2.mail-2.eml", site / "INBOX/2.mail-2.eml")
        run("cp", site.find(3), site / "Archive/copy.eml")
        (site / "INBOX/mine.eml").write_bytes(mail("mine"))
        (site / "INBOX/3.d/flags").write_text("+flagged")
        (site / "INBOX/draft.tmp").write_bytes(b"x")
        os.unlink(site / "INBOX/draft.tmp")
        site.sync()
        os.mkdir(site / "Mine")
        os.rename(site / "Mine", site / "Other")
        os.rmdir(site / "Other")
        wanted = {
            ("moved", "Archive/a\\011b\\134c.eml", "INBOX/1.mail-1.eml"),
            ("gone", "INBOX/2.mail-2.eml"),
            ("moved", "INBOX/2.mail-2.eml", "INBOX/.deleted/2.mail-2.eml"),
            ("new", "Archive/copy.eml"),
            ("new", "INBOX/mine.eml"),
            ("flags", "INBOX/3.mail-3.eml"),
            ("folder", "Mine"),
            ("moved", "Other", "Mine"),
            ("folder", "Other"),
        }
        wait_until(lambda: wanted <= set(events.lines()), 20, "all of them")
        site.append(mail("last"), "Archive")
        wait_until(lambda: any("last" in line[1] for line in events.lines()), 20, "the last")
        equal({line for line in events.lines() if "last" not in line[1]} - wanted, set())
        equal(len(events.lines()), len(wanted) + 1)


@case
def offline_and_online(server):
    with listed_site(server) as site, Listener(site) as events:
        site.wire.hold()
        site.wire.cut()
        wait_until(lambda: ("offline", ".") in events.lines(), 60, "offline")
        site.wire.release()
        site.mount.process.send_signal(signal.SIGHUP)
        events.wait(("online", "."))


@case
def what_was_sent_and_what_was_not(server):
    with SmtpServer() as smtp, Desk(server, smtp) as desk, Listener(desk.mount) as events:
        equal(desk.post("fine.eml", note("fine")), 0)
        events.wait(("sent", "outbox/fine.eml"))
        desk.post("odd.eml", note("odd", to="nobody at all"))
        wait_until(lambda: [e for e in events.lines() if e[0] == "failed"], 20, "failed")
        kind, path, why = events.lines()[-1]
        equal((kind, path), ("failed", "outbox/failed/odd.eml"))
        assert why in desk.reason("odd.eml"), why


@case
def it_begins_when_it_is_opened(server):
    with listed_site(server) as site, Listener(site) as first:
        os.unlink(site.find(1))
        first.wait(("gone", "INBOX/1.mail-1.eml"))
        with Listener(site) as second:
            os.unlink(site.find(2))
            first.wait(("gone", "INBOX/2.mail-2.eml"))
            equal(second.lines(), [("gone", "INBOX/2.mail-2.eml")])


@case
def many_readers_each_get_all(server):
    with listed_site(server) as site:
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(Listener(site)) for _ in range(READERS)]
            fails(errno.EMFILE, Listener, site)
            cut = readers.pop()
            cut.__exit__()
            os.unlink(site.find(1))
            for each in readers:
                each.wait(("gone", "INBOX/1.mail-1.eml"))
            cut.fd = os.open("/dev/null", os.O_RDONLY)


@case
def reading_can_be_polled(server):
    with listed_site(server) as site:
        with open(site / ".mailfs/events", "rb", buffering=0) as stream:
            poll = select.poll()
            poll.register(stream, select.POLLIN)
            equal(poll.poll(0), [])
            equal(within(3, select.select, [stream], [], [], 1), ([], [], []))
            os.set_blocking(stream.fileno(), False)
            equal(stream.read(100), None)
            for uid in (1, 2, 3):
                equal(poll.poll(0), [])
                site_rm = subprocess.Popen(["sh", "-c", 'sleep 0.3; rm "$0"', site.find(uid)])
                equal(within(5, poll.poll, 10000), [(stream.fileno(), select.POLLIN)])
                site_rm.wait()
                assert f"gone\tINBOX/{uid}." in stream.read(1000).decode()
                equal(stream.read(100), None)
        # All else is always ready.
        with open(site.find(4), "rb") as message:
            equal(select.select([message], [], [], 10), ([message], [], []))
        log = out("cat", site / ".mailfs/log")
        assert log


@case
def edges_can_be_polled(server):
    """Each line is one, though nobody polls in between."""
    with listed_site(server) as site, Listener(site) as events, select.epoll() as poll:
        poll.register(events.fd, select.EPOLLIN | select.EPOLLET)
        equal(poll.poll(0), [])
        for uid in (1, 2, 3):
            os.unlink(site.find(uid))
            equal(poll.poll(10), [(events.fd, select.EPOLLIN)])
            equal(poll.poll(0), [])
            equal(len(events.lines()), uid)


@case
def a_reader_can_be_killed(server):
    with listed_site(server) as site:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            cat = reader(site.mount)
            cat.send_signal(number)
            equal(within(2, cat.wait), -number)
        done = run("timeout", "1", "cat", site / ".mailfs/events", check=False)
        equal((done.returncode, done.stdout), (124, b""))


@case
def readers_of_one_open_file_can_be_killed(server):
    """Whichever of them came first."""
    with listed_site(server) as site:
        with open(site / ".mailfs/events", "rb") as shared:
            cats = [subprocess.Popen(["cat"], stdin=shared) for _ in range(3)]
            wait_until(lambda: all(reads(cat.pid) for cat in cats), 10, "their reads")
        for cat in reversed(cats):
            cat.kill()
            equal(within(2, cat.wait), -signal.SIGKILL)
        os.unlink(site.find(1))


def reads(pid):
    """It waits for the mount."""
    return "request_wait" in pathlib.Path(f"/proc/{pid}/wchan").read_text()


@case
def who_does_not_read_loses_lines(server):
    with listed_site(server) as site, Listener(site) as lazy:
        path = site.find(1)
        before = site.mount.memory_kib()
        for n in range(RENAMES):
            os.rename(path, site / f"INBOX/{n}-{'x' * 60}.eml")
            path = site / f"INBOX/{n}-{'x' * 60}.eml"
        if not SANITIZED:
            assert site.mount.memory_kib() < before + 8192

        def told_of():
            return sum(int(line[1]) if line[0] == "lost" else line[0] == "moved"
                       for line in lazy.lines())
        # The last of them may still be on its way.
        wait_until(lambda: told_of() == RENAMES, 20, "all are told of")
        words = [line[0] for line in lazy.lines()]
        equal(words.count("lost"), 1)
        equal(words.index("lost") > 100, True, "the first are kept")
        equal(65536 - 300 < len(lazy.text) < 65536 + 2000, True, f"{len(lazy.text)} bytes")
        os.rename(path, site / "INBOX/again.eml")
        lazy.wait(("moved", "INBOX/again.eml", f"INBOX/{path.name}"))


@case
def it_is_not_in_the_way(server):
    with listed_site(server) as site:
        equal("events" in os.listdir(site / ".mailfs"), False)
        within(20, run, "grep", "-r", "nothing like this", site / ".mailfs", check=False)
        within(20, run, "tar", "cf", "/dev/null", "-C", site / ".mailfs", ".",
               check=False)  # the others are not what they were
        attr = os.stat(site / ".mailfs/events")
        equal((attr.st_size, attr.st_mode & 0o777), (0, 0o400))
        fails((errno.EPERM, errno.EACCES), os.open, site / ".mailfs/events", os.O_WRONLY)
        with Listener(site) as events:
            fails(errno.ESPIPE, os.lseek, events.fd, 0, os.SEEK_SET)


@case
def an_unmount_ends_it(server):
    with listed_site(server) as site:
        cat = reader(site.mount)
        done = run("fusermount3", "-u", site.mount.path, check=False)
        equal((done.returncode != 0, cat.poll()), (True, None))
        site.mount.stop(5)
        equal(within(5, cat.wait), 0)
        equal(cat.stdout.read(), b"")
        site.mount.start()
        with Listener(site):
            polling = subprocess.Popen(["python3", "-c", "import select, sys\n"
                                        "select.select([open(sys.argv[1])], [], [])",
                                        site / ".mailfs/events"], stderr=subprocess.DEVNULL)
            wait_until(lambda: is_open(polling.pid, site.mount), 10, "the poll")
            site.mount.stop(5)
            within(5, polling.wait)
        site.mount.start()


@case
def very_many_are_one_line(server):
    """Of a refresh, a thousand are told one by one."""
    with listed_site(server, ["poll=3600"]) as site, Listener(site) as events:
        with site.client() as client:
            ok(client.select("INBOX"))
            while (count := len(ok(client.uid("SEARCH", "ALL"))[0].split())) < 3000:
                ok(client.uid("COPY", f"1:{min(count, 3000 - count)}", "INBOX"))
        # Not before all are there: two refreshes of less could tell of each.
        (site / ".mailfs/ctl").write_text("reconnect\n")
        wait_until(lambda: len(site.uids()) >= 3000 and ("folder", "INBOX") in events.lines(), 60,
                   "all")
        lost = sum(int(line[1]) for line in events.lines() if line[0] == "lost")
        told = len([line for line in events.lines() if line[0] == "new"])
        equal(told + lost <= 1000, True, f"{told} told")


@case
def an_old_folder_is_not_news(server):
    """Neither are those that are listed for the first time."""
    with Site(server, ["idle=off"]) as site, Listener(site) as events:
        equal(len(site.listed()), 6)
        site.append(mail("fresh"))
        events.wait(("new", "INBOX/7.fresh.eml"))
        equal(events.lines(), [("new", "INBOX/7.fresh.eml")])


@case
def without_an_outbox_and_read_only(server):
    server.deliver(mails(3), user="plain")
    home = Home()
    with Mount(server, ["poll=1", "idle=off", "ro"], user="plain", home=home) as mount, \
            Listener(mount) as events:
        equal(len(mount.messages()), 3)
        client = server.imap("plain", None)
        ok(client.append("INBOX", None, None, mail("fresh")))
        client.logout()
        wait_until(lambda: len(mount.messages()) == 4 and
                   ("new", "INBOX/4.fresh.eml") in events.lines(), 20, "new")
    home.remove()


if __name__ == "__main__":
    main(Dovecot)
