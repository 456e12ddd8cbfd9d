"""SIGHUP and "echo reconnect >.mailfs/ctl": secrets are found anew, and the configuration file is
read again, wherever it stands and whatever the program may still open by itself."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import threading

from dovecot import PASSWORD
from guarding import a_home, becomes, change_password, guarded, lines, reconnect, state
from harness import (MAILFS, Mount, case, die_with_parent, equal, is_served, mail, main, run,
                     wait_until)
from script import Hold


def hang_up(mount):
    mount.process.send_signal(signal.SIGHUP)


WAYS = (hang_up, reconnect)


class Site:
    """An account of a configuration file, mounted by name."""

    def __init__(self, home, url):
        self.home = home
        self.url = url
        self.file = home.dir / "mailfs.conf"
        self.mount = Mount(url, home=home)
        self.mount.command = [MAILFS, "-f", "-c", str(self.file), "work", str(self.mount.path)]

    def write(self, text, url=None):
        self.file.write_text(f"[account work]\nimap = {url or self.url}\ntls = off\n{text}")
        self.file.chmod(0o600)

    def told(self, words):
        return lines(self.mount, words)


@contextlib.contextmanager
def site(text):
    with guarded() as (guard, url, relay), a_home() as home:
        work = Site(home, url)
        work.write(text.format(secret=home.secret))
        with work.mount:
            equal(run("cat", work.mount.find(1)).stdout, mail("m1"))
            yield work, guard, relay


def passwords(guard):
    """Those that the server was shown; they hold no blanks."""
    return [login.split()[-1].strip(b'"').decode() for login in guard.logins]


@case
def each_source_is_looked_into_again():
    file = "password_file = {secret}\n"
    sources = {"password_command = cat {secret}\n": None, file: None,
               f"password = {PASSWORD}\n": "password = changed\n"}
    for text, changed in sources.items():
        for way in WAYS:
            with site(text) as (work, guard, relay):
                change_password(guard, relay, work.mount)
                if changed:
                    work.write(changed)
                else:
                    work.home.secret.write_text("changed\n")
                way(work.mount)
                becomes(work.mount, "online")
                equal(passwords(guard)[0], PASSWORD)
                equal(set(passwords(guard)[1:]), {"changed"})


@case
def another_source_counts_at_once():
    for way in WAYS:
        with site("password_file = {secret}\npoll = 9\n") as (work, guard, relay):
            change_password(guard, relay, work.mount)
            work.write("password_command = echo changed\npoll = 8\n")
            way(work.mount)
            becomes(work.mount, "online")
            equal(len(work.told(f"{work.file} was changed; from now on: password_file, "
                                "password_command; from the next mount on: poll")), 1)


def connects_anew(work, guard, words=None, count=1):
    """SIGHUP. What is told then, so often in all."""
    before = len(guard.logins)
    hang_up(work.mount)
    if words:
        wait_until(lambda: len(work.told(words)) == count, what=f"{words}, {count} times")
    wait_until(lambda: len(guard.logins) > before, what="a login")
    becomes(work.mount, "online")


@case
def what_cannot_change_is_told():
    with site("password_file = {secret}\npoll = 9\n") as (work, guard, _):
        connects_anew(work, guard)
        equal(work.told("was changed"), [])
        work.write(f"password_file = {work.home.secret}\npoll = 8\nxattr = yes\n")
        connects_anew(work, guard, f"{work.file} was changed; from the next mount on: poll, xattr")
        work.write(f"password_file = {work.home.secret}\npoll = 9\n")
        connects_anew(work, guard)
        equal(len(work.told("was changed")), 1)


@case
def a_broken_file_changes_nothing():
    for good, broken, why in (
            ("password_file = {secret}\n", "password_file = /x\npol = 3\n",
             "[account work]: pol: unknown key, did you mean 'poll'?; the settings stay"),
            (f"password = {PASSWORD}\n", "password = other\npoll\n",
             ":5: neither 'key = value' nor a [group] nor a # comment; the settings stay")):
        with site(good) as (work, guard, _):
            work.write(broken)
            connects_anew(work, guard, why)
            equal(len(work.told(str(work.file))), 1)
            equal(set(passwords(guard)), {PASSWORD})


@case
def no_server_sees_what_is_meant_for_another():
    for text, other in ((f"password = {PASSWORD}\n", "password = other\n"),
                        ("password_file = {secret}\n", "password_command = echo other\n")):
        with site(text) as (work, guard, _):
            work.write(other, url="imap://alice@127.0.0.2")
            connects_anew(work, guard, f"{work.file} was changed; from the next mount on: imap")
            equal(set(passwords(guard)), {PASSWORD})
            equal(state(work.mount), "online")


# --- before it is mounted ---


@contextlib.contextmanager
def meanwhile(action):
    """Done by another thread while this one starts what is mounted in the block."""
    actor = threading.Thread(target=action)
    actor.start()
    try:
        yield
    finally:
        actor.join()


@case
def while_it_logs_in_it_does_nothing():
    with guarded() as (guard, url, _):
        guard.hold = Hold()
        mount = Mount(url, ["tls=off"])

        def in_the_middle():
            guard.hold.wait(60)
            hang_up(mount)
            guard.hold.go.set()
        with meanwhile(in_the_middle), mount:
            equal(is_served(mount.path), True)


@case
def while_it_looks_for_a_password_it_does_nothing():
    with guarded() as (_, url, _), a_home() as home:
        ran, fifo = home.dir / "ran", home.dir / "fifo"
        os.mkfifo(fifo)
        answer = open(fifo, "r+b", buffering=0)
        mount = Mount(url, ["tls=off", f"password_command=echo >{ran}; head -n 1 {fifo}"],
                      home=home, secret=False)

        def in_the_middle():
            wait_until(ran.exists, 60, "the command")
            hang_up(mount)
            answer.write(PASSWORD.encode() + b"\n")
        with answer, meanwhile(in_the_middle), mount:
            equal(is_served(mount.path), True)


def asks_on(terminal, home, *command):
    """Started there, until it has asked."""
    master, slave = terminal

    def take_terminal():
        die_with_parent()
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    process = subprocess.Popen(command, env=home.environment, stdin=slave, stdout=slave,
                               stderr=slave, preexec_fn=take_terminal)
    os.close(slave)
    told = b""
    while b"Password for " not in told:
        equal(bool(select.select([master], [], [], 60)[0]), True, told)
        told += os.read(master, 4096)
    return process


@case
def a_terminal_that_is_gone_ends_what_asks_on_it():
    for options in (["-f"], []):
        with guarded() as (guard, url, _), a_home() as home:
            (home.dir / "m").mkdir()
            terminal = pty.openpty()
            process = asks_on(terminal, home, MAILFS, *options, "-o", "tls=off", url,
                              str(home.dir / "m"))
            os.close(terminal[0])
            equal(process.wait(60) != 0, True)
            wait_until(lambda: not run("pgrep", "-f", str(home.dir / "m"), check=False).stdout,
                       what="the end of all of it")
            equal(guard.logins, [])


main()
