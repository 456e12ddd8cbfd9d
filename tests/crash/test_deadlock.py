"""The daemon is killed while the kernel waits for it under the lock of a directory, and the thread
that tells the kernel of changed names waits for that lock: whoever waits must be set free, though
that thread can neither end nor be killed. The file system for that is mounted for this test alone."""

import ctypes
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

from harness import (Dovecot, Home, Mount, SKIP, case, equal, free_ports, mail, main,  # noqa: E402
                     ok, run, wait_until)

KILLS = 5
WORKERS = 4
HELPERS = {"mailfs-inotify", "mailfs-watchdog"}
SANDBOXED = {"mailfs-keeper"}  # beside them, where there is a sandbox
CONTROL = "/sys/fs/fuse/connections"
CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000

# Moves and removes messages of its own until the mount fails.
WORKER = """
import errno, os, sys
root, key = sys.argv[1:]
n = 0
while True:
    n += 1
    name = f"{key}-{n}.eml"
    try:
        with open(f"{root}/INBOX/{name}", "wb") as file:
            file.write(b"From: a@example.org\\r\\nSubject: x\\r\\n\\r\\nx\\r\\n")
        os.rename(f"{root}/INBOX/{name}", f"{root}/Archive/{name}")
        os.listdir(f"{root}/INBOX")
        if n > 5:
            os.unlink(f"{root}/Archive/{key}-{n - 5}.eml")
    except OSError as error:
        if error.errno in (errno.ENOTCONN, errno.ECONNABORTED):
            sys.exit(0)
"""


def use_control_files():
    """A namespace of our own with fuse's control files: also where the machine has none mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS) != 0:
        if not os.listdir(CONTROL):
            print("1..0 # SKIP no control files of fuse, and no right to mount them")
            sys.exit(SKIP)
        return
    libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None)
    # Our copies of what others have mounted would keep it alive.
    with open("/proc/self/mounts") as mounts:
        fields = [line.split() for line in mounts]
    for path in (path for _, path, kind, *_ in fields if kind.startswith("fuse.")):
        run("umount", "-l", path, check=False)
    if not os.path.ismount(CONTROL):
        run("mount", "-t", "fusectl", "fusectl", CONTROL)


def processes(parent=None):
    """State and name of all processes by pid, or of the children of one."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        state, ppid = rest.split()[:2]
        if parent is None or int(ppid) == parent:
            found[int(pid)] = (state, name)
    return found


def helpers_of(mount):
    """The pids of the daemon's children, by their names; it has no other."""
    children = processes(mount.process.pid)
    names = {name for _, name in children.values()}
    equal(names - SANDBOXED, HELPERS, "children of the daemon")
    equal(len(names), len(children), "one of each")
    return {name: pid for pid, (_, name) in children.items()}


def watchdog_of(mount):
    return helpers_of(mount)["mailfs-watchdog"]


def gone(pid):
    return pid not in processes()


def workers(mount, count):
    return [subprocess.Popen([sys.executable, "-c", WORKER, mount.path, f"{n}"],
                             stdin=subprocess.DEVNULL) for n in range(count)]


def disturb(client, seconds):
    """Another client takes messages away and brings some, so that the kernel is told of names."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ok(client.append("INBOX", None, None, mail("by another")))
        client.uid("STORE", "1:*", "+FLAGS", r"(\Deleted)")
        client.expunge()
        time.sleep(0.1)


def kill_under_load(mount, client, seconds):
    """How long the last worker took to end."""
    helpers = helpers_of(mount)
    running = workers(mount, WORKERS)
    disturb(client, seconds)
    equal([p.poll() for p in running], [None] * WORKERS, "workers before the kill")
    started = time.monotonic()
    mount.process.kill()
    try:
        for process in running:
            equal(process.wait(max(0.1, started + 10 - time.monotonic())), 0, "a worker's end")
        mount.process.wait(10)
        took = time.monotonic() - started
        wait_until(lambda: all(map(gone, helpers.values())), 10, "the end of the helpers")
    except Exception:
        # Nobody else can end them now.
        run("umount", "-f", mount.path, check=False)
        raise
    finally:
        for process in running:
            process.kill()
    return took


@case
def killed_under_load_it_leaves_nobody_hanging():
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    print(f"# seed {seed}")
    with Dovecot() as server:
        server.deliver([(mail(f"s {n}"), 1600000000) for n in range(50)], folder="INBOX")
        client = server.imap(folder="INBOX")
        ok(client.create("Archive"))
        home = Home()
        try:
            for _ in range(KILLS):
                mount = Mount(server, ["poll=1", "timeout=5"], home=home)
                mount.start()
                took = kill_under_load(mount, client, chance.uniform(1, 2.5))
                print(f"# all ended after {took:.2f} s")
                home.check_reports()
                mount.abandon()
            with Mount(server, home=home) as mount:
                assert "Archive" in os.listdir(mount.path)
        finally:
            home.remove()
        client.logout()


@case
def an_orderly_end_takes_the_helpers_with_it():
    with Dovecot() as server:
        for end in (Mount.stop, Mount.unmount):
            with Mount(server) as mount:
                helpers = helpers_of(mount)
                end(mount)
                equal([name for name in helpers if not gone(helpers[name])], [],
                      f"helpers after {end.__name__}")


@case
def the_watchdog_bears_the_signals_that_end_the_daemon():
    with Dovecot() as server, Mount(server) as mount:
        watchdog = watchdog_of(mount)
        for number in (1, 2, 13, 15):
            os.kill(watchdog, number)
        equal(os.readlink(f"/proc/{watchdog}/cwd"), "/", "its directory")
        equal(os.getsid(watchdog), watchdog, "its session")
        equal(len(os.listdir(f"/proc/{watchdog}/fd")), 1, "its descriptors")
        equal(watchdog_of(mount), watchdog)


@case
def a_start_on_a_mount_that_does_not_answer_names_the_remedy():
    with Dovecot() as server, Mount(server) as mount:
        mount.process.send_signal(signal.SIGSTOP)
        try:
            done = run(*mount.command, env=mount.home.environment, check=False, timeout=30)
        finally:
            mount.process.send_signal(signal.SIGCONT)
        equal(done.returncode, 73, "exit code")
        assert f"umount -f {mount.path}".encode() in done.stderr, done.stderr


@case
def a_failed_start_leaves_no_helper():
    def helpers():
        return {pid for pid, (_, name) in processes().items() if name in HELPERS | SANDBOXED}

    # Other tests may run beside us.
    def is_of(pid, home):
        try:
            return str(home.dir).encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    port = free_ports(1)[0]
    # The one before, the other behind the engine's start.
    for options in (["no_such_option"], ["timeout=5"]):
        home = Home()
        mount = Mount(f"imap://u@127.0.0.1:{port}", ["tls=off", *options], home=home)
        try:
            mount.start()
        except AssertionError as error:
            assert "mailfs ended with" in str(error), error
        else:
            raise AssertionError("it started")
        finally:
            mount.abandon()
        equal([pid for pid in helpers() if is_of(pid, home)], [], "helpers")
        home.check_reports()
        home.remove()


use_control_files()
main()
