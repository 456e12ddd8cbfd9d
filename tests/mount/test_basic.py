"""The tree: names, attributes, bytes, control files, and that `-o ro` lets nothing be written."""

import calendar
import contextlib
import os
import re
import time

from harness import Dovecot, Home, Mount, case, equal, mail, main, ok, out, run, wait_until


def at(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


MAILS = [
    (mail("Lunch on Friday"), at("2021-01-05 10:00:00")),
    (mail("Re: Lunch on Friday", "See you.\r\n" * 2000), at("2021-01-06 11:12:13")),
    (mail("=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?="), at("2022-02-01 00:00:00")),
    (mail("=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?="), at("2022-02-02 00:00:00")),
    (mail("../../etc/passwd"), at("2022-02-03 00:00:00")),
    (mail("-rf *; $(reboot)"), at("2022-02-04 00:00:00")),
    (b"From: a@example.org\r\n\r\nno subject\r\n", at("2022-02-05 00:00:00")),
    (mail("=?UTF-8?B?" + "w6TDpMOkw6TDpMOk" * 4 + "?=\r\n =?UTF-8?B?" + "w6TDpMOkw6TDpMOk" * 4
          + "?="), at("2022-02-06 00:00:00")),
    (mail("=?UTF-8?Q?x=1B[31mred=E2=80=AEgnp.exe?="), at("2022-02-07 00:00:00")),
    (mail("..."), at("2022-02-08 00:00:00")),
    (mail("a" * 200), at("2023-06-01 12:00:00")),
    (mail("last words", "needle in a haystack\r\n"), at("2024-01-01 00:00:00")),
]
GONE = 10  # expunged before the mount: a hole in the UIDs

LABELS = {
    1: "Lunch-on-Friday", 2: "Re-Lunch-on-Friday", 3: "Grüße-aus-Köln", 4: "日本",
    5: "etc-passwd", 8: "ä" * 40, 11: "a" * 80, 12: "last-words",
}


@contextlib.contextmanager
def fixture():
    with Dovecot(quota_kib=1000) as server:
        server.deliver(MAILS)
        client = server.imap(folder="INBOX")
        for folder in ("Archive", "Archive/2024"):
            ok(client.create(folder))
        ok(client.uid("STORE", str(GONE), "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())
        client.logout()
        home = Home()
        mount = Mount(server, home=home, options=["poll=1"])
        with mount:
            yield Both(server, mount)
        home.remove()


class Both:
    def __init__(self, server, mount):
        self.server = server
        self.mount = mount
        self.inbox = mount / "INBOX"

    def path(self, uid):
        return self.mount.find(uid)


@case
def messages_are_listed_by_ascending_uid(x):
    uids = [int(n.split(".")[0]) for n in x.mount.messages()]
    equal(uids, [u for u in range(1, len(MAILS) + 1) if u != GONE])


@case
def names_carry_the_subject(x):
    names = {int(n.split(".")[0]): n for n in x.mount.messages()}
    for uid, label in LABELS.items():
        equal(names[uid], f"{uid}.{label}.eml")


@case
def names_are_safe_whatever_the_subject(x):
    for name in x.mount.messages():
        label = re.fullmatch(r"\d+\.([^.]*)\.eml", name)
        assert label, name
        assert re.fullmatch(r"[\w=@+-]+", label[1]), name
        assert not label[1].startswith("-") and not label[1].endswith("-"), name
        assert len(label[1].encode()) <= 80, name


@case
def without_a_subject_the_name_is_a_hash(x):
    name = next(n for n in x.mount.messages() if n.startswith("7."))
    assert re.fullmatch(r"7\.[a-z2-7]{4}\.eml", name), name


@case
def cat_equals_what_was_delivered(x):
    for uid, (data, _) in enumerate(MAILS, 1):
        if uid != GONE:
            equal(run("cat", x.path(uid)).stdout, data, f"message {uid}")


@case
def the_number_alone_is_the_same_file(x):
    listed, alias = os.stat(x.path(2)), os.stat(x.inbox / "2.eml")
    equal(alias.st_ino, listed.st_ino)
    equal(run("cat", x.inbox / "2.eml").stdout, MAILS[1][0])
    assert "2.eml" not in os.listdir(x.inbox)


@case
def names_that_are_not_there_are_not_found(x):
    for name in (f"{GONE}.eml", "99.eml", "01.eml", "1.Wrong.eml", "4294967296.eml", "-1.eml",
                 "1.eml.eml", "+1.eml", "0.eml", "nothing", ".unread-not"):
        assert not os.path.lexists(x.inbox / name), name


@case
def attributes_are_those_of_the_message(x):
    for uid in (1, 2, 12):
        data, when = MAILS[uid - 1]
        s = os.stat(x.path(uid))
        equal(s.st_size, len(data))
        equal(s.st_blocks, (len(data) + 511) // 512)
        equal(int(s.st_mtime), when)
        equal(s.st_mode, 0o100600)
        equal((s.st_uid, s.st_gid, s.st_nlink), (os.getuid(), os.getgid(), 1))
    s = os.stat(x.inbox)
    equal(s.st_mode, 0o040700)


@case
def find_selects_by_date_and_size(x):
    def found(*test):
        paths = out("find", x.inbox, "-type", "f", *test).splitlines()
        return sorted(int(os.path.basename(p).split(".")[0]) for p in paths)
    equal(found("-newermt", "2023-01-01"), [11, 12])
    equal(found("-not", "-newermt", "2021-06-01"), [1, 2])
    equal(found("-size", "+10k"), [2])


@case
def du_counts_the_bytes(x):
    total = sum(len(d) for uid, (d, _) in enumerate(MAILS, 1) if uid != GONE)
    told = int(out("du", "-sb", "--apparent-size", x.inbox).split()[0])
    directory = os.stat(x.inbox).st_size
    equal(told - directory, total)
    blocks = sum((len(d) + 511) // 512 for uid, (d, _) in enumerate(MAILS, 1) if uid != GONE)
    told = int(out("du", "-s", "-B512", x.inbox).split()[0])
    equal(told - os.stat(x.inbox).st_blocks, blocks)


@case
def tools_read_it(x):
    equal(out("grep", "-rl", "needle", x.inbox).split(), [str(x.path(12))])
    equal(int(out("grep", "-rc", "See you", x.path(2))), 2000)
    equal(int(out("wc", "-c", x.path(2)).split()[0]), len(MAILS[1][0]))
    equal(run("tail", "-c", "5", x.path(12)).stdout, MAILS[11][0][-5:])
    equal(run("dd", f"if={x.path(2)}", "bs=1000", "skip=7", "count=2",
              "status=none").stdout, MAILS[1][0][7000:9000])


@case
def reading_sets_no_flag(x):
    run("grep", "-r", "nothing-like-this", x.mount.path, check=False)
    client = x.server.imap(folder="INBOX")
    equal(ok(client.uid("SEARCH", "SEEN"))[0], b"")
    client.logout()


@case
def with_ro_nothing_can_be_written(x):
    with Mount(x.server, options=["ro"]) as mount:
        equal(os.stat(mount.find(1)).st_mode, 0o100400)
        equal(os.stat(mount / "INBOX").st_mode, 0o040500)
        cannot_be_written(mount)


def cannot_be_written(mount):
    path = str(mount.find(1))
    new = str(mount / "INBOX/new.eml")
    for attempt in (
            lambda: open(path, "ab"), lambda: open(path, "r+b"), lambda: open(new, "wb"),
            lambda: os.unlink(path), lambda: os.rename(path, new), lambda: os.mkdir(new),
            lambda: os.rmdir(mount / "Archive"), lambda: os.symlink("x", new),
            lambda: os.link(path, new), lambda: os.truncate(path, 0),
            lambda: os.mkfifo(new), lambda: os.setxattr(path, "user.x", b"y")):
        try:
            attempt()
        except OSError as error:
            # root passes the permission bits; others may be stopped by them. link(2) of a file
            # system without links is EPERM, an attribute EOPNOTSUPP.
            assert error.strerror in ("Read-only file system", "Permission denied",
                                      "Operation not permitted", "Operation not supported",
                                      ), error
        else:
            raise AssertionError("written")
    if os.getuid() == 0:
        done = run("touch", new, check=False, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
        assert b"Read-only file system" in done.stderr, done.stderr


@case
def inbox_is_found_in_any_case(x):
    assert "INBOX" in os.listdir(x.mount.path)
    for name in ("inbox", "Inbox", "iNBOX"):
        equal(os.stat(x.mount / name).st_ino, os.stat(x.inbox).st_ino)
    assert not os.path.exists(x.mount / "archive")


@case
def folders_are_directories_beside_messages(x):
    equal(sorted(os.listdir(x.mount.path)), ["Archive", "INBOX"])
    equal(os.listdir(x.mount / "Archive"), ["2024"])
    equal(os.listdir(x.mount / "Archive" / "2024"), [])


@case
def control_files_resolve_but_are_not_listed(x):
    assert ".mailfs" not in os.listdir(x.mount.path)
    found = out("find", x.mount.path)
    assert ".mailfs" not in found
    status = x.mount.text(".mailfs/status")
    assert "alice@localhost" in status and "correct-horse" not in status, status
    log = x.mount.text(".mailfs/log")
    assert log and "correct-horse" not in log, log
    assert not os.path.exists(x.mount / ".mailfs" / "nothing")
    assert not os.path.exists(x.inbox / ".mailfs")


@case
def df_shows_the_quota(x):
    # The quota's root is asked for in the background.
    def shown():
        fields = out("df", "-B1024", "--output=size,used,avail", x.mount.path).splitlines()[-1]
        return [int(f) for f in fields.split()]
    size, used, free = wait_until(lambda: shown() if shown()[0] == 1000 else None, 20, "quota")
    assert 0 < used < 200 and free <= size - used, (size, used, free)


@case
def df_without_quota_shows_the_known_mail(x):
    with Dovecot() as server:
        server.deliver(MAILS)
        with Mount(server) as mount:
            mount.messages()
            total = sum(len(d) for d, _ in MAILS)

            def shown():
                line = out("df", "-B1", "--output=size,used,avail", mount.path).splitlines()[-1]
                return [int(f) for f in line.split()]
            size, used, free = wait_until(lambda: shown() if shown()[1] >= total else None, 20,
                                          "the sum of sizes")
            # Each is rounded to blocks.
            assert free > 0 and abs(size - used - free) <= 3 * 4096, (size, used, free)


@case
def inode_numbers_and_names_survive_a_remount(x):
    def numbers():
        return {n: os.stat(x.inbox / n).st_ino for n in os.listdir(x.inbox)}
    before = numbers()
    folder = os.stat(x.inbox).st_ino
    x.mount.unmount()
    x.mount.start()
    equal(numbers(), before)
    equal(os.stat(x.inbox).st_ino, folder)


@case
def names_uid_shows_no_subject(x):
    with Mount(x.server, options=["names=uid"]) as mount:
        for name in mount.messages():
            assert re.fullmatch(r"\d+\.[a-z2-7]{4}\.eml", name), name
        equal(run("cat", mount.find(1)).stdout, MAILS[0][0])


main(fixture)
