"""What the server or the user does not allow: refused at once where that is known, undone where it
is not."""

import errno
import os

from changing import MAILS, Site, fails
from harness import Dovecot, Mount, case, equal, mail, main, ok, out, run, wait_until, within
from scripted import Folder, Message, ScriptedServer

NOTE = b"Subject: note\r\n\r\nnote\r\n"


def new_file(path, data=NOTE):
    with open(path, "wb") as file:
        file.write(data)


# --- -o ro ---

@case
def with_ro_nothing_changes():
    with Dovecot() as server, Site(server, ["ro"]) as site:
        path, new = site.find(1), site / "INBOX/new.eml"
        for attempt in (
                lambda: new_file(path), lambda: new_file(new), lambda: os.unlink(path),
                lambda: os.rename(path, new), lambda: os.rename(path, site / "Archive/x.eml"),
                lambda: os.mkdir(site / "Made"), lambda: os.rmdir(site / "Archive"),
                lambda: os.rename(site / "Archive", site / "Made"), lambda: os.truncate(path, 0),
                lambda: os.chmod(path, 0o600), lambda: os.link(path, new),
                lambda: new_file(site / "INBOX/1.d/flags", b"+seen"),
                lambda: os.utime(path, (1, 1))):
            fails(errno.EROFS, within, 2, attempt)
        equal((path.stat().st_mode & 0o777, (site / "INBOX").stat().st_mode & 0o777),
              (0o400, 0o500))
        equal(run("cat", path).stdout, MAILS[0][0])
        site.sync()
        equal(site.wire.seen(r"^(SELECT|UID STORE|APPEND|CREATE|DELETE|RENAME|EXPUNGE)\b"), [])


# --- ACL ---

RIGHTS = {"Look": "owner lr\n", "Keep": "owner lrswi\n", "Drop": "owner lrswite\n"}


def with_rights(function):
    def run_one():
        with Dovecot(acl=True) as server, Site(server, folders=RIGHTS) as site:
            for folder, rights in RIGHTS.items():
                site.append(mail(f"in {folder}"), folder)
            for folder, rights in RIGHTS.items():
                directory = server.maildir(folder, site.user)
                (directory / "dovecot-acl").write_text(rights)
                (directory / "dovecot-acl").chmod(0o644)
            site.remount()
            for folder in RIGHTS:
                wait_until(lambda folder=folder: site.listed(folder), 20, "the message")
            function(site)
    run_one.__name__ = function.__name__
    case(run_one)


def changes(site):
    return site.wire.seen(r"^(UID (STORE|MOVE|COPY|EXPUNGE)|APPEND|CREATE|DELETE|RENAME)\b")


@with_rights
def a_folder_that_may_only_be_read(site):
    path = site.find(1, "Look")
    run("cat", path)
    start = len(changes(site))
    for attempt in (
            lambda: os.unlink(path), lambda: os.rename(path, site / "INBOX/x.eml"),
            lambda: os.rename(site.find(1), site / "Look/x.eml"),
            lambda: new_file(site / "Look/new.eml"),
            lambda: new_file(site / "Look/1.d/flags", b"+seen"),
            lambda: os.mkdir(site / "Look/Sub"), lambda: os.rmdir(site / "Look"),
            lambda: os.rename(site / "Look", site / "Looked")):
        fails((errno.EROFS, errno.EACCES, errno.ENOTEMPTY), within, 5, attempt)
    # What may be read may be copied.
    run("cp", path, site / "INBOX/copy.eml")
    site.sync()
    equal(changes(site)[start:], ['UID COPY 1 "INBOX"'])
    equal(site.live()[len(MAILS) + 1].data, mail("in Look"))
    equal(len(site.live("Look")), 1)
    done = run("rm", "-f", path, check=False, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    assert b"Permission denied" in done.stderr or b"Read-only" in done.stderr, done.stderr


@with_rights
def a_folder_that_nothing_may_leave(site):
    path = site.find(1, "Keep")
    for attempt in (lambda: os.unlink(path), lambda: os.rename(path, site / "INBOX/x.eml"),
                    lambda: new_file(site / "Keep/1.d/flags", b"+deleted")):
        fails(errno.EACCES, within, 5, attempt)
    new_file(site / "Keep/new.eml")
    new_file(site / "Keep/1.d/flags", b"+flagged")
    os.rename(site.find(1), site / "Keep/moved.eml")
    run("mv", path, site / "Keep/kept.eml")
    site.sync()
    held = site.view("Keep")
    equal(sorted(m.data for m in held.values()), sorted([mail("in Keep"), NOTE, MAILS[0][0]]))
    equal(held[1].flags, {"\\Flagged"})
    equal(1 in site.live(), False)
    equal(site.wire.seen(r"STORE \S+ \+FLAGS\S* \(\\Deleted\)|EXPUNGE"), [])


@with_rights
def a_folder_that_may_not_be_removed(site):
    os.unlink(site.find(1, "Drop"))
    site.sync("Drop")
    equal(site.live("Drop"), {})
    fails(errno.EACCES, within, 5, os.rmdir, site / "Drop")
    fails(errno.EACCES, within, 5, os.rename, site / "Drop", site / "Dropped")
    fails(errno.EACCES, within, 5, os.mkdir, site / "Drop/Sub")
    equal("Drop" in os.listdir(site.mount.path), True)


# --- quota and limits ---

def quota(words, capability=None):
    def wrap(function):
        def run_one():
            with Dovecot(quota_kib=1000, capability=capability) as server:
                big = [(sized("big", 840000), 1600000000)]
                with Site(server, messages=big, bare=capability is not None) as site:
                    function(site)
        run_one.__name__ = f"{function.__name__}_{words}"
        case(run_one)
        return function
    return wrap


def sized(subject, size):
    return mail(subject, "0123456789abc\r\n" * (size // 15))


@quota("with_extensions")
@quota("with_bare_imap4rev1", "IMAP4rev1")
def over_quota_it_waits_until_there_is_room(site):
    site.listed("Archive")
    data, path = sized("more", 120000), site / "Archive/more.eml"
    site.wire.hold()
    new_file(path, data)
    site.append(sized("other", 100000))
    site.wire.release()

    def is_told():
        done = run("sync", path, check=False, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
        equal(done.returncode, 1, "sync over quota")
        return b"quota" in done.stderr.lower()
    # Until there is a connection again the reason is another.
    wait_until(is_told, 30, "sync over quota")
    equal(site.listed("Archive"), ["more.eml"])
    equal(run("cat", path).stdout, data)
    equal(site.view("Archive"), {})
    assert "quota" in site.mount.text(".mailfs/log").lower()
    site.remount()
    equal(run("cat", path).stdout, data)
    with site.client("INBOX") as client:
        ok(client.uid("STORE", "1", "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())
    wait_until(lambda: run("sync", path, check=False).returncode == 0, 30, "sync with room")
    equal(site.only("Archive")[1].data, data)
    equal(site.listed("Archive"), ["more.eml"])
    equal(run("cat", path).stdout, data)


@quota("with_extensions")
def what_exceeds_the_quota_is_not_even_begun(site):
    """The quota is known: the writer is told, and half a message is never sent."""
    wait_until(lambda: os.statvfs(site / "INBOX").f_blocks * os.statvfs(site / "INBOX").f_frsize
               == 1000 * 1024, 20, "the quota")
    path = site / "Archive/more.eml"
    fails(errno.EDQUOT, new_file, path, sized("more", 400000))
    if path.exists():
        site.sync(check=False)
    equal(site.view("Archive"), {})
    equal(site.wire.seen("^APPEND"), [])
    if path.exists():
        os.unlink(path)
    new_file(path)
    site.sync("Archive")
    equal(site.only("Archive")[1].data, NOTE)


@case
def larger_than_the_server_takes():
    folder = Folder({}, permanent="\\Seen \\Deleted \\*")
    with ScriptedServer({b"INBOX": folder}, capability="IMAP4rev1 APPENDLIMIT=1000") as script:
        with Mount(script.url(), ["tls=off"]) as mount:
            mount.messages()
            new_file(mount / "INBOX/fits.eml", b"Subject: x\r\n\r\n" + b"x" * 984 + b"\r\n")
            run("sync", mount / "INBOX/fits.eml")
            equal(len(folder.messages), 1)

            def too_big():
                new_file(mount / "INBOX/big.eml", b"Subject: x\r\n\r\n" + b"x" * 985 + b"\r\n")
                file = os.open(mount / "INBOX/big.eml", os.O_RDONLY)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)
            fails(errno.EFBIG, too_big)
            equal(len(script.seen("^APPEND")), 1)


# --- refused later ---

def refusing(verb, answer):
    """A server that takes no such command, with two messages and a folder."""
    folders = {b"INBOX": Folder({n: Message(b"Subject: m%d\r\n\r\nx\r\n" % n) for n in (1, 2)},
                                permanent="\\Seen \\Deleted \\*"),
               b"Other": Folder({}, permanent="\\Seen \\Deleted \\*")}
    return ScriptedServer(folders, evil=lambda connection, said, argument, tag:
                          answer if said == verb else None)


@case
def a_refused_removal_is_undone():
    with refusing(b"UID_STORE", "NO [NOPERM] Not \x1b[31mtoday") as script:
        with Mount(script.url(), ["tls=off"]) as mount:
            os.unlink(mount.find(1))
            done = run("sync", mount / "INBOX", check=False)
            equal(done.returncode, 1, "sync of what was refused")
            wait_until(lambda: [n[0] for n in mount.messages()] == ["1", "2"], 20, "it is back")
            equal(out("cat", mount / "INBOX/1.eml"), "Subject: m1\r\n\r\nx\r\n")
            log = mount.text(".mailfs/log")
            assert "today" in log and "\x1b" not in log, log
            # Once refused it is not asked for again and again.
            run("sync", mount / "INBOX")
            equal(len(script.seen(r"\bSTORE")) <= 2, True, "STORE again and again")


@case
def a_refused_move_is_undone():
    with refusing(b"UID_COPY", "NO [OVERQUOTA] Full") as script:
        with Mount(script.url(), ["tls=off"]) as mount:
            os.rename(mount.find(1), mount / "Other/one.eml")
            equal(mount.messages("Other"), ["one.eml"])
            equal(run("sync", mount / "Other", check=False).returncode, 1)
            wait_until(lambda: [n[0] for n in mount.messages()] == ["1", "2"], 20, "it is back")
            equal(mount.messages("Other"), [])
            equal(script.seen(r"\bSTORE"), [])
            assert "Full" in mount.text(".mailfs/log")


@case
def a_refused_message_is_kept():
    with refusing(b"APPEND", "NO [CANNOT] Never") as script:
        with Mount(script.url(), ["tls=off"]) as mount:
            path = mount / "Other/new.eml"
            new_file(path)
            for _ in range(2):
                equal(run("sync", path, check=False).returncode, 1)
                equal(path.read_bytes(), NOTE)
            equal(mount.messages("Other"), ["new.eml"])
            script.evil = None
            run("sync", path)
            equal([m.data for m in script.folders[b"Other"].messages.values()], [NOTE])
            assert "Never" in mount.text(".mailfs/log")


@case
def a_folder_that_opens_read_only():
    """No rights are told; that it is READ-ONLY is seen when it is opened."""
    folders = {b"INBOX": Folder({1: Message(NOTE)}), b"Other": Folder({})}
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        fails((errno.EROFS, errno.EACCES), within, 5, os.unlink, mount.find(1))
        fails((errno.EROFS, errno.EACCES), within, 5, os.rename, mount.find(1),
              mount / "Other/x.eml")
        equal(len(mount.messages()), 1)
        equal(script.seen(r"\bSTORE|COPY|MOVE"), [])


main()
