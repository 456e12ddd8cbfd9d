"""The measurements of tests/bench/run: pairs in alternation, medians, ratios."""

import os
import pathlib
import signal
import statistics
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

import corpus  # noqa: E402
from crowd import Box, Crowd  # noqa: E402
from harness import (Home, Mount, abandon_mounts, mail, ok, temporary_files,  # noqa: E402
                     wait_until)
from inotify import Watch  # noqa: E402
from peers import (Dovecot, Link, mounted, mpop, new_directory, pairs,  # noqa: E402
                   run_mbsync, shell, timed, wait_for_rest)

FOLDER_SIZE = int(os.environ.get("MAILFS_BENCH_MESSAGES", "100000"))
REMOVED = min(10000, FOLDER_SIZE)
ONE_WAY = 0.025  # seconds
LISTING = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
BODIES = "(UID BODY.PEEK[])"
LARGE = 50_000_000  # bytes
QUIET = 2  # seconds between news: what comes right behind other news may wait for a second


def row(name, ours, theirs, goal):
    print(f"| {name} | {ours:.3f} s | {theirs:.3f} s | {ours / theirs:.2f} | {goal} |",
          flush=True)


def figure(name, value, goal):
    """What is compared with nothing."""
    print(f"| {name} | {value} | | | {goal} |", flush=True)


def drop_inodes(mount):
    """The kernel forgets what it knows of files, of all file systems, and the daemon has heard of
    it."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("2")
    wait_for_rest(mount)


# --- reading ---


def read_near(count):
    with Dovecot() as server, Link(server) as link:
        server.deliver(corpus.mails())
        link.raw_fetch("INBOX", BODIES)
        for fsync, name, goal in (("yes", "mbsync into an empty Maildir", 0.4),
                                  ("no", "the same with `FSync no`", "-")):
            row(f"`cat INBOX/*.eml`, nothing cached : {name}",
                *pairs(count, lambda: mounted(link.mount(home=Home()), "cat *.eml"),
                       lambda: link.first_sync(fsync)), goal)


def read_far(count):
    with Dovecot() as server, Link(server, ONE_WAY) as link:
        server.deliver(corpus.mails())
        link.raw_fetch("INBOX", BODIES)

        def ours():
            return mounted(link.mount(home=Home()), "cat *.eml")
        row("the same, 50 ms away : mbsync, as far", *pairs(count, ours, lambda: link.first_sync("yes")), 0.2)
        row("the same, 50 ms away : bare FETCH of all bodies, as far",
            *pairs(count, ours, lambda: link.raw_fetch("INBOX", BODIES)), 2.5)


def read_drop(count):
    with Dovecot(pop3=True) as server:
        server.deliver(corpus.mails())
        mpop(server)

        def ours():
            options = [f"tls_ca={server.ca}", "poll=3600"]
            return mounted(Mount(server.pop3_url(), options, home=Home()), "cat *.eml")
        row("`cat` of the same as a maildrop of POP3, nothing cached : mpop into an empty Maildir",
            *pairs(count, ours, lambda: mpop(server)), 0.7)


def search_warm(count):
    with Dovecot() as server, Link(server) as link:
        server.deliver(corpus.mails())
        home, local = Home(), new_directory()
        for options, name, goal in ((), "", 4), (["ro"], ", mounted read-only", 1.5):
            with link.mount(options, home=home) as mount:
                shell(f"cp *.eml {local}", mount / "INBOX")
                both = [lambda d=d: timed(shell, "grep -r nothing-has-this . || true", d)
                        for d in (mount / "INBOX", local)]
                os.sync()
                for warm_up in both * 2:
                    warm_up()
                row(f"warm `grep -r` of 6,046 mails{name} : ext4", *pairs(count, *both), goal)


def read_large(count):
    body = b"0123456789abcdef" * 4 * (LARGE // 66)
    lines = b"\r\n".join(body[n:n + 64] for n in range(0, len(body), 64)) + b"\r\n"
    with Dovecot() as server, Link(server) as link:
        server.deliver([(mail("large", "") + lines, 1600000000)])
        link.raw_fetch("INBOX", BODIES)

        def ours():
            with link.mount(home=Home()) as mount:
                mount.messages()
                return timed(shell, "cat *.eml", mount / "INBOX")

        def theirs():
            with_all = link.raw_fetch("INBOX", BODIES)
            return with_all - link.raw_fetch("INBOX", "(UID)")
        row("a message of 50 MB, first read : bare FETCH", *pairs(count, ours, theirs), 1.3)


# --- listing ---


def list_large(count):
    mails = ((mail(f"Message number {n} of many"), 1600000000 + n) for n in range(FOLDER_SIZE))
    with Dovecot() as server, Link(server) as link:
        server.deliver(mails)
        for _ in range(2):
            link.raw_fetch("INBOX", LISTING)
        row(f"first `ls` of {FOLDER_SIZE:,} messages : bare FETCH",
            *pairs(count, lambda: mounted(link.mount(home=Home()), "ls -U"),
                   lambda: link.raw_fetch("INBOX", LISTING)), 1.5)
        list_again(count, link)


def list_again(count, link):
    home = Home()
    directory = link.mbsync(sync="All")
    run_mbsync(directory)
    mounted(link.mount(home=home), "ls -l")

    def ours():
        return mounted(link.mount(home=home), "ls -l")

    def theirs_listed():
        return run_mbsync(directory) + timed(shell, "ls -l cur new", directory / "near")
    row(f"remount and `ls -l`, {FOLDER_SIZE:,} messages, nothing new : mbsync, nothing new",
        *pairs(count, ours, lambda: run_mbsync(directory)), 0.5)
    row("the same : mbsync, nothing new, and `ls -l` of its Maildir",
        *pairs(count, ours, theirs_listed), 1)
    local = new_directory()
    with link.mount(home=home) as mount:
        for name in mount.messages(timeout=600):
            (local / name).touch()
        for command in "ls -l", "find . -size +9M", "du -s .":
            list_cold(count, command, mount, local)
        list_warm(count, mount / "INBOX", local)


def list_cold(count, command, mount, local):
    def measured(directory):
        drop_inodes(mount)
        return timed(shell, command, directory)
    row(f"`{command}` of {FOLDER_SIZE:,}, the kernel's caches dropped : ext4, likewise",
        *pairs(count, lambda: measured(mount / "INBOX"), lambda: measured(local)), 1.2)


def list_warm(count, ours, local):
    both = [lambda d=d: timed(shell, "ls -l", d) for d in (ours, local)]
    for warm_up in both:
        warm_up()
    row(f"warm `ls -l` of {FOLDER_SIZE:,} : ext4", *pairs(count, *both), "-")


def list_million(_):
    options = ["poll=3600", "tls=off", "timeout=600"]
    with Crowd({"INBOX": Box(1_000_000)}) as server, \
            Mount(server.url(), options, home=Home()) as mount:
        for command in "ls -U | wc -l", "ls -l":
            shell(command, mount / "INBOX")
        figure("resident memory with 1,000,000 messages listed",
               f"{mount.memory_kib() * 1024 / 1e6:.0f} MB", "80 MB")


# --- changing ---


def put_back(server):
    client = server.imap(folder="INBOX")
    ok(client.uid("STORE", "1:*", "-FLAGS.SILENT", "(\\Deleted)"))
    client.logout()


def count_deleted(server):
    client = server.imap(folder="INBOX")
    equal = len(ok(client.uid("SEARCH", "DELETED"))[0].split()) == REMOVED
    client.logout()
    assert equal, "not all are deleted"


def rm_far(server, link):
    """Seconds of `rm` and `sync` of a folder that was listed before."""
    put_back(server)
    with link.mount(home=Home()) as mount:
        mount.messages(timeout=600)
        seconds = timed(shell, "find . -name '*.eml' -delete; sync .", mount / "INBOX")
        count_deleted(server)
        return seconds


def mbsync_far(server, link):
    """Seconds of the synchroniser to tell the server what was removed from its Maildir."""
    put_back(server)
    directory = link.mbsync(sync="All")
    run_mbsync(directory)
    for path in (directory / "near").glob("*/*"):
        path.unlink()
    seconds = run_mbsync(directory)
    count_deleted(server)
    return seconds


def remove_far(count):
    mails = ((mail(f"Message number {n}"), 1600000000 + n) for n in range(REMOVED))
    with Dovecot() as server, Link(server, ONE_WAY) as link:
        server.deliver(mails)
        link.raw_fetch("INBOX", LISTING)
        row(f"`rm` of {REMOVED:,} messages and `sync`, 50 ms away : mbsync of as many removals",
            *pairs(count, lambda: rm_far(server, link), lambda: mbsync_far(server, link)), "-")


# --- news ---


def hear_of(server, mount, number):
    """Seconds from the answer to APPEND to the name in the listing, and to the watcher's event."""
    client = server.imap()
    subject = f"news-{number}"
    time.sleep(QUIET)
    with Watch(mount, "INBOX") as watch:
        ok(client.append("INBOX", None, None, mail(subject)))
        started = time.perf_counter()
        wait_until(lambda: any(subject in n for n in watch.of("CREATE")), 20, subject)
        event = time.perf_counter() - started
        wait_until(lambda: any(subject in n for n in os.listdir(mount / "INBOX")), 20, subject)
    client.logout()
    return event, time.perf_counter() - started


def news(count):
    with Dovecot() as server, Link(server) as link:
        server.deliver([(mail("first"), 1600000000)])
        with link.mount() as mount:
            mount.messages()
            times = [hear_of(server, mount, n) for n in range(count)]
    for name, taken in zip(("an inotify event", "its name in `ls`"), zip(*times)):
        figure(f"new mail, from the server's OK to {name} (the slowest: {max(taken):.3f} s)",
               f"{statistics.median(taken):.3f} s", "below 1 s")


ROWS = {"read": read_near, "far": read_far, "pop3": read_drop, "grep": search_warm,
        "large": read_large, "list": list_large, "million": list_million, "remove": remove_far,
        "news": news}


def measure(name, count):
    """False if it failed, which is told; the others go on."""
    try:
        ROWS[name](count)
    except Exception as error:
        print(f"| {name}: FAILED, {type(error).__name__} | | | | |", flush=True)
        traceback.print_exc()
        return False
    finally:
        abandon_mounts()
    return True


def main(count, names):
    print(f"| median of {count} | mailfs | other | ratio | goal |\n|---|---|---|---|---|", flush=True)
    with temporary_files():
        return all([measure(name, count) for name in names])


def usage():
    sys.exit(f"usage: tests/bench/run [PAIRS [ROW...]]\nrows: {' '.join(ROWS)}")


if __name__ == "__main__":
    if not sys.argv[1].isdecimal() or int(sys.argv[1]) < 1 or not set(sys.argv[2:]) <= set(ROWS):
        usage()
    # Ends by them as by an error: what was begun is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    sys.exit(0 if main(int(sys.argv[1]), sys.argv[2:] or list(ROWS)) else 1)
