"""Removing, taking back, moving, copying and renaming messages: what the mount shows at once, what
the server is told, what it holds in the end."""

import ctypes
import errno
import os

from changing import MAILS, both, both_servers, fails, few_commands, mails, uid_at
from harness import Mount, equal, mail, main, ok, out, run, wait_until

DELETED = "\\Deleted"
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4


def renameat2(old, new, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def flagged(site, folder="INBOX"):
    """The UIDs that are \\Deleted on the server."""
    return [u for u, m in site.view(folder).items() if DELETED in m.flags]


def body_fetches(site, since=0):
    """But for those that only measure."""
    return [c for c in site.wire.seen(r"FETCH .*BODY(\.PEEK)?\[\]", since)
            if not c.endswith((".2>)", ".1>)"))]


# --- rm ---

@both()
def rm_flags_and_hides(site):
    path = site.find(2)
    inode = path.stat().st_ino
    run("rm", path)
    equal(site.uids(), [1, 3, 4, 5, 6])
    for name in (path, site / "INBOX/2.eml"):
        fails(errno.ENOENT, os.stat, name)
    equal(site.deleted(), [path.name])
    assert ".deleted" not in os.listdir(site / "INBOX")
    equal((site / "INBOX/.deleted" / path.name).stat().st_ino, inode)
    equal(run("cat", site / "INBOX/.deleted/2.eml").stdout, MAILS[1][0])
    site.sync("INBOX")
    equal(flagged(site), [2])
    equal(len(site.wire.seen(r"^UID STORE 2 \+FLAGS(\.SILENT)? \(\\Deleted\)")), 1)
    equal(site.wire.seen("EXPUNGE|MOVE|COPY"), [])
    site.remount()
    equal((site.uids(), site.deleted()), ([1, 3, 4, 5, 6], [path.name]))


@both()
def what_others_deleted_stands_in_deleted(site):
    equal(len(site.listed()), len(MAILS))
    names = [site.find(uid).name for uid in (3, 5)]
    site.flag("3,5", "+", DELETED)
    wait_until(lambda: site.uids() == [1, 2, 4, 6], 20, "both are hidden")
    wait_until(lambda: site.deleted() == names, 20, "both are in .deleted")
    site.flag("5", "-", DELETED)
    wait_until(lambda: site.uids() == [1, 2, 4, 5, 6], 20, "one is back")
    equal(run("cat", site.find(5)).stdout, MAILS[4][0])


@both()
def mv_out_of_deleted_takes_the_flag_off(site):
    path = site.find(2)
    os.unlink(path)
    site.sync("INBOX")
    equal(flagged(site), [2])
    run("mv", site / "INBOX/.deleted" / path.name, site / "INBOX")
    equal((site.uids(), site.deleted()), ([1, 2, 3, 4, 5, 6], []))
    equal(run("cat", path).stdout, MAILS[1][0])
    site.sync("INBOX")
    equal(flagged(site), [])
    equal(site.wire.seen("EXPUNGE|MOVE|COPY"), [])


@both()
def removed_and_taken_back_at_once_is_as_before(site):
    path = site.find(2)
    for _ in range(3):
        os.unlink(path)
        os.rename(site / "INBOX/.deleted" / path.name, path)
    site.sync("INBOX")
    equal(flagged(site), [])
    site.shows_what_is()


@both()
def rm_in_deleted_expunges_that_one_alone(site):
    for uid in (2, 4):
        os.unlink(site.find(uid))
    site.flag(3, "+", DELETED)
    site.sync("INBOX")
    name = next(n for n in site.deleted() if n.startswith("2."))
    if site.full:
        run("rm", site / "INBOX/.deleted" / name)
        assert name not in site.deleted()
        site.sync("INBOX")
        equal(sorted(site.view()), [1, 3, 4, 5, 6])
        equal(site.wire.seen("EXPUNGE"), ["UID EXPUNGE 2"])
    else:
        fails(errno.EOPNOTSUPP, os.unlink, site / "INBOX/.deleted" / name)
        assert name in site.deleted()
        site.sync("INBOX")
        equal(sorted(site.view()), [1, 2, 3, 4, 5, 6])
    equal(flagged(site), [3, 4] if site.full else [2, 3, 4])
    site.shows_what_is()


@both(options=["delete=trash"], folders=["Archive", "Trash"])
def delete_trash_moves_to_the_trash(site):
    run("rm", site.find(2), site.find(3))
    equal(site.uids(), [1, 4, 5, 6])
    site.sync("INBOX")
    equal(sorted(site.live()), [1, 4, 5, 6])
    equal([m.data for m in site.live("Trash").values()], [MAILS[1][0], MAILS[2][0]])
    site.shows_what_is("Trash")
    os.unlink(site.find(1, "Trash"))
    site.sync("Trash")
    equal(sorted(site.live("Trash")), [2])
    equal(sorted(site.view("Trash")), [2] if site.full else [1, 2])


@both(options=["delete=expunge"])
def delete_expunge_leaves_what_others_flagged(site):
    site.flag(3, "+", DELETED)
    run("rm", site.find(2))
    equal(2 in site.uids(), False)
    site.sync("INBOX")
    equal(sorted(site.view()), [1, 3, 4, 5, 6] if site.full else [1, 2, 3, 4, 5, 6])
    equal(flagged(site), [3] if site.full else [2, 3])
    site.shows_what_is()


# --- mv ---

@both()
def mv_to_another_folder(site):
    site.flag(2, "+", "\\Flagged \\Seen Work")
    path = site.find(2)
    before, inbox = site.view()[2], site / "INBOX"
    run("mv", path, site / "Archive")
    equal(site.uids(), [1, 3, 4, 5, 6])
    fails(errno.ENOENT, os.stat, inbox / "2.eml")
    given = site / "Archive" / path.name
    equal(run("cat", given).stdout, MAILS[1][0])
    site.sync("Archive")
    equal(sorted(site.live()), [1, 3, 4, 5, 6])
    equal(2 in site.view(), not site.full)
    equal(site.only("Archive"), (1, before))
    equal(site.wire.seen("APPEND"), [])
    if site.full:
        equal(len(site.wire.seen("^UID MOVE 2 ")), 1)
    for _ in range(2):
        # The name that it came with might be that of message 2 of the Archive.
        equal(site.listed("Archive"), ["1.mail-2.eml"])
        equal({uid_at(p) for p in (given, site / "Archive/1.eml", site.find(1, "Archive"))}, {1})
        equal(run("cat", given).stdout, MAILS[1][0])
        site.remount()


@both()
def a_name_that_was_given_is_listed(site):
    run("mv", site.find(2), site / "Archive/kept.eml")
    equal(site.listed("Archive"), ["kept.eml"])
    equal(run("cat", site / "Archive/kept.eml").stdout, MAILS[1][0])
    site.sync("Archive")
    for _ in range(2):
        equal(site.listed("Archive"), ["kept.eml"])
        equal((uid_at(site / "Archive/kept.eml"), uid_at(site / "Archive/1.eml")), (1, 1))
        fails(errno.ENOENT, os.stat, site / "Archive/1.mail-2.eml")
        site.remount()
    run("mv", site / "Archive/kept.eml", site / "INBOX/back.eml")
    site.sync("INBOX")
    equal(site.listed("Archive"), [])
    equal(site.live()[7].data, MAILS[1][0])
    equal(run("cat", site / "INBOX/back.eml").stdout, MAILS[1][0])
    # The name is free again, for another message.
    run("mv", site.find(3), site / "Archive/kept.eml")
    site.sync("Archive")
    equal(run("cat", site / "Archive/kept.eml").stdout, MAILS[2][0])


@both()
def a_message_moves_on_before_the_server_knows(site):
    run("mv", site.find(2), site / "Archive/a.eml")
    run("mv", site / "Archive/a.eml", site / "Archive/b.eml")
    run("mv", site / "Archive/b.eml", site / "INBOX/c.eml")
    equal(run("cat", site / "INBOX/c.eml").stdout, MAILS[1][0])
    run("rm", site / "INBOX/c.eml")
    site.sync()
    equal(sorted(site.live()), [1, 3, 4, 5, 6])
    equal(site.live("Archive"), {})
    copies = [m for folder in ("INBOX", "Archive") for m in site.view(folder).values()
              if m.data == MAILS[1][0]]
    assert copies, "the removed message is lost"
    equal(len(copies) == 1 or not site.full, True, f"copies: {len(copies)}")
    site.shows_what_is()
    site.shows_what_is("Archive")


@both()
def no_message_is_replaced(site):
    with site.client() as client:
        ok(client.append("Archive", None, None, mail("there")))
    there = site / "Archive/1.there.eml"
    wait_until(there.exists, 20, "the message in the Archive")
    for target in (site.find(3), site / "INBOX/3.eml", there, site / "Archive/1.eml"):
        fails(errno.EEXIST, os.rename, site.find(2), target)
        fails(errno.EEXIST, renameat2, site.find(2), target, NOREPLACE)
    for flags in (EXCHANGE, WHITEOUT):
        fails((errno.EINVAL, errno.EPERM), renameat2, site.find(2), site.find(3), flags)
    done = run("cp", site.find(2), there, check=False)
    assert done.returncode and run("cat", there).stdout == mail("there"), done
    renameat2(site.find(2), site / "Archive/free.eml", NOREPLACE)
    site.sync()
    equal(sorted(site.live()), [1, 3, 4, 5, 6])
    equal([m.data for m in site.live("Archive").values()], [mail("there"), MAILS[1][0]])


@both()
def no_message_replaces_a_new_one(site):
    message = site.find(2)
    site.listed("Archive")
    site.wire.hold()
    new = site / "Archive/new.eml"
    new.write_bytes(mail("new"))
    fails(errno.EEXIST, os.rename, message, new)
    # An editor's second save is a newer version of the same.
    (site / "Archive/.new.tmp").write_bytes(mail("newer"))
    os.rename(site / "Archive/.new.tmp", new)
    fails(errno.EEXIST, os.rename, message, new)
    equal(new.read_bytes(), mail("newer"))
    site.wire.release()
    wait_until(lambda: site.live("Archive"), 60, "the message")
    site.sync("Archive")
    fails(errno.EEXIST, os.rename, message, new)
    equal([m.data for m in site.live("Archive").values()], [mail("newer")])
    assert 2 in site.live()


@both()
def a_message_is_never_written_to(site):
    path = site.find(2)
    for mode in ("r+b", "ab", "wb"):
        fails(errno.EPERM, open, path, mode)
        fails(errno.EPERM, open, site / "INBOX/2.eml", mode)
    fails(errno.EPERM, os.truncate, path, 0)
    fails(errno.EEXIST, os.open, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    fails(errno.EPERM, os.link, path, site / "INBOX/link.eml")
    fails(errno.EPERM, os.symlink, "x", site / "INBOX/link.eml")
    os.chmod(path, 0o777)
    os.chown(path, os.getuid(), os.getgid())
    os.utime(path, (1, 1))
    run("touch", path)
    equal((int(path.stat().st_mtime), path.stat().st_mode), (MAILS[1][1], 0o100600))
    equal(run("cat", path).stdout, MAILS[1][0])
    site.sync()
    equal(site.wire.seen(r"\bSTORE|APPEND|COPY|MOVE"), [])


@both()
def a_rename_within_a_folder_is_local(site):
    path = site.find(2)
    inode = path.stat().st_ino
    run("mv", path, site / "INBOX/bill.eml")
    run("mv", site / "INBOX/3.eml", site / "INBOX/Letter of mine.eml")
    site.sync()
    for _ in range(2):
        equal(site.listed(), ["1.mail-1.eml", "bill.eml", "Letter of mine.eml", "4.mail-4.eml",
                              "5.mail-5.eml", "6.mail-6.eml"])
        equal({(site / "INBOX" / n).stat().st_ino for n in ("bill.eml", "2.eml")}, {inode})
        fails(errno.ENOENT, os.stat, path)
        equal(run("cat", site / "INBOX/Letter of mine.eml").stdout, MAILS[2][0])
        site.remount()
    equal(site.wire.seen(r"\bSTORE|APPEND|COPY|MOVE"), [])
    equal(site.uids(), [1, 2, 3, 4, 5, 6])


# --- cp ---

@both()
def cp_inside_moves_no_byte(site):
    site.flag(5, "+", "\\Flagged")
    wanted = site.view()[5]
    run("cat", site.find(6))  # the account's first, which tells whether its sizes are true
    start = site.wire.count()
    run("cp", site.find(5), site / "Archive/copy.eml")
    equal(site.listed("Archive"), ["copy.eml"])
    site.sync("Archive")
    equal(site.only("Archive"), (1, wanted))
    equal(site.view()[5], wanted)
    equal(len(site.wire.seen("^UID COPY 5 ")), 1)
    equal(site.wire.seen("APPEND"), [])
    equal(body_fetches(site, start), [])
    equal(run("cat", site / "Archive/copy.eml").stdout, MAILS[4][0])
    site.remount()
    equal(site.listed("Archive"), ["copy.eml"])
    equal(uid_at(site / "Archive/1.eml"), 1)


@both()
def many_copies_at_once(site):
    run("cp", *[site.find(u) for u in (1, 3, 5)], site / "Archive")
    run("cp", "-p", site.find(1), site / "INBOX/twin.eml")
    for uid, name in ((1, "1.mail-1.eml"), (3, "3.mail-3.eml"), (5, "5.mail-5.eml")):
        equal(run("cat", site / "Archive" / name).stdout, MAILS[uid - 1][0])
    site.sync()
    equal([m.data for m in site.live("Archive").values()], [MAILS[n][0] for n in (0, 2, 4)])
    equal(site.live()[7].data, MAILS[0][0])
    equal(site.wire.seen("APPEND"), [])
    equal(len(site.wire.seen("^UID COPY ")) <= 4, True, "few commands")


# --- many, and others ---

@both(messages=mails(1000))
def a_thousand_go_in_few_commands(site):
    listed = site.listed()
    with few_commands(site, 40):
        for name in listed[:400]:
            os.unlink(site / "INBOX" / name)
        for name in listed[400:800]:
            os.rename(site / "INBOX" / name, site / "Archive" / name)
        equal(len(site.listed()), 200)
        # Who reads a directory while names in it change hands may miss one.
        wait_until(lambda: len(site.listed("Archive")) == 400, 20, "all of them")
        site.sync()
    equal(len(site.live()), 200)
    equal({m.data for m in site.live("Archive").values()}, {m[0] for m in mails(1000)[400:800]})
    for name in listed[400:800:57]:
        equal(run("cat", site / "Archive" / name).stdout,
              mails(1000)[int(name.split(".")[0]) - 1][0])


@both()
def unmounting_sends_the_rest(site):
    os.unlink(site.find(2))
    os.rename(site.find(3), site / "Archive/kept.eml")
    site.mount.unmount()
    equal(flagged(site)[:1], [2])
    equal(site.only("Archive")[1].data, MAILS[2][0])
    site.mount.start()
    site.shows_what_is()


@both(folders=("Box",))
def a_mailbox_that_was_replaced_is_left_alone(site):
    for n in (1, 2):
        site.append(mail(f"old {n}"), "Box")
    wait_until(lambda: site.uids("Box") == [1, 2], 20, "the messages of Box")
    equal(len(site.listed()), len(MAILS))
    site.wire.hold()
    os.unlink(site / "Box/1.eml")
    os.rename(site / "Box/2.eml", site / "INBOX/two.eml")
    with site.client() as client:
        ok(client.delete("Box"))
        ok(client.create("Box"))
        for n in (1, 2):
            ok(client.append("Box", None, None, mail(f"new {n}")))
    before = site.view("Box")
    site.wire.release()
    wait_until(lambda: [n for n in site.listed("Box") if "new" in n] and len(site.listed("Box"))
               == 2, 30, "the new Box")
    site.sync(check=False)
    equal(site.view("Box"), before)
    wait_until(lambda: len(site.listed()) == len(MAILS), 20, "the guest is gone")
    assert "Box" in site.mount.text(".mailfs/log")


@both()
def what_others_moved_away_is_not_missed(site):
    """A change of a message that is gone fails alone."""
    equal((len(site.listed()), site.listed("Archive")), (len(MAILS), []))
    site.wire.hold()
    for uid in (2, 3, 4):
        os.unlink(site / f"INBOX/{uid}.eml")
    os.rename(site / "INBOX/5.eml", site / "Archive/five.eml")
    with site.client("INBOX") as client:
        ok(client.uid("COPY", "3,5", "Archive"))
        ok(client.uid("STORE", "3,5", "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())
    site.wire.release()
    site.sync(check=False)
    wait_until(lambda: sorted(site.live()) == [1, 6], 20, "the others are deleted")
    equal(len(site.live("Archive")), 2)
    site.shows_what_is()
    site.shows_what_is("Archive")


@both(folders=("Archive", "Empty"))
def open_files_outlive_their_names(site):
    with open(site.find(6), "rb") as file:
        start = file.read(10)
        os.rename(site.find(6), site / "Archive/six.eml")
        site.sync()
        equal(start + file.read(), MAILS[5][0])
    with open(site / "Archive/six.eml", "rb") as file:
        os.unlink(site / "Archive/six.eml")
        equal(file.read(), MAILS[5][0])
    fails((errno.EPERM, errno.ENOTSUP), os.mkfifo, site / "INBOX/fifo")
    equal(out("ls", site / "Empty"), "")


@both()
def a_second_mount_sees_it(site):
    """Names that were given are of one mount; messages are everybody's."""
    os.rename(site.find(2), site / "Archive/named.eml")
    site.sync()
    with Mount(site.wire.url(site.user), ["tls=off"]) as other:
        equal(other.messages("Archive"), ["1.mail-2.eml"])


main(both_servers)
