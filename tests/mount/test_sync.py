"""What other clients do becomes visible; what is known is not asked for again."""

import contextlib
import functools
import os
import pathlib
import re
import shutil

from harness import (Dovecot, Home, Mount, case, equal, mail, main, ok, quote, run, uids_of,
                     wait_until)
from packs import packed

COUNT = 20
PACK = 2  # its descriptors: to write and to read
MAILS = [(mail(f"mail {n}", f"body {n}\r\n" * n), 1600000000 + n) for n in range(1, COUNT + 1)]


def both(function):
    """Two cases: with all that Dovecot can, and with bare IMAP4rev1."""
    for words, capability in (("with_extensions", None), ("with_bare_imap4rev1", "IMAP4rev1")):
        def run_one(capability=capability):
            with Dovecot(capability=capability) as server:
                server.deliver(MAILS)
                home = Home()
                function(server, home)
                home.remove()
        run_one = functools.wraps(function)(run_one)
        run_one.__name__ = f"{function.__name__}_{words}"
        case(run_one)
    return function


@contextlib.contextmanager
def client_of(server, folder="INBOX"):
    client = server.imap(folder=folder)
    yield client
    client.logout()


def expunge(client, uid):
    ok(client.uid("STORE", str(uid), "+FLAGS", "(\\Deleted)"))
    ok(client.expunge())


def mtime(path):
    return os.stat(path).st_mtime_ns


@both
def new_mail_appears(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        equal(uids_of(mount.messages()), list(range(1, COUNT + 1)))
        before = mtime(mount / "INBOX")
        ok(client.append("INBOX", None, None, mail("fresh")))
        wait_until(lambda: COUNT + 1 in uids_of(mount.messages()), 20, "new mail")
        wait_until(lambda: mtime(mount / "INBOX") > before, 5, "a newer mtime")
        equal(run("cat", mount / f"INBOX/{COUNT + 1}.fresh.eml").stdout, mail("fresh"))


@both
def stat_of_the_folder_alone_sees_new_mail(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        mount.messages()
        before = mtime(mount / "INBOX")
        ok(client.append("INBOX", None, None, mail("fresh")))
        wait_until(lambda: mtime(mount / "INBOX") > before, 20, "a newer mtime")
        # The new listing is there at the latest with the new mtime.
        equal(uids_of(mount.messages())[-1], COUNT + 1)


@both
def a_name_of_new_mail_resolves_without_a_listing(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        mount.messages()
        assert not os.path.exists(mount / f"INBOX/{COUNT + 1}.eml")
        ok(client.append("INBOX", None, None, mail("fresh")))
        wait_until(lambda: os.path.exists(mount / f"INBOX/{COUNT + 1}.eml"), 20, "the name")


@both
def expunged_mail_disappears(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        gone, kept = mount.find(3), mount.find(4)
        run("cat", gone)
        before = mtime(mount / "INBOX")
        expunge(client, 3)
        wait_until(lambda: 3 not in uids_of(mount.messages()), 20, "expunge")
        wait_until(lambda: mtime(mount / "INBOX") > before, 5, "a newer mtime")
        for name in (gone, mount / "INBOX/3.eml"):
            assert not os.path.exists(name), name
        equal(run("cat", kept).stdout, MAILS[3][0])


@both
def mail_expunged_while_open_keeps_its_bytes(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        with open(mount.find(COUNT), "rb") as file:
            equal(file.read(10), MAILS[-1][0][:10])
            expunge(client, COUNT)
            wait_until(lambda: COUNT not in uids_of(mount.messages()), 20, "expunge")
            equal(file.read(), MAILS[-1][0][10:])


def descriptors(mount):
    """How many files of the cache the daemon has open."""
    found = 0
    for link in pathlib.Path(f"/proc/{mount.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += any(d in os.readlink(link) for d in ("/bodies/", "/packs/"))
    return found


def forget_pages(fd):
    """What is read next comes from the daemon."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


@both
def an_open_file_that_nobody_reads_is_no_descriptor_of_the_daemon(server, home):
    with Mount(server, home=home) as mount, contextlib.ExitStack() as stack:
        names = mount.messages()
        for _ in range(2):
            run("cat", *(mount / "INBOX" / name for name in names))
        files = [stack.enter_context(open(mount / "INBOX" / name, "rb")) for name in names]
        wait_until(lambda: descriptors(mount) <= PACK, 20, "that of the pack")
        forget_pages(files[0].fileno())
        equal(files[0].read(), MAILS[0][0])


@both
def mail_expunged_while_open_and_never_read_keeps_its_bytes(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        path = mount.find(6)
        run("cat", path, path)
        with open(path, "rb") as file:
            wait_until(lambda: descriptors(mount) <= PACK, 20, "that of the pack")
            expunge(client, 6)
            wait_until(lambda: 6 not in uids_of(mount.messages()), 20, "the expunge")
            wait_until(lambda: 6 not in packed(home), 20, "its removal")
            forget_pages(file.fileno())
            equal(file.read(), MAILS[5][0])


@both
def flags_change_only_the_ctime(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        path = mount.find(5)
        before = os.stat(path)
        ok(client.uid("STORE", "5", "+FLAGS", "(\\Flagged)"))

        def changed():
            mount.messages()
            return os.stat(path).st_ctime_ns > before.st_ctime_ns
        wait_until(changed, 20, "a newer ctime")
        after = os.stat(path)
        equal((after.st_mtime_ns, after.st_size, after.st_ino),
              (before.st_mtime_ns, before.st_size, before.st_ino))


@both
def many_at_once_are_listed_once_each(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server) as client:
        mount.messages()
        for n in range(150):
            ok(client.append("INBOX", None, None, mail(f"burst {n}")))
        wait_until(lambda: len(mount.messages()) == COUNT + 150, 30, "all of them")
        equal(uids_of(mount.messages()), list(range(1, COUNT + 151)))
        ok(client.uid("STORE", "30:140", "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())
        wait_until(lambda: len(mount.messages()) == COUNT + 150 - 111, 30, "the rest")


@both
def a_new_uidvalidity_makes_new_messages(server, home):
    with client_of(server, None) as client:
        ok(client.create("Box"))
        for n in (1, 2, 3):
            ok(client.append("Box", None, None, mail("same", f"old {n}\r\n")))
        with Mount(server, ["poll=1"], home=home) as mount:
            path = mount / "Box/1.same.eml"
            old = os.stat(path)
            equal(run("cat", path).stdout, mail("same", "old 1\r\n"))
            held = open(path, "rb")
            ok(client.delete("Box"))
            ok(client.create("Box"))
            ok(client.append("Box", None, None, mail("same", "new 1, longer\r\n")))
            wait_until(lambda: uids_of(mount.messages("Box")) == [1], 20, "the new listing")
            equal(run("cat", path).stdout, mail("same", "new 1, longer\r\n"))
            assert os.stat(path).st_ino != old.st_ino
            assert held.read() in (mail("same", "old 1\r\n"), b"")
            held.close()


@both
def a_uidvalidity_that_changed_while_unmounted_is_noticed(server, home):
    with client_of(server, None) as client:
        ok(client.create("Box"))
        ok(client.append("Box", None, None, mail("same", "old\r\n")))
        with Mount(server, home=home) as mount:
            equal(run("cat", mount / "Box/1.same.eml").stdout, mail("same", "old\r\n"))
        ok(client.delete("Box"))
        ok(client.create("Box"))
        ok(client.append("Box", None, None, mail("same", "new\r\n")))
        with Mount(server, home=home) as mount:
            mount.messages("Box")
            equal(run("cat", mount / "Box/1.same.eml").stdout, mail("same", "new\r\n"))


def read_all(mount):
    return {name: run("cat", mount / "INBOX" / name).stdout for name in mount.messages()}


def header_fetches(server):
    """The UID sets whose subjects were asked for."""
    return re.findall(r"UID FETCH (\S+) \([^\r\n]*HEADER", server.recorded(), re.I)


def body_fetches(server):
    return re.findall(r"UID FETCH \S+ [^\r\n]*BODY\.PEEK\[\]", server.recorded(), re.I)


@both
def a_remount_asks_only_for_what_changed(server, home):
    server.record()
    with Mount(server, home=home) as mount:
        before = read_all(mount)
        equal(len(before), COUNT)
    assert header_fetches(server) and body_fetches(server), server.recorded()
    server.forget()
    with Mount(server, home=home) as mount:
        equal(read_all(mount), before)
    equal(header_fetches(server), [])
    equal(body_fetches(server), [])
    with client_of(server) as client:
        expunge(client, 2)
        ok(client.append("INBOX", None, None, mail("fresh")))
    server.forget()
    with Mount(server, home=home) as mount:
        wait_until(lambda: len(mount.messages()) == COUNT, 20, "the change")
        after = read_all(mount)
        equal(uids_of(after), [1, *range(3, COUNT + 2)])
    for uids in header_fetches(server):
        assert uids.startswith(str(COUNT + 1)), uids
    equal(len(body_fetches(server)), 1, "bodies fetched")


@both
def no_command_sets_a_flag(server, home):
    server.record()
    with Mount(server, ["poll=1"], home=home) as mount:
        read_all(mount)
    sent = server.recorded()
    assert not re.search(r" (STORE|SELECT|EXPUNGE|APPEND|CLOSE) ", sent), sent
    assert not re.search(r"BODY\[|RFC822(?!\.SIZE)", sent), sent
    with client_of(server) as client:
        equal(ok(client.uid("SEARCH", "SEEN"))[0], b"")


def account_dir(home):
    return next((home.cache / "mailfs").iterdir())


@both
def a_damaged_index_is_made_anew(server, home):
    with Mount(server, home=home) as mount:
        before = read_all(mount)
    for file in account_dir(home).glob("index.sqlite*"):
        file.write_bytes(b"this is no database " * 1000)
    with Mount(server, home=home) as mount:
        equal(read_all(mount), before)


@both
def a_truncated_index_is_made_anew(server, home):
    with Mount(server, home=home) as mount:
        before = read_all(mount)
    index = account_dir(home) / "index.sqlite"
    os.truncate(index, index.stat().st_size // 2)
    with Mount(server, home=home) as mount:
        equal(read_all(mount), before)


@both
def damaged_message_files_are_fetched_again(server, home):
    with Mount(server, home=home) as mount:
        before = read_all(mount)
    equal(packed(home), {*range(1, COUNT + 1)})
    pack, = home.cache.rglob("packs/*.pack")
    data = bytearray(pack.read_bytes())
    data[100] ^= 1  # of the first message
    pack.write_bytes(data[:len(data) * 2 // 3])
    with Mount(server, home=home) as mount:
        equal(read_all(mount), before)
    pack.unlink()
    with Mount(server, home=home) as mount:
        equal(read_all(mount), before)
    with Mount(server, home=home) as mount:
        equal(read_all(mount), before)


@both
def a_deleted_cache_is_no_loss(server, home):
    with Mount(server, home=home) as mount:
        before = read_all(mount)
        inodes = {n: os.stat(mount / "INBOX" / n).st_ino for n in before}
    shutil.rmtree(home.cache)
    with Mount(server, home=home) as mount:
        equal(read_all(mount), before)
        equal({n: os.stat(mount / "INBOX" / n).st_ino for n in before}, inodes)


@both
def message_files_deleted_while_mounted_are_fetched_again(server, home):
    with Mount(server, home=home) as mount:
        path = mount.find(9)
        equal(run("cat", path).stdout, MAILS[8][0])
        shutil.rmtree(account_dir(home) / "packs")
        shutil.rmtree(account_dir(home) / "bodies")
        equal(read_all(mount), {n: MAILS[int(n.split(".")[0]) - 1][0] for n in mount.messages()})


@both
def a_message_file_deleted_while_open_is_fetched_again(server, home):
    with Mount(server, home=home) as mount:
        path = mount.find(3)
        run("cat", path, path)
        with open(path, "rb") as file:
            for pack in home.cache.rglob("packs/*.pack"):
                pack.unlink()
            forget_pages(file.fileno())
            equal(file.read(), MAILS[2][0])


@both
def a_daemon_killed_at_work_leaves_a_usable_cache(server, home):
    mount = Mount(server, home=home)
    for _ in range(3):
        mount.start()
        for uid in (1, 5, 9):
            run("cat", mount.find(uid))
        mount.kill()
    with mount:
        equal(read_all(mount), {n: MAILS[int(n.split(".")[0]) - 1][0] for n in mount.messages()})
        equal(len(mount.messages()), COUNT)


@both
def folders_come_go_and_are_renamed(server, home):
    with Mount(server, ["poll=1"], home=home) as mount, client_of(server, None) as client:
        def listed():
            return set(os.listdir(mount.path))
        equal(listed(), {"INBOX"})
        ok(client.create(quote("Grün")))
        ok(client.append(quote("Grün"), None, None, mail("green")))
        wait_until(lambda: "Grün" in listed(), 20, "the new folder")
        equal(run("cat", mount / "Grün/1.green.eml").stdout, mail("green"))
        ok(client.rename(quote("Grün"), "Blue"))
        wait_until(lambda: listed() == {"INBOX", "Blue"}, 20, "the new name")
        equal(run("cat", mount / "Blue/1.green.eml").stdout, mail("green"))
        ok(client.delete("Blue"))
        wait_until(lambda: listed() == {"INBOX"}, 20, "its end")
        assert not os.path.exists(mount / "Blue/1.green.eml")


main()
