"""Without a connection: what is known is there at once, what is not fails at once, and changes wait.
When the server is back they are done in order; what cannot be done any more is told in the log, and
never done to anything else."""

import errno
import os
import signal
import socket
import time

from changing import Site, fails, mails
from harness import (Dovecot, Home, Mount, case, equal, free_ports, is_message, mail, main, ok, out,
                     quote, run, wait_until, within)
from scripted import Folder, Message, ScriptedServer
from sending import Desk, note

MAILS = mails(8)
CACHED = (1, 2, 3)
AWAY = (errno.EHOSTUNREACH, errno.ETIMEDOUT)
NEW = mail("written offline", extra="Message-ID: <offline@example.org>\r\n")


class Trip(Site):
    """A Site that can leave its server. Of INBOX and Archive all messages are known, and of some
    the text, too; Secret was never looked into."""

    def __init__(self, server, options=(), folders=("Archive", "Other", "Secret"), **more):
        super().__init__(server, options, MAILS, folders, **more)
        self.secret_folder = "Secret"

    def look(self):
        for folder in self.folders:
            if folder != self.secret_folder:
                self.listed(folder)
        # Not in order: nothing is read ahead.
        for uid in reversed(CACHED):
            run("cat", self.find(uid))
        return self

    def leave(self, silent=False):
        """The connection is lost, and there is no other."""
        if silent:
            self.wire.hold()
        self.wire.target = free_ports(1)[0]
        if not silent:
            self.wire.cut()
            wait_until(lambda: "state: offline" in self.status(), 20, "being offline")

    def come_back(self):
        self.wire.target = self.server.port
        self.wire.release()
        self.hurry()

    def hurry(self):
        self.mount.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "state: online" in self.status(), 30, "being online")

    def mount_with(self, *options, end="unmount"):
        """Mounts it anew with these options, too."""
        if end == "kill":
            self.mount.kill()
            self.home.check_reports()
            self.mount.abandon()
        else:
            self.mount.unmount()
            self.mount.abandon()
        self.mount = Mount(self.wire.url(self.user), [*self.options, *options], home=self.home)
        self.mount.start()

    def status(self):
        return self.mount.text(".mailfs/status")

    def log(self):
        return self.mount.text(".mailfs/log")

    def done(self):
        """All that was promised is done, or was given up."""
        wait_until(lambda: "pending-changes: 0\n" in self.status(), 30, "nothing is pending")

    def told(self, *words):
        def is_told():
            return any(all(word in line for word in words) for line in self.log().splitlines())
        wait_until(is_told, 20, f"{words} in the log: {self.log()}")

    def flagged(self, uid, word, folder="INBOX"):
        (self / folder / f"{uid}.d/flags").write_bytes(word.encode())


def trip(*options, **more):
    def wrap(function):
        def run_one(server):
            with Trip(server, options, **more) as site:
                site.look()
                function(site)
        run_one.__name__ = function.__name__
        return case(run_one)
    return wrap


# --- reading ---

def known_things_are_there(site):
    equal(sorted(os.listdir(site.mount.path)), ["Archive", "INBOX", "Other", "Secret"])
    names = site.listed()
    equal(len(names), len(MAILS))
    for name in names:
        os.stat(site / "INBOX" / name)
    run("find", site / "INBOX", "-size", "+0")
    run("ls", "-l", site / "Archive", site / "Other")
    run("df", site.mount.path)
    for uid in CACHED:
        equal(run("cat", site.find(uid)).stdout, MAILS[uid - 1][0])
    fails(errno.ENOENT, os.stat, site / "INBOX/99.eml")
    fails(errno.ENOENT, os.stat, site / "Nothing")


def unknown_things_fail(site):
    left = [n for n in site.listed() if int(n.split(".")[0]) not in CACHED]
    equal(len(left), len(MAILS) - len(CACHED))
    for name in left:
        fails(AWAY, (site / "INBOX" / name).read_bytes)
    fails(AWAY, os.listdir, site / "Secret")
    fails(AWAY, os.mkdir, site / "Made")
    fails(AWAY, os.rename, site / "Other", site / "Else")
    done = run("cat", *[site / "INBOX" / n for n in site.listed()], check=False)
    equal((done.returncode, done.stdout), (1, b"".join(MAILS[u - 1][0] for u in CACHED)))


@trip()
def with_offline_all_is_as_it_was(site):
    site.mount.unmount()
    site.mount.abandon()
    seen = site.wire.connections
    # Nor is a password asked for.
    site.home.secret.rename(site.home.secret.with_suffix(".not"))
    site.mount = Mount(site.wire.url(site.user), [*site.options, "offline"], home=site.home)
    within(2, site.mount.start)
    within(1, known_things_are_there, site)
    within(1, unknown_things_fail, site)
    status = site.status()
    assert "state: offline" in status and "last-error: none" in status, status
    site.mount.process.send_signal(signal.SIGHUP)  # which connects, but for this
    time.sleep(0.3)
    fails(errno.EHOSTUNREACH, (site / "INBOX/4.eml").read_bytes)
    equal(site.wire.connections, seen)
    site.home.secret.with_suffix(".not").rename(site.home.secret)
    site.mount_with()
    equal(run("cat", site.find(4)).stdout, MAILS[3][0])


@trip()
def mounted_while_the_server_is_away(site):
    site.wire.target = free_ports(1)[0]
    site.wire.cut()
    site.mount_with("delay_connect")
    within(1, known_things_are_there, site)
    within(1, unknown_things_fail, site)
    site.come_back()
    equal(run("cat", site.find(4)).stdout, MAILS[3][0])
    equal(site.listed("Secret"), [])


@trip("timeout=20")
def mounted_while_the_server_is_silent(site):
    site.wire.hold()
    site.mount.kill()
    site.mount_with("delay_connect", end="kill")
    within(1, known_things_are_there, site)
    # The first connection is given some seconds; after that nobody waits for it.
    within(8, fails, AWAY, (site / "INBOX/4.eml").read_bytes)
    within(1, unknown_things_fail, site)
    within(1, known_things_are_there, site)
    site.come_back()
    equal(run("cat", site.find(4)).stdout, MAILS[3][0])


@trip()
def the_connection_is_lost(site):
    site.leave()
    within(1, known_things_are_there, site)
    within(1, unknown_things_fail, site)
    site.come_back()
    equal(run("cat", site.find(4)).stdout, MAILS[3][0])


@trip("timeout=3")
def the_server_falls_silent(site):
    site.leave(silent=True)
    # Who looks finds out, and so do the first readers.
    within(3, known_things_are_there, site)
    within(8, fails, AWAY, (site / "INBOX/4.eml").read_bytes)
    within(8, fails, AWAY, (site / "INBOX/5.eml").read_bytes)
    for _ in range(3):
        within(1, known_things_are_there, site)
        within(3, unknown_things_fail, site)
    site.come_back()
    equal(run("cat", site.find(4)).stdout, MAILS[3][0])


# --- changing ---

def change_some(site):
    """Each kind of change."""
    os.unlink(site.find(1))
    os.rename(site.find(2), site / "Archive/two.eml")
    site.flagged(3, "+flagged +later")
    os.rename(site.find(4), site / "Archive/four.eml")
    os.unlink(site.find(5))
    with open(site / "Other/new.eml", "wb") as new:
        new.write(NEW)
    run("cp", "--reflink=auto", site.find(3), site / "Archive/three.eml")


def changes_show(site):
    equal(site.uids(), [3, 6, 7, 8])
    equal(len(site.deleted()), 2)
    equal(sorted(n for n in os.listdir(site / "Archive") if is_message(n)),
          ["four.eml", "three.eml", "two.eml"])
    equal((site / "Archive/two.eml").read_bytes(), MAILS[1][0])
    equal((site / "INBOX/3.d/flags").read_text().split(), ["flagged", "later"])
    equal((site / "Other/new.eml").read_bytes(), NEW)


def changes_are_done(site):
    site.done()
    equal(set(site.live()), {3, 6, 7, 8})
    equal({u for u, m in site.view().items() if "\\Deleted" in m.flags}, {1, 5})
    equal(sorted(m.flags - {"\\Recent"} for m in site.view().values() if "later" in m.flags),
          [{"\\Flagged", "later"}])
    equal(sorted(m.data for m in site.live("Archive").values()),
          sorted(MAILS[n - 1][0] for n in (2, 3, 4)))
    equal(site.only("Other")[1].data, NEW)
    for folder in ("INBOX", "Archive", "Other"):
        site.shows_what_is(folder)
    equal((site / "Archive/two.eml").read_bytes(), MAILS[1][0])


def order_is_kept(site, since):
    """The rm came before the mv and the flags."""
    said = site.wire.seen(r"^UID (STORE|MOVE)|^APPEND", since)
    kinds = [" ".join(c.split()[:2]) if c.startswith("UID") else "APPEND" for c in said]
    equal(kinds[0], "UID STORE", said)
    assert "UID MOVE" in kinds[1:] and "APPEND" in kinds, said
    assert any("lagged" in c or "later" in c for c in said[kinds.index("UID MOVE"):]), said


@trip()
def changes_of_an_offline_mount_are_sent_by_the_next(site):
    site.mount_with("offline")
    within(2, change_some, site)
    changes_show(site)
    assert "pending-changes: 0\n" not in site.status(), site.status()
    within(1, fails, errno.EHOSTUNREACH, fsync, site / "INBOX")
    within(3, site.mount_with, "offline")
    changes_show(site)
    site.mount_with("offline", end="kill")
    changes_show(site)
    since = site.wire.count()
    site.mount_with()
    changes_are_done(site)
    order_is_kept(site, since)


@trip()
def changes_made_while_it_is_away_are_sent_when_it_is_back(site):
    site.leave()
    within(2, change_some, site)
    changes_show(site)
    since = site.wire.count()
    site.come_back()
    changes_are_done(site)
    order_is_kept(site, since)


@trip()
def changes_survive_a_kill_and_a_start_without_a_server(site):
    site.leave()
    within(2, change_some, site)
    site.mount_with("delay_connect", end="kill")
    changes_show(site)
    site.mount_with("delay_connect", end="kill")
    changes_show(site)
    site.come_back()
    changes_are_done(site)


def fsync(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def rights_are_judged(site):
    for attempt in (lambda: os.unlink(site.find(1, "Look")),
                    lambda: os.rename(site.find(1), site / "Look/x.eml"),
                    lambda: (site / "Look/new.eml").write_bytes(NEW),
                    lambda: site.flagged(1, "+flagged", "Look")):
        within(1, fails, (errno.EROFS, errno.EACCES), attempt)
    equal(site.find(1, "Look").stat().st_mode & 0o777, 0o400)
    os.rename(site.find(1), site / "Keep/kept.eml")


@case
def what_was_not_allowed_is_not_allowed_offline(_):
    with Dovecot(acl=True) as server, Trip(server, folders=("Look", "Keep", "Secret")) as site:
        for folder, rights in (("Look", "owner lr\n"), ("Keep", "owner lrswit\n")):
            site.append(mail(f"in {folder}"), folder)
            acl = server.maildir(folder, site.user) / "dovecot-acl"
            acl.write_text(rights)
            acl.chmod(0o644)
        site.remount()
        site.look()
        for folder in ("INBOX", "Look", "Keep"):
            wait_until(lambda f=folder: site.listed(f), 20, "the message")
        fails((errno.EROFS, errno.EACCES), os.unlink, site.find(1, "Look"))
        os.unlink(site.find(8))
        site.flagged(1, "+seen", "Keep")
        site.done()
        # As the last connection told, also for a mount that has had none.
        site.mount_with("offline")
        rights_are_judged(site)
        site.mount_with()
        site.done()
        equal(len(site.live("Keep")), 2)
        equal(len(site.live("Look")), 1)
        # What was granted since is heard of.
        (server.maildir("Look", site.user) / "dovecot-acl").write_text("owner lrswite\n")
        site.remount()
        os.unlink(site.find(1, "Look"))
        site.done()
        wait_until(lambda: site.live("Look") == {}, 20, "the removal")


@case
def a_message_too_large_for_the_server_is_refused_offline(_):
    inbox = {b"INBOX": Folder({1: Message(mail("one"))}, permanent="\\Seen \\Deleted \\*")}
    home = Home()
    with ScriptedServer(inbox, "IMAP4rev1 LITERAL+ APPENDLIMIT=1000") as server:
        with Mount(server.url(), ["tls=off"], home=home) as mount:
            equal(len(mount.messages()), 1)
        with Mount(server.url(), ["tls=off", "offline"], home=home) as mount:
            (mount / "INBOX/fits.eml").write_bytes(mail("fits"))
            fails(errno.EFBIG, (mount / "INBOX/large.eml").write_bytes, mail("x" * 1000))
    home.remove()


@case
def mail_waits_in_the_outbox_of_an_offline_mount(_):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        with Desk(url.replace("smtp:", "imap:").replace("//", "//alice@"), url,
                  ["offline"]) as desk:
            equal(within(1, desk.post, "a.eml", note("a")), errno.EHOSTUNREACH)
            equal(desk.state("a.eml"), "waiting")
            assert "offline" in desk.row("a.eml")[3], desk.queue()
            desk.hurry()
            equal(within(1, desk.verdict), errno.EHOSTUNREACH)
            desk.kill_and_mount()
            equal(desk.waiting(), ["a.eml"])
        fails(errno.EAGAIN, listener.accept)


# --- what happened meanwhile ---

def expunge(site, uids, folder="INBOX"):
    with site.client(folder) as client:
        ok(client.uid("STORE", uids, "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())


@trip()
def messages_that_are_gone(site):
    site.leave()
    site.flagged(1, "+flagged")
    os.rename(site.find(2), site / "Archive/two.eml")
    os.unlink(site.find(3))
    site.flagged(4, "+flagged")
    os.rename(site.find(5), site / "Archive/five.eml")
    expunge(site, "1:3")
    site.append(mail("later"))
    site.come_back()
    site.done()
    site.told("message 1", "not in INBOX")
    site.told("message 2", "not in INBOX")
    assert "message 3" not in site.log(), site.log()
    held = site.view()
    equal(sorted(held), [4, 6, 7, 8, 9])
    equal([u for u, m in held.items() if "\\Flagged" in m.flags], [4])
    equal([u for u, m in held.items() if "\\Deleted" in m.flags], [])
    equal([m.data for m in site.live("Archive").values()], [MAILS[4][0]])
    for folder in ("INBOX", "Archive"):
        site.shows_what_is(folder)


@trip()
def a_folder_that_is_gone(site):
    site.append(mail("other"), "Other")
    wait_until(lambda: site.listed("Other"), 20, "the message")
    site.leave()
    os.unlink(site.find(1, "Other"))
    os.rename(site.find(4), site / "Other/four.eml")
    (site / "Other/new.eml").write_bytes(NEW)
    with site.client() as client:
        ok(client.delete("Other"))
    site.come_back()
    site.told("Other", "no such folder")
    wait_until(lambda: 4 in site.uids(), 20, "the message that could not be moved")
    equal(set(site.live()), set(range(1, 9)))


@trip()
def a_folder_that_has_another_name_now(site):
    for n in range(2):
        site.append(mail(f"other {n}"), "Other")
    wait_until(lambda: len(site.listed("Other")) == 2, 20, "the messages")
    site.leave()
    os.unlink(site.find(1, "Other"))
    with site.client() as client:
        ok(client.rename("Other", "Renamed"))
        ok(client.create("Other"))
        for n in range(2):
            ok(client.append("Other", None, None, mail(f"impostor {n}")))
    site.come_back()
    site.done()
    site.told("message 1 of Other", "renumbered")
    equal(len(site.live("Other")), 2)
    equal(len(site.live("Renamed")), 2)
    site.shows_what_is("Other")


@trip()
def a_folder_that_was_made_anew(site):
    for n in range(3):
        site.append(mail(f"old {n}"), "Other")
    wait_until(lambda: len(site.listed("Other")) == 3, 20, "the messages")
    site.mount_with("offline")
    os.unlink(site.find(1, "Other"))
    os.rename(site.find(2, "Other"), site / "Archive/two.eml")
    site.flagged(3, "+flagged", "Other")
    (site / "Other/new.eml").write_bytes(NEW)
    time.sleep(1)  # UIDVALIDITY is a time
    with site.client() as client:
        ok(client.delete("Other"))
        ok(client.create("Other"))
        for n in range(3):
            ok(client.append("Other", None, None, mail(f"another {n}")))
    site.mount_with()
    site.told("message 1 of Other", "renumbered")
    site.told("message 2 of Other", "renumbered")
    site.told("message 3 of Other", "renumbered")
    site.done()
    held = site.view("Other")
    equal([u for u, m in held.items() if m.flags & {"\\Deleted", "\\Flagged"}], [])
    # New mail is for the name.
    equal(sorted(m.data for m in held.values()),
          sorted([NEW] + [mail(f"another {n}") for n in range(3)]))
    equal(site.live("Archive"), {})
    site.shows_what_is("Other")


@case
def what_is_refused_meanwhile(_):
    with Dovecot(acl=True) as server, Trip(server, folders=("Look", "Secret")) as site:
        for n in range(3):
            site.append(mail(f"look {n}"), "Look")
        site.look()
        wait_until(lambda: len(site.listed("Look")) == 3, 20, "the messages")
        site.leave()
        os.unlink(site.find(1, "Look"))
        site.flagged(2, "+flagged", "Look")
        os.rename(site.find(4), site / "Look/four.eml")
        (site / "Look/new.eml").write_bytes(NEW)
        acl = server.maildir("Look", site.user) / "dovecot-acl"
        acl.write_text("owner lr\n")
        acl.chmod(0o644)
        site.come_back()
        for words in (("message 1", "shows again"), ("message 2", "shows again"),
                      ("message 4", "shows again"), ("new.eml", "kept as a file")):
            site.told(*words)
        wait_until(lambda: 4 in site.uids() and 1 in site.uids("Look"), 20, "what was not done")
        equal(len(site.live("Look")), 3)
        equal((site / "Look/2.d/flags").read_text().split(), [])
        # It stays where it is, and can be read.
        equal((site / "Look/new.eml").read_bytes(), NEW)


@case
def more_than_the_quota_has_room_for(_):
    with Dovecot(quota_kib=200) as server, Trip(server) as site:
        site.look()
        site.leave()
        for n in range(4):
            (site / f"Archive/{n}.eml").write_bytes(mail(f"large {n}", "x" * 70 + "\r\n" * 900))
        big = mail("full", ("x" * 76 + "\r\n") * 1500)
        (site / "Archive/big.eml").write_bytes(big)
        site.append(mail("meanwhile", ("y" * 76 + "\r\n") * 2000))
        site.come_back()
        site.told("big.eml")
        equal((site / "Archive/big.eml").read_bytes(), big)
        wait_until(lambda: len(site.live("Archive")) == 4, 20, "what has room")


if __name__ == "__main__":
    main(Dovecot)
