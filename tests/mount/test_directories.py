"""mkdir, rmdir and mv of directories: folders that are made, removed and renamed."""

import errno
import os

from changing import MAILS, Site, both, both_servers, fails, uid_at
from harness import Dovecot, case, equal, mail, main, ok, quote, run, utf7, wait_until

BODIES = r"FETCH .*BODY(\.PEEK)?\[\]"


def names_of(answer):
    return {line.rsplit(b' "/" ')[-1].decode().strip('"') for line in answer if line}


def folders(site):
    with site.client() as client:
        return names_of(ok(client.list()))


def subscribed(site):
    with site.client() as client:
        return names_of(ok(client.lsub()))


@both()
def mkdir_creates_and_subscribes(site):
    run("mkdir", site / "Projects")
    run("mkdir", "-p", site / "Projects/2024/Grüße")
    wanted = {"Projects", "Projects/2024", utf7("Projects/2024/Grüße")}
    equal(wanted <= folders(site), True, "they exist")
    equal(wanted <= subscribed(site), True, "they are subscribed")
    equal(os.listdir(site / "Projects"), ["2024"])
    (site / "Projects/2024/Grüße/a.eml").write_bytes(mail("a"))
    site.sync("Projects/2024/Grüße")
    equal(site.only("Projects/2024/Grüße")[1].data, mail("a"))
    fails(errno.EEXIST, os.mkdir, site / "Projects")
    fails(errno.EEXIST, os.mkdir, site / "INBOX")
    site.remount()
    equal(sorted(os.listdir(site.mount.path)), ["Archive", "INBOX", "Projects"])


@both()
def names_that_are_no_folders(site):
    for name in (".Trash-0", ".Trash", "Archive/.hidden"):
        fails(errno.EPERM, os.mkdir, site / name)
    fails(errno.EPERM, os.mkdir, site / "Archive/letter.eml")
    fails((errno.EPERM, errno.EINVAL), os.mkdir, site / "outbox")
    done = run("gio", "trash", site.find(2), check=False, env={
        "PATH": os.environ["PATH"], "HOME": str(site.home.dir), "LC_ALL": "C"})
    equal(done.returncode != 0, True, "gio trash succeeds")
    site.sync()
    equal(folders(site), {"INBOX", "Archive"})
    equal(len(site.live()), len(MAILS))


@both(folders=("Archive", "Full", "Parent", "Parent/Child", "Flagged"))
def rmdir_removes_what_is_empty(site):
    site.append(mail("one"), "Full")
    site.append(mail("one"), "Flagged")
    site.flag(1, "+", "\\Deleted", "Flagged")
    for name in ("Full", "Parent"):
        fails(errno.ENOTEMPTY, os.rmdir, site / name)
    fails(errno.EBUSY, os.rmdir, site / "INBOX")
    fails(errno.ENOENT, os.rmdir, site / "Nothing")
    fails(errno.ENOTDIR, os.rmdir, site.find(1))
    equal(len(site.live("Full")), 1)
    for name in ("Archive", "Parent/Child", "Flagged"):
        run("rmdir", site / name)
        equal((site / name).exists(), False)
    if (site / "Parent").exists():
        os.rmdir(site / "Parent")
    equal(folders(site), {"INBOX", "Full"})
    equal(sorted(os.listdir(site.mount.path)), ["Full", "INBOX"])
    equal("Archive" in subscribed(site), False)


@both(folders=("Full",))
def mail_that_nobody_saw_keeps_its_folder(site):
    """The listing is old: the server is asked before anything is deleted."""
    equal(site.listed("Full"), [])
    site.append(mail("late"), "Full")
    fails(errno.ENOTEMPTY, os.rmdir, site / "Full")
    equal(len(site.live("Full")), 1)


@both(folders=("Archive", "Box", "Box/Sub", "Other"))
def mv_renames_with_all_below(site):
    for folder in ("Box", "Box/Sub"):
        site.append(mail(f"in {folder}", f"{folder}\r\n"), folder)
    with site.client() as client:
        ok(client.subscribe("Box"))
        ok(client.subscribe("Box/Sub"))
    wait_until(lambda: site.listed("Box") and site.listed("Box/Sub"), 20, "the messages")
    name = site.listed("Box")[0]
    inodes = {}
    for path in ("", "Sub", name, f"Sub/{site.listed('Box/Sub')[0]}"):
        inodes[path] = os.stat(site / "Box" / path).st_ino
    bodies = [run("cat", site / "Box" / path).stdout for path in inodes if path.endswith(".eml")]
    fetched = len(site.wire.seen(BODIES))
    run("mv", site / "Box", site / "New name")
    equal({path: os.stat(site / "New name" / path).st_ino for path in inodes}, inodes)
    equal([run("cat", site / "New name" / path).stdout for path in inodes
           if path.endswith(".eml")], bodies)
    equal(len(site.wire.seen(BODIES)), fetched)
    equal((site / "Box").exists(), False)
    equal(folders(site), {"INBOX", "Archive", "Other", "New name", "New name/Sub"})
    equal({"New name"} <= subscribed(site) and "Box" not in subscribed(site), True)
    run("mv", site / "New name", site / "Other")
    equal({path: os.stat(site / "Other/New name" / path).st_ino for path in inodes}, inodes)
    equal("Other/New name/Sub" in folders(site), True)
    site.remount()
    equal({path: os.stat(site / "Other/New name" / path).st_ino for path in inodes}, inodes)
    equal(run("cat", site / "Other/New name" / name).stdout, bodies[0])
    equal(len(site.wire.seen(BODIES)), fetched)


@both(folders=("Archive", "Box", "Full"))
def mv_of_directories_that_is_refused(site):
    site.append(mail("one"), "Full")
    fails(errno.EBUSY, os.rename, site / "INBOX", site / "Inbox2")
    fails((errno.EEXIST, errno.ENOTEMPTY), os.rename, site / "Box", site / "Full")
    fails((errno.EBUSY, errno.EEXIST, errno.ENOTEMPTY), os.rename, site / "Box", site / "INBOX")
    fails(errno.EINVAL, os.rename, site / "Box", site / "Box/Sub")
    fails(errno.EISDIR, os.rename, site.find(1), site / "Box")
    fails(errno.ENOTDIR, os.rename, site / "Box", site.find(1))
    fails(errno.EPERM, os.rename, site / "Box", site / ".hidden")
    equal(folders(site), {"INBOX", "Archive", "Box", "Full"})
    equal(len(site.live()), len(MAILS))


@both(folders=("Archive", "Box"))
def what_is_pending_goes_along(site):
    """Changes of messages and new messages of a folder that is renamed before they are sent."""
    for n in (1, 2, 3):
        site.append(mail(f"m {n}"), "Box")
    wait_until(lambda: site.uids("Box") == [1, 2, 3], 20, "the messages")
    os.unlink(site / "Box/1.eml")
    os.rename(site / "Box/2.eml", site / "Archive/two.eml")
    os.rename(site.find(2), site / "Box/guest.eml")
    (site / "Box/new.eml").write_bytes(mail("new"))
    os.rename(site / "Box", site / "Moved")
    equal(sorted(os.listdir(site / "Moved")), ["3.m-3.eml", "guest.eml", "new.eml"])
    site.sync()
    equal(sorted(m.data for m in site.live("Moved").values()),
          sorted([mail("m 3"), mail("new"), MAILS[1][0]]))
    equal(site.only("Archive")[1].data, mail("m 2"))
    equal(sorted(os.listdir(site / "Moved")), ["3.m-3.eml", "guest.eml", "new.eml"])
    site.shows_what_is("Moved")


@both(folders=("Box",))
def given_names_go_along(site):
    (site / "Box/mine.eml").write_bytes(mail("mine"))
    site.sync("Box")
    uid = uid_at(site / "Box/mine.eml")
    os.rename(site / "Box", site / "Moved")
    for _ in range(2):
        equal(site.listed("Moved"), ["mine.eml"])
        equal(uid_at(site / "Moved/mine.eml"), uid)
        site.remount()


@both(folders=("Box",))
def others_have_it_open(site):
    site.append(mail("one"), "Box")
    wait_until(lambda: site.listed("Box"), 20, "the message")
    run("cat", site / "Box/1.eml")
    with site.client("Box"):
        run("mv", site / "Box", site / "Moved")
    equal(run("cat", site / "Moved/1.one.eml").stdout, mail("one"))
    os.unlink(site / "Moved/1.one.eml")
    site.sync("Moved")
    with site.client("Moved"):
        os.rmdir(site / "Moved")
    equal(folders(site), {"INBOX"})


@both()
def the_server_is_away(site):
    """The verdict is the server's: without one it fails in time, and can be interrupted."""
    site.listed()
    site.wire.hold()
    done = run("timeout", "-s", "INT", "3", "mkdir", site / "Later", check=False)
    equal(done.returncode != 0, True, "mkdir succeeds without a server")
    site.wire.release()
    wait_until(lambda: run("mkdir", "-p", site / "Later", check=False).returncode == 0, 60,
               "mkdir with a server")
    equal("Later" in folders(site), True)


@case
def folders_of_a_server_with_dots(servers):
    """Maildir++: the separator is a dot, names are shown with slashes."""
    del servers
    with Dovecot(separator=".") as server:
        server.deliver(MAILS)
        with Site(server, folders=()) as site:
            run("mkdir", "-p", site / "a/b/c")
            run("mv", site / "a/b", site / "z")
            (site / "z/c/new.eml").write_bytes(mail("new"))
            site.sync("z/c")
            with site.client() as client:
                equal(ok(client.select(quote("z.c")))[0], b"1")
            fails((errno.EINVAL, errno.EPERM, errno.EACCES), os.mkdir, site / "with.dot")
            equal(sorted(os.listdir(site.mount.path)), ["INBOX", "a", "z"])


main(both_servers)
