"""What grows with the number of messages and folders, and what must not: a moderate number of both, with
requests counted and the daemon's memory bounded. The measurements have the large ones."""

import os
import subprocess

from crowd import Box, Crowd, body
from harness import SANITIZED, Mount, case, equal, main, out, run, uids_of, wait_until

MESSAGES = 60000
FOLDERS = 2000
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
            # The last that the kernel is told.
            wait_until(lambda: not any((inbox / n).exists() for n in gone[::1000]), 60, "all")
            equal([n for n in gone[::7] if (inbox / n).exists()], [])
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


@case
def many_folders():
    boxes = {"INBOX": Box(3)}
    for n in range(FOLDERS // 10):
        boxes[f"group {n}"] = Box(1)
        boxes.update({f"group {n}/folder {m}": Box(2) for m in range(9)})
    with Crowd(boxes) as server, Mount(server.url(), ["tls=off", "poll=1"]) as mount:
        equal(len(server.seen("^LIST")), 1, server.commands)
        equal(len(os.listdir(mount.path)), FOLDERS // 10 + 1)
        since = len(server.commands)
        equal(out("find", mount.path, "-maxdepth", "1", "-type", "d").count("\n"),
              FOLDERS // 10 + 2)
        run("ls", "-l", mount.path)
        equal(server.seen("^(EXAMINE|SELECT|STATUS|UID)", since), [])
        equal(out("find", mount.path, "-maxdepth", "2", "-type", "d", timeout=200).count("\n"),
              FOLDERS + 2)
        # Each was opened once, for what is in it; the children were not.
        equal(len(server.seen("^(EXAMINE|SELECT)", since)), FOLDERS // 10 + 1)
        memory_is_below(mount, 30)
        # No more than those used last are asked for.
        since = len(server.commands)
        wait_until(lambda: len(server.seen("^STATUS", since)) >= 3, 20, "polls")
        asked = server.seen("^(STATUS|EXAMINE|SELECT)", since)
        assert len(set(asked)) <= 25, asked


if __name__ == "__main__":
    main()
