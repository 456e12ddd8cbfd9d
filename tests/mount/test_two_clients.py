"""Our mount and another client change the same folders at random for a while. In the end both see
the same, and every message is where somebody put it."""

import collections
import errno
import os
import random
import re
import threading
import time

from changing import SERVERS, Site, both_servers
from harness import case, equal, mail, main, wait_until

SECONDS = int(os.environ.get("MAILFS_SIEGE_SECONDS", "15"))
SEED = int(os.environ.get("MAILFS_SEED", random.SystemRandom().randrange(1 << 32)))
FOLDERS = ("INBOX", "Work", "Done")
# What may happen to one of two who change the same thing.
RACES = (errno.ENOENT, errno.ESTALE, errno.EEXIST)
WORDS = {"\\Seen": "seen", "\\Flagged": "flagged", "\\Answered": "answered", "Later": "Later"}
COUNT = 60
UNSENT = 4  # the kind of inode numbers of files that are no messages yet: what is removed is gone


def letter(number):
    return mail(f"letter {number}", f"body of {number}\r\n" * (number % 50 + 1),
                extra=f"X-Number: {number}\r\n")


def number_of(data):
    return int(re.search(rb"X-Number: (\d+)", data)[1])


class Ledger:
    """What was done to messages on purpose.

    moved  by the other client
    back   deleted once and taken back
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.next = COUNT
        self.sent = set(range(COUNT))
        self.expunged = set()
        self.moved = set()
        self.back = set()
        self.done = collections.Counter()

    def new(self):
        with self.lock:
            self.next += 1
            self.sent.add(self.next)
            return self.next

    def note(self, name):
        with self.lock:
            self.done[name] += 1


class Ours:
    """What a user does with files."""

    def __init__(self, site, ledger, seed):
        self.site = site
        self.ledger = ledger
        self.chance = random.Random(seed)

    def pick(self, view=""):
        folder = self.chance.choice(FOLDERS)
        names = os.listdir(self.site / folder / view)
        names = [n for n in names if n.endswith(".eml")]
        return (folder, self.site / folder / view / self.chance.choice(names)) if names else None

    def step(self):
        act = self.chance.choice((self.remove, self.take_back, self.move, self.flag, self.append,
                                  self.expunge, self.move, self.remove))
        try:
            act()
        except OSError as error:
            if error.errno not in RACES and not (
                    act == self.expunge and error.errno == errno.EOPNOTSUPP):
                raise AssertionError(f"{act.__name__}: {error}") from None
            self.ledger.note(f"our {act.__name__} failed")
        else:
            self.ledger.note(f"our {act.__name__}")

    def remove(self):
        if found := self.pick():
            status = os.stat(found[1])
            if status.st_ino >> 60 == UNSENT:
                if not status.st_size:
                    return  # our other user has not written it yet
                self.notes(self.ledger.expunged, found[1])
            os.unlink(found[1])

    def notes(self, what, path):
        number = number_of(path.read_bytes())
        with self.ledger.lock:
            what.add(number)

    def take_back(self):
        if found := self.pick(".deleted"):
            self.notes(self.ledger.back, found[1])
            os.rename(found[1], self.site / found[0] / found[1].name)

    def move(self):
        if found := self.pick():
            target = self.chance.choice([f for f in FOLDERS if f != found[0]])
            name = f"m{self.chance.randrange(1 << 40)}.eml" if self.chance.random() < 0.5 \
                else found[1].name
            os.rename(found[1], self.site / target / name)

    def flag(self):
        if found := self.pick():
            inode = os.stat(found[1]).st_ino
            word = self.chance.choice("+-") + self.chance.choice(list(WORDS.values()))
            with open(self.site / found[0] / f"{inode & 0xffffffff}.d/flags", "w") as file:
                file.write(word)

    def append(self):
        number = self.ledger.new()
        path = self.site / self.chance.choice(FOLDERS) / f"new{number}.eml"
        path.write_bytes(letter(number))

    def expunge(self):
        if self.chance.random() < 0.3 and (found := self.pick(".deleted")):
            self.notes(self.ledger.expunged, found[1])
            os.unlink(found[1])


class Theirs:
    """What another mail program does."""

    def __init__(self, site, ledger, seed):
        self.site = site
        self.ledger = ledger
        self.chance = random.Random(seed)

    def step(self):
        act = self.chance.choice((self.remove, self.take_back, self.move, self.flag, self.append,
                                  self.expunge))
        with self.site.client(self.chance.choice(FOLDERS)) as client:
            act(client)
        self.ledger.note(f"their {act.__name__}")

    def pick(self, client, criterion):
        uids = client.uid("SEARCH", criterion)[1][0].split()
        return self.chance.choice(uids).decode() if uids else None

    def store(self, client, change, flag):
        if uid := self.pick(client, "UNDELETED"):
            client.uid("STORE", uid, f"{change}FLAGS", f"({flag})")

    def remove(self, client):
        self.store(client, "+", "\\Deleted")

    def flag(self, client):
        self.store(client, self.chance.choice("+-"), self.chance.choice(list(WORDS)))

    def take(self, client, criterion, what):
        """The UID of a message that is in the ledger now; None: there is none."""
        uid = self.pick(client, criterion)
        number = uid and self.number(client, uid)
        if number is None:
            return None
        with self.ledger.lock:
            what.add(number)
        return uid

    def take_back(self, client):
        if uid := self.take(client, "DELETED", self.ledger.back):
            client.uid("STORE", uid, "-FLAGS", "(\\Deleted)")

    def number(self, client, uid):
        for part in client.uid("FETCH", uid, "(BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                return number_of(part[1])
        return None

    def move(self, client):
        if uid := self.take(client, "UNDELETED", self.ledger.moved):
            client._simple_command("UID", "MOVE", uid, self.chance.choice(FOLDERS))

    def append(self, client):
        client.append(self.chance.choice(FOLDERS), None, None, letter(self.ledger.new()))

    def expunge(self, client):
        if uid := self.take(client, "DELETED", self.ledger.expunged):
            client.uid("EXPUNGE", uid)


def at_work(actor, until, failures):
    def loop():
        try:
            while time.monotonic() < until and not failures:
                actor.step()
        except Exception as error:
            failures.append(f"{type(actor).__name__}: {error!r}")
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread


def mount_view(site, folder):
    """{uid: (deleted, flags, bytes)} as the mount shows it; by their names those that are still on
    their way."""
    seen = {}
    for view in ("", ".deleted"):
        for name in os.listdir(site / folder / view):
            if name.endswith(".eml"):
                path = site / folder / view / name
                try:
                    inode = path.stat().st_ino
                    uid = inode & 0xffffffff
                    equal((site / folder / view / f"{uid}.eml").stat().st_ino, inode)
                    flags = (site / folder / view / f"{uid}.d/flags").read_text().split()
                    seen[uid] = (bool(view), frozenset(flags) - {"deleted"}, path.read_bytes())
                except (FileNotFoundError, AssertionError) as why:
                    seen[name] = str(why)
    return seen


def server_view(site, folder):
    return {uid: ("\\Deleted" in m.flags,
                  frozenset(WORDS[f] for f in m.flags if f != "\\Deleted"), m.data)
            for uid, m in site.view(folder).items()}


def same(site):
    return all(mount_view(site, f) == server_view(site, f) for f in FOLDERS)


def differences(site):
    text = ""
    for folder in FOLDERS:
        ours, theirs = mount_view(site, folder), server_view(site, folder)
        for uid in sorted(ours.keys() | theirs.keys(), key=str):
            if ours.get(uid) != theirs.get(uid):
                text += f"\n{folder}/{uid}: {str(ours.get(uid))[:99]} : {str(theirs.get(uid))[:99]}"
    return text


def check_ledger(site, ledger):
    live, all_there = collections.Counter(), set()
    for folder in FOLDERS:
        for deleted, _, data in server_view(site, folder).values():
            number = number_of(data)
            equal(data, letter(number), "bytes")
            all_there.add(number)
            if not deleted:
                live[number] += 1
    equal(ledger.sent - all_there - ledger.expunged, set(), "lost messages")
    equal(all_there - ledger.sent, set(), "invented messages")
    # Two who move the same message at once leave a copy each, with Dovecot's MOVE too; without MOVE
    # what was moved stays behind as deleted, to be taken back.
    excused = ledger.moved if site.full else ledger.moved | ledger.back
    equal({n for n, count in live.items() if count > 1} - excused, set(), "doubled messages")


def siege(servers, words):
    print(f"# seed {SEED}, {SECONDS} s")
    letters = [(letter(n), 1600000000 + n) for n in range(COUNT)]
    with Site(servers[words], messages=letters, folders=FOLDERS[1:],
              bare=SERVERS[words] is not None) as site:
        ledger, failures = Ledger(), []
        until = time.monotonic() + SECONDS
        actors = [Ours(site, ledger, SEED), Ours(site, ledger, SEED + 1),
                  Theirs(site, ledger, SEED + 2)]
        for thread in [at_work(actor, until, failures) for actor in actors]:
            thread.join(SECONDS + 60)
            equal(thread.is_alive(), False, "an actor hangs")
        equal(failures, [])
        print("# " + ", ".join(f"{count} {name}" for name, count in sorted(ledger.done.items())))
        site.sync(check=False)
        try:
            wait_until(lambda: same(site), 30, "equal views")
        except AssertionError as error:
            raise AssertionError(f"{error}{differences(site)}\n"
                                 f"{site.mount.text('.mailfs/status')}") from None
        check_ledger(site, ledger)


@case
def two_clients_with_extensions(servers):
    siege(servers, "with_extensions")


@case
def two_clients_with_bare_imap4rev1(servers):
    siege(servers, "with_bare_imap4rev1")


if __name__ == "__main__":
    main(both_servers)
