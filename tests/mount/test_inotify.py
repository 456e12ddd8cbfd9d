"""Watchers of folders (inotify) hear what others did, once each; and nothing of it reaches the server."""

import contextlib
import ctypes
import errno
import os
import pathlib
import signal
import subprocess

from changing import Site, fails, mails
from harness import (SANITIZED, Dovecot, Skip, case, equal, mail, main, ok, quote, run, unmount,
                     wait_until)
from inotify import Watch

CHANGING = r"^(UID )?(STORE|COPY|MOVE|EXPUNGE)|^(CREATE|DELETE|RENAME|APPEND|CLOSE|EXPUNGE)"
MANY = 1500 if SANITIZED else 5000


def helper_of(site):
    """The process id of the helper."""
    children = pathlib.Path(f"/proc/{site.mount.process.pid}/task").glob("*/children")
    for child in " ".join(c.read_text() for c in children).split():
        if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "mailfs-inotify":
            return int(child)
    return None


def watches(pid):
    """The process watches something."""
    with contextlib.suppress(OSError):
        return any("inotify wd:" in file.read_text()
                   for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir())
    return False


def settled(site, watch, folder="Archive"):
    """All that was on its way to watchers is there: the last of all comes behind."""
    site.append(mail("the last"), folder)
    uid = max(site.view(folder, bodies=False))
    watch.wait(("CREATE", folder, f"{uid}.the-last.eml"))


@contextlib.contextmanager
def site_of(server, options=(), **kwargs):
    """Polled, so that all folders are alike. In the end nothing was changed on the server but by
    the others."""
    with Site(server, ["idle=off", *options], **kwargs) as site:
        for folder in site.folders:
            site.listed(folder)
        site.changes = 0
        yield site
        equal(len(site.wire.seen(CHANGING)), site.changes, "changes that the server was told")


@case
def new_mail_is_created(server):
    with site_of(server) as site, Watch(site, "INBOX", "Archive") as watch:
        site.append(mail("Fresh news"))
        watch.wait(("CREATE", "INBOX", "7.Fresh-news.eml"))
        equal(run("cat", site / "INBOX/7.Fresh-news.eml").stdout, mail("Fresh news"))
        equal(len(site.uids()), 7)
        settled(site, watch)
        equal(watch.of("CREATE"), ["7.Fresh-news.eml"])
        equal([e for e in watch.events() if e[0] in ("DELETE", "MOVED_TO")], [])


@case
def what_somebody_saw_before_is_created_too(server):
    with site_of(server) as site, Watch(site, "INBOX") as watch:
        looking = subprocess.Popen(["sh", "-c", "while :; do ls -l INBOX; done"], cwd=site / "",
                                   stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            for n in range(7, 27):
                site.append(mail(f"seen {n}"))
            watch.wait(*(("CREATE", "INBOX", f"{n}.seen-{n}.eml") for n in range(7, 27)))
        finally:
            os.killpg(looking.pid, signal.SIGKILL)
            looking.wait()
        equal(len(watch.of("CREATE")), 20)
        equal(len(site.uids()), 26)


@case
def expunged_mail_is_deleted(server):
    with site_of(server) as site, Watch(site, "INBOX", "Archive") as watch:
        gone = site.find(3)
        held = open(gone, "rb")
        start = held.read(10)
        site.flag(3, "+", "\\Deleted")
        watch.wait(("DELETE", "INBOX", gone.name))
        with site.client("INBOX") as client:
            ok(client.expunge())
        wait_until(lambda: site.deleted() == [], 20, "expunged")
        settled(site, watch)
        equal(watch.of("DELETE"), [gone.name])
        assert not gone.exists()
        equal(start + held.read(), site_mail(3))
        held.close()


def site_mail(uid):
    return mails(uid)[-1][0]


@case
def expunged_at_once_is_deleted_once(server):
    with site_of(server) as site, Watch(site, "INBOX", "Archive") as watch:
        gone = site.find(2).name
        with site.client("INBOX") as client:
            ok(client.uid("STORE", "2", "+FLAGS.SILENT", "(\\Deleted)"))
            ok(client.expunge())
        watch.wait(("DELETE", "INBOX", gone))
        settled(site, watch)
        equal(watch.of("DELETE"), [gone])


@case
def mail_that_nobody_listed_is_deleted(server):
    with Site(server, ["idle=off"]) as site, Watch(site, "INBOX") as watch:
        os.listdir(site / "INBOX")
        site.flag(4, "+", "\\Deleted")
        watch.wait(("DELETE", "INBOX", "4.mail-4.eml"))


@case
def undeleted_mail_is_created(server):
    with site_of(server) as site, Watch(site, "INBOX") as watch:
        name = site.find(5).name
        site.flag(5, "+", "\\Deleted")
        watch.wait(("DELETE", "INBOX", name))
        site.flag(5, "-", "\\Deleted")
        watch.wait(("CREATE", "INBOX", name))
        equal(site.uids(), [1, 2, 3, 4, 5, 6])
        equal(run("cat", site / "INBOX" / name).stdout, site_mail(5))


@case
def changed_flags_are_attributes(server):
    with site_of(server) as site, Watch(site, "INBOX", "Archive") as watch:
        name = site.find(4).name
        site.flag(4, "+", "\\Flagged")
        watch.wait(("ATTRIB", "INBOX", name))
        settled(site, watch)
        equal([n for n in watch.of("ATTRIB") if n], [name])
        equal("flagged" in site.mount.text("INBOX/4.d/flags"), True)


@case
def what_we_do_is_told_by_the_kernel_alone(server):
    with site_of(server) as site, Watch(site, "INBOX", "Archive") as watch:
        first, second, third = (site.find(n) for n in (1, 2, 3))
        os.unlink(first)
        os.rename(second, site / "Archive" / second.name)
        run("cp", third, site / "Archive/copy.eml")
        (site / "INBOX/mine.eml").write_bytes(mail("mine"))
        site.sync()
        wait_until(lambda: len(site.live("Archive")) == 2 and len(site.live()) == 5, 20, "done")
        for folder in ("INBOX", "Archive"):
            site.shows_what_is(folder)
        settled(site, watch)
        equal(watch.of("DELETE"), [first.name])
        equal(watch.of("MOVED_FROM"), [second.name])
        equal(watch.of("MOVED_TO", "Archive"), [second.name])
        equal(watch.of("CREATE"), ["mine.eml"])
        equal([n for n in watch.of("CREATE", "Archive") if "the-last" not in n], ["copy.eml"])
        equal(watch.of("DELETE", "Archive"), [])
        site.changes = len(site.wire.seen(CHANGING))


@case
def folders_come_and_go(server):
    with site_of(server, folders=("Archive", "Old")) as site, Watch(site, "", "Archive") as watch:
        def other(*names):
            with site.client() as client:
                for verb, name in names:
                    ok(getattr(client, verb)(quote(name)))
            os.listdir(site / "")
        other(("create", "Fresh"), ("create", "Archive/Below"), ("delete", "Old"))

        def told():
            os.listdir(site / "")  # so that the folders are asked for
            return {("CREATE/DIR", "", "Fresh"), ("CREATE/DIR", "Archive", "Below"),
                    ("DELETE/DIR", "", "Old")} <= set(watch.events())
        wait_until(told, 20, "all three")
        equal(sorted(os.listdir(site / "")), ["Archive", "Fresh", "INBOX", "Sent", "Trash"]
              if "Sent" in os.listdir(site / "") else ["Archive", "Fresh", "INBOX"])
        os.mkdir(site / "Mine")
        os.rmdir(site / "Mine")
        os.rename(site / "Fresh", site / "Fresher")
        other(("create", "Later"))
        wait_until(lambda: os.listdir(site / "") and ("CREATE/DIR", "", "Later") in watch.events(),
                   20, "the last")
        equal(sorted(watch.of("CREATE/DIR", "")), ["Fresh", "Later", "Mine"])
        equal(sorted(watch.of("DELETE/DIR", "")), ["Mine", "Old"])
        equal(watch.of("MOVED_TO/DIR", ""), ["Fresher"])
        site.changes = 3


@case
def very_many_are_told_by_the_folder_alone(server):
    with site_of(server) as site, Watch(site, "INBOX", "") as watch:
        with site.client() as client:
            ok(client.select("INBOX"))
            while (count := len(ok(client.uid("SEARCH", "ALL"))[0].split())) < MANY:
                ok(client.uid("COPY", f"1:{min(count, MANY - count)}", "INBOX"))
        wait_until(lambda: len(site.uids()) >= MANY, 120, "all")
        wait_until(lambda: any(not n for n in watch.of("ATTRIB")) or
                   any(n == "INBOX" for n in watch.of("ATTRIB/DIR", "")), 60, "the folder's own")
        created = len(watch.of("CREATE"))
        equal(created <= 1200, True, f"{created} events")


@case
def off_is_off(server):
    with site_of(server, ["inotify=off"]) as site, Watch(site, "INBOX") as watch:
        equal(helper_of(site), None)
        site.append(mail("fresh"))
        wait_until(lambda: len(site.uids()) == 7, 20, "fresh")
        equal([e for e in watch.events() if e[0] != "ATTRIB"], [])


@case
def read_only_has_no_helper(server):
    with site_of(server, ["ro"]) as site:
        equal(helper_of(site), None)


@case
def the_helper_holds_nothing_of_ours(server):
    with site_of(server) as site:
        helper = helper_of(site)
        assert helper
        links = [os.readlink(f) for f in pathlib.Path(f"/proc/{helper}/fd").iterdir()]
        equal(sorted(link.split(":")[0] for link in links), ["pipe", "pipe"])
        equal(os.readlink(f"/proc/{helper}/cwd"), "/")
        command = pathlib.Path(f"/proc/{helper}/cmdline").read_bytes()
        equal(command.rstrip(b"\0"), b"mailfs-inotify")


@case
def a_killed_helper_does_no_harm(server):
    with site_of(server) as site, Watch(site, "INBOX") as watch:
        os.kill(helper_of(site), signal.SIGKILL)
        # It is missed when there is something to do, if nobody looked before: said once, and there
        # is no other. But who reads .mailfs/events hears on.
        with open(site / ".mailfs/events", encoding="utf-8") as events:
            for n in range(7, 30):
                site.append(mail(f"fresh {n}"))
                equal(events.readline().split("\t")[1:], ["new", f"INBOX/{n}.fresh-{n}.eml\n"])
                if n > 9 and "no more events for watchers" in site.mount.errors():
                    break
        site.flag(1, "+", "\\Deleted")
        wait_until(lambda: site.uids() == list(range(2, n + 1)), 20, "fresh")
        equal(site.mount.errors().count("no more events for watchers"), 1)
        os.unlink(site.find(9))
        site.sync()
        equal(watch.of("DELETE"), ["9.fresh-9.eml"])
        equal(watch.of("CREATE"), [])
        site.changes = 1


@case
def it_can_be_unmounted_while_much_happens(server):
    """The helper is in the way for moments only."""
    with site_of(server) as site:
        with Watch(site, "INBOX") as watch, site.client("INBOX") as client:
            for count in (6, 12, 24, 48):
                ok(client.uid("COPY", f"1:{count}", "INBOX"))
            wait_until(lambda: len(watch.of("CREATE")) >= 5, 20, "the first")
        # Some of it is still to be told, and all of it could be.
        wait_until(lambda: subprocess.run(["fusermount3", "-u", site.mount.path], check=False,
                                          stderr=subprocess.DEVNULL).returncode == 0, 20, "the end")
        site.mount.ended()
        site.mount.start()


@case
def a_stopped_helper_holds_nobody_up(server):
    with site_of(server) as site, Watch(site, "INBOX") as watch:
        helper = helper_of(site)
        os.kill(helper, signal.SIGSTOP)
        for n in range(7, 10):
            site.append(mail(f"fresh {n}"))
        wait_until(lambda: len(site.uids()) == 9, 20, "fresh")
        os.kill(helper, signal.SIGCONT)
        watch.wait(*(("CREATE", "INBOX", f"{n}.fresh-{n}.eml") for n in range(7, 10)))
        os.kill(helper, signal.SIGSTOP)
        site.append(mail("fresh 10"))
        wait_until(lambda: len(site.uids()) == 10, 20, "fresh")


@case
def nothing_outlives_a_killed_daemon(server):
    with site_of(server) as site:
        helper = helper_of(site)
        site.mount.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{helper}"), 5, "the helper's end")
        wait_until(lambda: subprocess.run(["fusermount3", "-uz", site.mount.path], check=False,
                                          stderr=subprocess.DEVNULL) is not None, 5)


@case
def nobody_else_is_taken_for_the_helper(server):
    with site_of(server) as site, Watch(site, "INBOX", "") as watch:
        fails(errno.EPERM, os.mknod, site / "INBOX/9.eml")
        fails(errno.EEXIST, os.mknod, site.find(1))
        umask = os.umask(0)
        fails(errno.EPERM, os.mkdir, site / "New", 0o1000)
        os.umask(umask)
        os.chmod(site.find(2), 0o600)
        equal([e for e in watch.events() if "ATTRIB" not in e[0]], [])
        equal(len(site.uids()), 6)


def umount_at_once(path):
    """Without a question to the daemon, as umount(8) has some."""
    if ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(path), 0):
        raise OSError(ctypes.get_errno(), "umount2")


@case
def nothing_is_done_where_others_are_mounted_by_then(server):
    """Their device has our number: it is the next free one."""
    if os.geteuid() != 0:
        raise Skip("may not mount")
    for change, uids in ((lambda site: site.flag(3, "+", "\\Deleted"), [1, 2, 4, 5, 6]),
                         (lambda site: site.append(mail("fresh")), [1, 2, 3, 4, 5, 6, 7])):
        with site_of(server) as site, contextlib.ExitStack() as stack:
            daemon, helper = site.mount.process.pid, helper_of(site)
            with Watch(site, "INBOX"):
                name = site.find(3).name
                os.kill(helper, signal.SIGSTOP)
                change(site)
                wait_until(lambda: site.uids() == uids, 20, "the change")
                device = os.stat(site / "").st_dev
                os.kill(daemon, signal.SIGSTOP)
                stack.callback(os.kill, daemon, signal.SIGCONT)
            umount_at_once(site.mount.path)
            for _ in range(100):
                run("mount", "-t", "tmpfs", "none", site.mount.path)
                stack.callback(umount_at_once, site.mount.path)
                if os.stat(site / "").st_dev == device:
                    break
            (site / "INBOX").mkdir()
            (site / "INBOX" / name).touch()
            os.kill(helper, signal.SIGCONT)
            wait_until(lambda: waits_for_work(helper), 10, "the helper")
            equal(os.listdir(site / "INBOX"), [name])


def waits_for_work(pid):
    """It waits for what it is to do next."""
    process = pathlib.Path(f"/proc/{pid}")
    return ("pipe" in (process / "wchan").read_text()
            and (process / "stat").read_text().split()[2] == "S")


@case
def another_namespace_of_processes_is_fine(server):
    with site_of(server) as site:
        command = site.mount.command
        site.mount.unmount()
        site.mount.command = ["unshare", "--pid", "--fork", "--kill-child", "--", *command]
        site.mount.start()
        site.listed()
        with Watch(site, "INBOX") as watch:
            site.append(mail("fresh"))
            watch.wait(("CREATE", "INBOX", "7.fresh.eml"))
        site.mount.command = command
        unmount(site.mount.path)
        site.mount.process.wait(20)


@case
def inotifywait_works(server):
    with site_of(server) as site:
        tool = subprocess.Popen(["inotifywait", "-m", "-q", "--format", "%e %f",
                                 site / "INBOX"], stdout=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: watches(tool.pid), 10, "its watch")
            site.append(mail("fresh"))
            lines = []
            while not any(line.startswith("CREATE") for line in lines):
                lines.append(tool.stdout.readline().strip())
            assert "CREATE 7.fresh.eml" in lines, lines
        finally:
            tool.kill()
            tool.wait()


if __name__ == "__main__":
    main(Dovecot)
