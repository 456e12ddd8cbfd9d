"""What grows with the number of messages and folders, and what must not: a moderate number of both, with
requests counted and the daemon's memory bounded. The measurements have the large ones."""

import os
import re
import subprocess

from crowd import Box, Crowd, body
from harness import SANITIZED, Home, Mount, case, equal, main, out, run, uids_of, wait_until

MESSAGES = 60000
FOLDERS = 10000
GROUP = 100
KIB = 1024


def listed(path):
    """The number of entries, counted by tools that hold none of them."""
    with subprocess.Popen(["ls", "-U", path], stdout=subprocess.PIPE) as ls:
        return sum(1 for _ in ls.stdout)


def memory_is_below(mount, mib):
    if not SANITIZED:
        used = mount.memory_kib()
        assert used < mib * KIB, f"{used} KiB"


@case
def a_folder_with_many_messages():
    box = Box(MESSAGES)
    with Crowd({"INBOX": box}) as server, \
            Mount(server.url(), ["tls=off", "poll=1", "timeout=60"]) as mount:
        equal(listed(mount / "INBOX"), MESSAGES)
        equal(len(server.seen(r"^UID FETCH")), 1, server.commands)
        memory_is_below(mount, 30)
        since = len(server.commands)
        equal(listed(mount / "INBOX"), MESSAGES)
        equal(out("find", mount / "INBOX", "-size", "+0c").count("\n"), MESSAGES + 1)
        for uid in range(1, MESSAGES, 500):
            equal((mount / f"INBOX/{uid}.eml").stat().st_size, len(body(uid)))
        # Nothing is new, and nothing is listed again.
        equal(server.seen(r"^UID ", since), [], server.commands)
        memory_is_below(mount, 30)
        box.add()
        wait_until((mount / f"INBOX/{MESSAGES + 1}.eml").exists, 20, "new mail")
        equal([c.split()[2] for c in server.seen(r"^UID FETCH.*ENVELOPE|^UID FETCH.*INTERNAL",
                                                 since)], [f"{MESSAGES + 1}:*"])
        box.drop(1, 3)
        box.drop(10, 10)
        wait_until(lambda: not (mount / "INBOX/10.eml").exists(), 20, "the removal")
        equal(listed(mount / "INBOX"), MESSAGES - 3)
        # Which are there is told in ranges, not one by one.
        equal(server.seen(r"^UID FETCH 1:\* ", since), [], server.commands)
        box.drop(1, MESSAGES - 10)
        wait_until(lambda: listed(mount / "INBOX") == 11, 30, "the removal of nearly all")
        memory_is_below(mount, 40)


def told_in_a_coarser_way(change, left):
    """Much changes while a request keeps the folder locked: then the kernel cannot be told of each
    name, nor are all of them kept. `left`: the UIDs that are listed in the end."""
    box = Box(MESSAGES)
    with Crowd({"INBOX": box}) as server, \
            Mount(server.url(), ["tls=off", "poll=1", "timeout=60"]) as mount:
        inbox = mount / "INBOX"
        equal(out("find", inbox, "-size", "+0c").count("\n"), MESSAGES + 1)
        names = [e.name for e in os.scandir(inbox)]
        with open(inbox / names[0], "rb") as first, \
                open(mount / ".mailfs/events", encoding="utf-8") as events:
            content = first.read()
            server.creating.clear()
            with subprocess.Popen(["mkdir", inbox / "locked"],
                                  stderr=subprocess.DEVNULL) as making:
                wait_until(lambda: server.seen("^CREATE"), 20, "the request")
                change(box)
                while events.readline().split()[1:] != ["folder", "INBOX"]:
                    pass
                server.creating.set()
                equal(making.wait(60) != 0, True)
            gone = [n for n in names if uids_of([n])[0] not in left]
            # The last that the kernel is told, in no order.
            wait_until(lambda: not any((inbox / n).exists() for n in gone[::7]), 60, "all")
            listed = {e.name: e.inode() for e in os.scandir(inbox)}
            equal(set(uids_of(listed)), set(left))
            wait_until(lambda: all((inbox / n).stat().st_ino == listed[n]
                                   for n in list(listed)[::101]), 60, "what they are now")
            memory_is_below(mount, 45)
            first.seek(0)
            equal(first.read(), content)


@case
def very_many_are_removed():
    told_in_a_coarser_way(lambda box: box.drop(1, MESSAGES - 10),
                          range(MESSAGES - 9, MESSAGES + 1))


@case
def very_many_are_marked_as_deleted():
    """They stay messages, elsewhere."""
    told_in_a_coarser_way(lambda box: box.delete(1, MESSAGES - 10),
                          range(MESSAGES - 9, MESSAGES + 1))


@case
def very_many_are_renumbered():
    def renumber(box):
        box.uidvalidity += 1
        box.modseq += 1
    told_in_a_coarser_way(renumber, range(1, MESSAGES + 1))


def many_boxes():
    boxes = {"INBOX": Box(3)}
    for n in range(FOLDERS // GROUP):
        boxes[f"group {n}"] = Box(1)
        boxes.update({f"group {n}/folder {m}": Box(2) for m in range(GROUP - 1)})
    return boxes


def find_folders(mount, depth):
    return out("find", mount.path, "-maxdepth", str(depth), "-type", "d", timeout=200).count("\n")


@case
def many_folders():
    home = Home()
    with Crowd(many_boxes()) as server:
        with Mount(server.url(), ["tls=off", "poll=3600"], home=home) as mount:
            equal(len(server.seen("^(LIST|STATUS)")), 1, server.commands)
            equal(len(os.listdir(mount.path)), FOLDERS // GROUP + 1)
            since = len(server.commands)
            equal(find_folders(mount, 1), FOLDERS // GROUP + 2)
            run("ls", "-l", mount.path)
            equal(server.seen("^(EXAMINE|SELECT|STATUS|UID)", since), [])
            equal(find_folders(mount, 2), FOLDERS + 2)
            # Each was opened once, for what is in it; the children were not.
            equal(len(server.seen("^(EXAMINE|SELECT)", since)), FOLDERS // GROUP + 1)
            memory_is_below(mount, 35)
        with Mount(server.url(), ["tls=off", "poll=1"], home=home) as mount:
            equal(find_folders(mount, 2), FOLDERS + 2)
            # No more than those used last are asked for.
            since = len(server.commands)
            wait_until(lambda: len(server.seen("^STATUS", since)) >= 3, 20, "polls")
            asked = server.seen("^(STATUS|EXAMINE|SELECT)", since)
            assert len(set(asked)) <= 25, asked
    home.remove()


@case
def many_folders_again():
    """One command says that nothing is new in all of them."""
    home = Home()
    with Crowd(many_boxes()) as server:
        with Mount(server.url(), ["tls=off", "poll=3600"], home=home) as mount:
            equal(find_folders(mount, 2), FOLDERS + 2)
        since = len(server.commands)
        with Mount(server.url(), ["tls=off", "poll=3600"], home=home) as mount:
            equal(find_folders(mount, 1), FOLDERS // GROUP + 2)
            equal(find_folders(mount, 2), FOLDERS + 2)
            asked = [c for c in server.commands[since:] if c != "CAPABILITY"]
            equal(len(asked), 1, asked)
            assert asked[0].startswith('LIST "" "*" RETURN (STATUS ('), asked
            memory_is_below(mount, 35)
        # What changed meanwhile, and nothing else, is looked at.
        server.boxes["group 7"].add()
        since = len(server.commands)
        with Mount(server.url(), ["tls=off", "poll=3600"], home=home) as mount:
            equal(find_folders(mount, 2), FOLDERS + 2)
            equal(server.seen("^(EXAMINE|SELECT|STATUS)", since), ['EXAMINE "group 7" (CONDSTORE)'])
            equal(len(mount.messages("group 7")), 2)
    home.remove()


def looked_up(mount):
    """What the kernel asked for by name, of a mount with -d."""
    return set(re.findall(r"\blookup [0-9a-f]+ (.*):", mount.stderr.read_text(errors="replace")))


@case
def looking_asks_for_no_names():
    """What find and `ls -l` need to know of an entry comes with the listing."""
    with Crowd({"INBOX": Box(1000), "Other": Box(3)}) as server, \
            Mount(server.url(), ["tls=off", "poll=3600"], arguments=["-d"]) as mount:
        out("find", mount / "INBOX", "-size", "+0c")
        # Where it begins is not an entry of what it lists.
        equal(looked_up(mount), {"INBOX"})
        out("ls", "-l", mount / "INBOX")
        out("find", mount.path, "-size", "+0c")
        out("ls", "-lR", mount.path)
        out("du", "-a", mount.path)
        equal(looked_up(mount), {"INBOX"})


if __name__ == "__main__":
    main()
