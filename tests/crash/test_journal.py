"""The conversation stops at each command of an append, a move, a copy and a removal in turn: before
the server gets it, after it has answered, or in the middle of a literal. Then the daemon is killed
and started again, or loses its connection alone. In the end there is exactly one copy, in the right
place."""

import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

from changing import SERVERS, Site, both_servers, in_background, mails  # noqa: E402
from harness import SANITIZED, case, equal, mail, main, ok, wait_until  # noqa: E402

MAILS = mails(3)
MOST = 40  # commands that no operation needs
NEW = mail("new", "new\r\n" * 3000, extra="Message-ID: <new@example.org>\r\n")
BARE_NEW = mail("nothing to know it by", "same\r\n" * 3000)


def append(site, data=NEW):
    (site / "Archive/new.eml").write_bytes(data)


def append_without_id(site):
    append(site, BARE_NEW)


def move(site):
    os.rename(site.find(2), site / "Archive/moved.eml")


def copy(site):
    with open(site.find(2), "rb") as old, open(site / "Archive/copied.eml", "wb") as new:
        os.copy_file_range(old.fileno(), new.fileno(), os.fstat(old.fileno()).st_size)


def remove(site):
    os.unlink(site.find(2))


def expunge(site):
    os.unlink(site / "INBOX/.deleted/3.eml")


# What the folders hold in the end: live ones of INBOX, then of the Archive behind what was there.
OUTCOMES = {
    append: ({1, 2}, [NEW]),
    append_without_id: ({1, 2}, [BARE_NEW]),
    move: ({1}, [MAILS[1][0]]),
    copy: ({1, 2}, [MAILS[1][0]]),
    remove: ({1}, []),
    expunge: ({1, 2}, []),
}
NOTHING = {1, 2}, []
NAMES = {append: "new.eml", append_without_id: "new.eml", move: "moved.eml", copy: "copied.eml"}
# Deleted ones in INBOX, where the server expunges single messages.
LEFT = {remove: {2, 3}, expunge: set()}


def prepared(servers, words):
    """Message 3 is deleted; the Archive has messages that look just like those that will come."""
    # Whoever watches speaks when he likes.
    site = Site(servers[words], ["idle=off"], messages=MAILS, bare=SERVERS[words] is not None)
    site.flag(3, "+", "\\Deleted")
    with site.client() as client:
        for data in (NEW, BARE_NEW, MAILS[1][0]):
            ok(client.append("Archive", None, None, data))
    return site


def stopped_at(site, act, number, mode, kill):
    """Whether the operation has so many commands, and whether success was answered."""
    equal(len(site.listed()), 2)
    equal(len(site.listed("Archive")), 3)
    site.wire.stop_at(number, mode)
    done = []
    acting = in_background(lambda: (act(site), done.append(True), site.sync(check=False)))
    wait_until(lambda: site.wire.stopped.is_set() or not acting.is_alive(), 30,
               f"a stop or the end: {number}: {site.wire.commands}")
    stopped = site.wire.stopped.is_set()
    if kill:
        site.mount.kill()
    site.wire.release()
    acting.join(60)
    equal(acting.is_alive(), False, "it goes on")
    if isinstance(acting.outcome, Exception) and not isinstance(acting.outcome, OSError):
        raise acting.outcome
    if kill:
        site.mount.abandon()
        site.mount = site.new_mount()
        site.mount.start()
    return stopped, bool(done)


def check(site, act, answered, may_lose_its_name, where):
    """What was answered with success is done, all else is done or not done at all."""
    # While the connection is being made anew it fails.
    wait_until(lambda: site.sync(check=False, timeout=120).returncode == 0, 60, "sync")
    live, held = site.live(), site.view("Archive")
    for uid, message in live.items():
        equal(message.data, MAILS[uid - 1][0], where)
    equal([m.data for m in held.values()][:3], [NEW, BARE_NEW, MAILS[1][0]], where)
    found = set(live), [m.data for m in held.values()][3:]
    if answered or found != NOTHING:
        equal(found, OUTCOMES[act], f"{where}: INBOX and Archive")
        if site.full:
            equal(set(site.view()) - found[0], LEFT.get(act, {3}), where)
    wait_until(lambda: site.uids() == sorted(live)
               and site.uids("Archive") == sorted(held), 20, f"{where}: the mount's view")
    named = [n for n in site.listed("Archive") if n in NAMES.values()]
    # Its new number was in an answer that nobody heard: then it has a name of its own.
    if named or act not in NAMES or not may_lose_its_name:
        equal(named, [NAMES[act]] if found[1] else [], f"{where}: the name")


def every_step(servers, words, act, mode, kill):
    # A sanitizer looks at the program, not at the order of commands: every third will do.
    stride = 3 if SANITIZED else 1
    for number in range(random.randrange(stride) + 1, MOST, stride):
        with prepared(servers, words) as site:
            stopped, answered = stopped_at(site, act, number, mode, kill)
            where = f"stopped {mode} command {number}: {site.wire.commands[-12:]}"
            # Another connection's command may be the last, while this one's answer is on its way.
            sent = site.wire.commands[:max(site.wire.stop_count - (mode != "after"), 0)]
            lost_answer = act is move and site.full and any("UID MOVE" in c for c in sent)
            lost_search = not kill and act in (append, append_without_id) and not site.full
            check(site, act, answered, lost_answer or lost_search, where)
        if not stopped:
            print(f"# {number - 1} commands")
            return
    raise AssertionError("no end")


def make_cases():
    for words in SERVERS:
        for act in OUTCOMES:
            for mode in ("before", "after", "half"):
                for kill in (True, False):
                    if mode == "half" and act not in (append, append_without_id):
                        continue
                    if act is expunge and words != "with_extensions":
                        continue

                    def run_one(servers, words=words, act=act, mode=mode, kill=kill):
                        every_step(servers, words, act, mode, kill)
                    run_one.__name__ = (f"{'killed' if kill else 'cut'}_{mode}_each_command_of_"
                                        f"{act.__name__}_{words}")
                    case(run_one)


make_cases()
main(both_servers)
