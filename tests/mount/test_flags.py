"""Flags: N.d/flags and the attribute user.mail.flags, of which only the difference is sent."""

import errno
import os

from changing import both, both_servers, fails, few_commands, mails
from harness import Mount, case, equal, main, out, run, wait_until
from scripted import Folder, Message, ScriptedServer


def write(path, text):
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())


def words(site, uid, folder="INBOX"):
    return set(site.mount.text(f"{folder}/{uid}.d/flags").split())


def stores(site, since=0):
    return [c.replace(".SILENT", "") for c in site.wire.seen(r"\bSTORE", since)]


@both()
def the_flags_file_says_and_sets(site):
    flags = site / "INBOX/2.d/flags"
    equal(words(site, 2), set())
    run("sh", "-c", f"echo +seen > {flags}")
    equal(words(site, 2), {"seen"})
    site.sync("INBOX")
    equal(stores(site), ["UID STORE 2 +FLAGS (\\Seen)"])
    run("sh", "-c", f"echo +flagged -seen >> {flags}")
    equal(words(site, 2), {"flagged"})
    write(flags, "+$Forwarded\n+Work\n")
    site.sync("INBOX")
    equal(site.view()[2].flags, {"\\Flagged", "$Forwarded", "Work"})
    equal(words(site, 2), {"flagged", "$Forwarded", "Work"})
    # A whole list: what is there already and what is not is not sent.
    start = site.wire.count()
    write(flags, "answered flagged Work\n")
    site.sync("INBOX")
    equal(site.view()[2].flags, {"\\Flagged", "\\Answered", "Work"})
    equal(sorted(stores(site, start)),
          ["UID STORE 2 +FLAGS (\\Answered)", "UID STORE 2 -FLAGS ($Forwarded)"])
    start = site.wire.count()
    write(flags, "work answered\nflagged\n")
    write(flags, "+answered")
    write(flags, "-draft")
    site.sync("INBOX")
    equal(stores(site, start), [])
    site.remount()
    equal({w.lower() for w in words(site, 2)}, {"flagged", "answered", "work"})
    assert "2.d" not in os.listdir(site / "INBOX")
    equal(os.listdir(site / "INBOX/2.d"), ["flags"])


@both()
def what_one_open_writes_is_one_text(site):
    flags = site / "INBOX/2.d/flags"
    run("sh", "-c", "{ echo seen; echo flagged; } > " + str(flags))
    equal(words(site, 2), {"seen", "flagged"})
    run("sh", "-c", "{ echo -seen; echo +draft; } >> " + str(flags))
    equal(words(site, 2), {"flagged", "draft"})
    with open(flags, "wb", buffering=0) as file:
        file.write(b"+ans")
        file.write(b"wered +se")
        # Not words(): a program that is started closes what it inherits, and so ends the word.
        equal(set(flags.read_text().split()), {"flagged", "draft", "answered"})
        file.write(b"en")
    equal(words(site, 2), {"flagged", "draft", "answered", "seen"})
    with open(flags, "wb", buffering=0) as file:
        file.write(b"+Work\n")
        fails(errno.EINVAL, file.write, b"+a( ")
        fails(errno.EINVAL, os.pwrite, file.fileno(), b"-Work\n", 2)
        fails(errno.EFBIG, file.write, b" " * 65536)
        file.truncate(0)
        file.seek(0)
        file.write(b"Work seen")
    equal(words(site, 2), {"Work", "seen"})
    # What is left for the close fails there.
    file = os.open(flags, os.O_WRONLY | os.O_TRUNC)
    os.write(file, b"+a(")
    fails(errno.EINVAL, os.close, file)
    done = run("sh", "-c", f"/usr/bin/printf '+a(' > {flags}", check=False)
    equal(done.returncode != 0, True, "the tool sees it")
    site.sync("INBOX")
    equal(site.view()[2].flags, {"\\Seen", "Work"})


@both()
def what_is_no_flag_changes_nothing(site):
    flags = site / "INBOX/2.d/flags"
    for text in ("+\\Bad\\er", "+a(b", "+{3}", "+x\r\nA1 LOGOUT", '+"q"', "+", "-", "+\x7f",
                 "+\u00fc", "+\\Recent", "+a]", "+" + "x" * 5000, "+seen -\n"):
        fails((errno.EINVAL, errno.EPERM), write, flags, text)
    fails(errno.ENOENT, os.stat, site / "INBOX/99.d")
    fails(errno.ENOENT, os.stat, site / "INBOX/2.d/nothing")
    site.sync("INBOX")
    equal(stores(site), [])
    equal(words(site, 2), set())


@both()
def others_flags_are_seen_and_kept(site):
    site.flag(2, "+", "\\Seen Private")
    wait_until(lambda: words(site, 2) == {"seen", "Private"}, 20, "the flags")
    site.wire.hold()
    write(site / "INBOX/2.d/flags", "+flagged")
    equal(words(site, 2), {"seen", "Private", "flagged"})
    site.flag(2, "+", "\\Answered")
    site.flag(2, "-", "Private")
    site.wire.release()
    site.sync("INBOX", check=False)
    wait_until(lambda: site.view()[2].flags == {"\\Seen", "\\Answered", "\\Flagged"}, 30, "all")
    wait_until(lambda: words(site, 2) == {"seen", "answered", "flagged"}, 20, "here too")


@both()
def deleted_is_a_flag_too(site):
    name = site.find(2).name
    write(site / "INBOX/2.d/flags", "+deleted")
    equal((2 in site.uids(), site.deleted()), (False, [name]))
    site.sync("INBOX")
    equal(site.view()[2].flags, {"\\Deleted"})


@both()
def ctime_rises_with_the_flags(site):
    path = site.find(2)
    before = path.stat()
    write(site / "INBOX/2.d/flags", "+flagged")
    after = path.stat()
    equal(after.st_ctime_ns > before.st_ctime_ns, True, "ctime")
    equal((after.st_mtime_ns, after.st_size), (before.st_mtime_ns, before.st_size))


@both(options=["xattr"])
def the_attribute_says_and_sets(site):
    path = site.find(2)

    def value():
        return out("getfattr", "--only-values", "-n", "user.mail.flags", path).split()
    equal(value(), [])
    run("setfattr", "-n", "user.mail.flags", "-v", "+seen", path)
    equal(value(), ["seen"])
    run("setfattr", "-n", "user.mail.flags", "-v", "+flagged -seen", path)
    site.sync("INBOX")
    equal(site.view()[2].flags, {"\\Flagged"})
    os.setxattr(path, "user.mail.flags", b"answered")
    site.sync("INBOX")
    equal(site.view()[2].flags, {"\\Answered"})
    assert "user.mail.flags" in os.listxattr(path), os.listxattr(path)
    fails((errno.EOPNOTSUPP, errno.EPERM), os.setxattr, path, "user.other", b"x")
    fails(errno.EINVAL, os.setxattr, path, "user.mail.flags", b"+(")
    # cp -a and friends carry attributes along and must not stumble over it.
    run("cp", "-a", path, site / "Archive/copy.eml")
    site.sync("Archive")
    equal(len(site.live("Archive")), 1)


@both()
def without_the_option_there_are_no_attributes(site):
    path = site.find(2)
    fails(errno.EOPNOTSUPP, os.setxattr, path, "user.mail.flags", b"+seen")
    fails(errno.EOPNOTSUPP, os.listxattr, path)


@both(messages=mails(600))
def many_changes_go_together(site):
    site.listed()
    with few_commands(site, 30):
        for uid in range(1, 601):
            write(site / f"INBOX/{uid}.d/flags", "+seen" if uid % 2 else "+Work")
        site.sync("INBOX")
    for uid, message in site.view(bodies=False).items():
        equal(message.flags, {"\\Seen"} if uid % 2 else {"Work"})


@case
def the_server_keeps_only_some_flags(servers):
    del servers
    folder = Folder({1: Message(b"Subject: x\r\n\r\nx\r\n", flags="Old")},
                    permanent="\\Seen \\Deleted Old")
    with ScriptedServer({b"INBOX": folder}) as script:
        with Mount(script.url(), ["tls=off", "poll=1"]) as mount:
            flags = mount / "INBOX/1.d/flags"
            equal(mount.text("INBOX/1.d/flags").split(), ["Old"])
            for text in ("+Other", "+flagged", "seen Other"):
                fails(errno.EPERM, write, flags, text)
            write(flags, "-Old +seen")
            run("sync", mount / "INBOX")
            equal(set(folder.messages[1].flags.split()), {"\\Seen"})
            equal(script.seen(r"\bSTORE.*(Other|Flagged)"), [])


main(both_servers)
