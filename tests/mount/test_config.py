"""The configuration file: mounting by name, what weighs more, --all, and what is said of mistakes."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios

from harness import (MAILFS, PASSWORD, SANITIZED, Dovecot, Home, case, die_with_parent, equal,
                     is_mounted, is_served, mail, main, out, run, unmount, wait_until)

BODY = mail("hello")


@contextlib.contextmanager
def fixture():
    with Dovecot(pop3=True) as server:
        for user in ("alice", "bob", "carol"):
            server.deliver([(BODY, 1600000000)], user=user)
        yield server


def processes(word):
    """Those of the program with the word in their command line."""
    done = subprocess.run(["pgrep", "-f", f"^{re.escape(MAILFS)} .*{re.escape(str(word))}"],
                          stdout=subprocess.PIPE, check=False)
    return [int(pid) for pid in done.stdout.split()]


class Site:
    """A home with a configuration file; mounts are made below `mail`. Nothing of it stays."""

    def __init__(self, server, text, mode=0o600):
        self.server = server
        self.home = Home()
        self.mail = self.home.dir / "mail"
        self.file = self.home.dir / "config/mailfs/mailfs.conf"
        self.file.parent.mkdir(parents=True)
        self.write(text, mode)
        self.process = None

    def write(self, text, mode=0o600):
        """`text` is a format; {defaults} is how these accounts get in."""
        defaults = f"[defaults]\ntls_ca = {self.server.ca}\npassword_file = {self.home.secret}\n"
        self.file.write_text(text.format(
            defaults=defaults, alice=self.server.url(), bob=self.server.url("bob"),
            carol=self.server.pop3_url("carol"), mail=self.mail, home=self.home.dir))
        self.file.chmod(mode)

    def mailfs(self, *arguments, code=0):
        """Runs it until the started process ends: what it said to stderr."""
        done = run(MAILFS, *arguments, check=False, env=self.home.environment)
        text = done.stderr.decode(errors="replace")
        equal(done.returncode, code, f"exit code ({text})")
        assert PASSWORD not in text, text
        return text

    def says(self, code, line, *arguments):
        equal(self.mailfs(*arguments, code=code).splitlines()[0],
              "mailfs: " + line.replace("FILE", str(self.file)))

    def start(self, *arguments):
        """In the foreground, beside us."""
        self.stderr = self.home.dir / "stderr"
        with open(self.stderr, "wb") as errors:
            self.process = subprocess.Popen(
                [MAILFS, *map(str, arguments)], env=self.home.environment, stdout=errors,
                stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=die_with_parent)

    def served(self, *names):
        """Waits until these are mounted."""
        for name in names:
            wait_until(lambda: is_served(self.mail / name) or self._is_over(), 60, f"{name}")
            assert is_served(self.mail / name), self.stderr.read_text()

    def _is_over(self):
        return self.process is not None and self.process.poll() is not None

    def ended(self, seconds=20):
        return self.process.wait(seconds * (3 if SANITIZED else 1))

    def unmount(self, name):
        """A background mount; its process is gone then."""
        unmount(self.mail / name)

    def gone(self):
        wait_until(lambda: not processes(self.home.dir), 30, "the end of all")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for path in self.mail.iterdir() if self.mail.exists() else ():
            if is_mounted(path):
                subprocess.run(["fusermount3", "-uz", path], check=False)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind is not None and self.process is not None:
            print("# " + self.stderr.read_text().replace("\n", "\n# "))
        for pid in processes(self.home.dir):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if kind else signal.SIGTERM)
        self.gone()
        if kind is None:
            self.home.check_reports()
        self.home.remove()


def reads(path, name="INBOX/1.eml"):
    equal(run("cat", path / name).stdout, BODY)


ONE = "{defaults}\n[account work]\nimap = {alice}\nmountpoint = {mail}/work\n"
THREE = """{defaults}
poll = 5
delete = trash

[account work]
imap = {alice}

[account home]
imap = {bob}
mountpoint = {home}/elsewhere

[account old]
pop3 = {carol}
"""


@case
def an_account_is_mounted_by_its_name(server):
    with Site(server, ONE) as site:
        (site.mail / "work").mkdir(parents=True)
        equal(site.mailfs("work", "-c", site.file), "")
        reads(site.mail / "work")
        site.unmount("work")
        site.gone()
        # Elsewhere, and with what its URL made: it is the same account.
        (site.mail / "other").mkdir()
        equal(site.mailfs("work", site.mail / "other", "-o", "offline"), "")
        reads(site.mail / "other")
        equal(os.listdir(site.mail / "work"), [])
        site.unmount("other")


@case
def the_command_line_weighs_more_than_the_account(server):
    with Site(server, ONE + "names = uid\nro = yes\n") as site:
        mountpoint = site.mail / "work"
        mountpoint.mkdir(parents=True)
        site.start("-f", "work")
        site.served("work")
        names = os.listdir(mountpoint / "INBOX")
        assert "hello" not in names[0], names
        done = run("touch", mountpoint / "INBOX/x", check=False)
        assert b"Read-only" in done.stderr, done.stderr
        site.process.terminate()
        equal(site.ended(), 0)
        site.start("-f", "work", "-o", "names=label,ro=no")
        site.served("work")
        equal(os.listdir(mountpoint / "INBOX"), ["1.hello.eml"])
        run("touch", mountpoint / "INBOX/x")
        site.process.terminate()
        equal(site.ended(), 0)


@case
def mistakes_are_told_in_one_line(server):
    with Site(server, ONE) as site:
        site.says(78, "FILE: no [account wokr] there, did you mean 'work'?", "wokr", site.mail)
        site.says(64, "more than SOURCE and MOUNTPOINT were given", "work", "a", "b")
        site.write(ONE + "pol = 3\n")
        site.says(78, "FILE: [account work]: pol: unknown key, did you mean 'poll'?", "work")
        site.write(ONE + "poll = often\n")
        site.says(78, "FILE: [account work]: poll: 'often' is not a number of seconds, at least "
                  "1", "work")
        site.write(ONE + "[acount x]\n")
        line = len(site.file.read_text().splitlines())
        site.says(78, f"FILE:{line}: unknown group [acount x], did you mean '[account x]'?",
                  "work")
        site.write(ONE + f"password = {PASSWORD}\n", 0o644)
        site.says(78, "FILE: there is a password in it: it must be yours alone (chmod 600 it)",
                  "work")
        site.write(ONE, 0o666)
        site.says(78, "'FILE' can be written by others (chmod go-w it)", "work")
        site.file.unlink()
        site.says(78, f"there is no configuration file: neither {site.file} nor /etc/mailfs.conf "
                  "(see mailfs.conf(5))", "work")
        # Nor is that of the system taken in place of one that cannot be read.
        site.file.symlink_to(site.home.dir / "gone")
        site.says(78, "cannot open 'FILE': No such file or directory", "work")


@case
def nothing_is_read_where_somebody_stands(server):
    """A file of another's directory would name commands."""
    with Site(server, ONE) as site:
        variables = site.home.environment
        for name, others in (("XDG_CONFIG_HOME", {}), ("HOME", {"XDG_CONFIG_HOME": ""})):
            done = run(MAILFS, "--list-accounts", check=False, cwd=site.home.dir,
                       env={**variables, **others, name: "config"})
            equal((done.returncode, done.stderr), (78, b"mailfs: HOME or XDG_CONFIG_HOME is not "
                                                   b"an absolute path\n"))
        site.write(ONE + "cache_size = 1G\ntls_cert = ~/c\n")
        variables["HOME"] = "."
        site.says(78, "FILE: [account work]: tls_cert: HOME is not an absolute path", "work")


@case
def a_password_of_the_file_is_that_of_its_account(server):
    text = f"""[defaults]
tls_ca = {server.ca}
password_file = /nowhere
[account wrong]
imap = {{alice}}
password = hunter2
[account work]
imap = {{alice}}
password = {PASSWORD}
mountpoint = {{mail}}/work
"""
    with Site(server, text) as site:
        (site.mail / "work").mkdir(parents=True)
        site.start("-f", "-d", "work")
        site.served("work")
        reads(site.mail / "work")
        site.process.terminate()
        equal(site.ended(), 0)
        trace = site.stderr.read_text()
        assert "LOGIN" in trace or "AUTHENTICATE" in trace, trace
        assert PASSWORD not in trace, "the password is in the trace"
        assert PASSWORD not in site.mailfs("wrong", site.mail / "work", code=77)


@case
def accounts_are_listed_and_shown(server):
    with Site(server, THREE + f"password = {PASSWORD}\n") as site:
        def says(*arguments):
            return out(MAILFS, *arguments, env=site.home.environment)
        equal(says("--list-accounts"), "work\nhome\nold\n")
        equal(says("--print-config", "old"), f"""[account old]
pop3 = {server.pop3_url("carol")}
password = ********
tls_ca = {server.ca}
poll = 5
""")
        # A file again.
        shown = says("--print-config", "home")
        site.file.write_text(shown)
        equal(says("--print-config", "home"), shown)


@case
def all_are_mounted_and_those_that_fail_are_told(server):
    with Site(server, THREE) as site:
        equal(site.mailfs("--all", site.mail), "")
        for name in ("work", "home", "old"):
            reads(site.mail / name, "INBOX/1.eml")
            site.unmount(name)
        site.gone()
        # One that cannot: the others are mounted.
        wrong = site.home.dir / "wrong"
        wrong.write_text("no\n")
        wrong.chmod(0o600)
        site.write(THREE.replace("{home}/elsewhere", "{home}/elsewhere\npassword_file = " +
                                 str(wrong)))
        text = site.mailfs("--all", site.mail, code=77)
        lines = text.splitlines()
        assert re.match(r"mailfs\[home\]: .*(refused|Authentication)", lines[0]), text
        equal(lines[1:], ["mailfs: home is not mounted (exit code 77)"])
        reads(site.mail / "work")
        reads(site.mail / "old")
        assert not is_mounted(site.mail / "home")
        site.unmount("work")
        site.unmount("old")


@case
def nobody_is_asked_by_several_at_once(server):
    with Site(server, THREE) as site:
        site.write(THREE.replace("{defaults}", "[defaults]"))
        master, slave = pty.openpty()

        def take_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        process = subprocess.Popen([MAILFS, "--all", site.mail], env=site.home.environment,
                                   stdin=slave, stdout=slave, stderr=slave,
                                   preexec_fn=take_terminal)
        os.close(slave)
        told = b""
        with contextlib.suppress(OSError):  # the end
            while select.select([master], [], [], 60)[0] and b"Password" not in told:
                told += os.read(master, 4096)
        os.close(master)
        assert b"Password" not in told, told
        equal(process.wait(30), 78)
        equal(told.count(b"no password for"), 3, told)


@case
def all_without_a_directory_is_each_in_its_own(server):
    with Site(server, ONE) as site:
        equal(site.mailfs("--all"), "")
        reads(site.mail / "work")
        site.unmount("work")
        site.gone()
        site.write(ONE + "\n[account home]\nimap = {bob}\n")
        text = site.mailfs("--all", code=64)
        assert f"MOUNTPOINT is missing, and [account home] of {site.file} has no" in text, text
        reads(site.mail / "work")
        site.unmount("work")


@case
def two_of_all_cannot_have_one_place(server):
    """Each would find it empty, and one cover the other."""
    two = ONE + "\n[account home]\nimap = {bob}\nmountpoint = {mail}/./work/\n"
    with Site(server, two) as site:
        text = site.mailfs("--all", code=78)
        equal(text.splitlines(), [
            f"mailfs: {site.file}: [account home]: mountpoint: '{site.mail}/work' is that of "
            "[account work] already", "mailfs: home is not mounted (exit code 78)"])
        reads(site.mail / "work")
        site.unmount("work")
        assert not is_mounted(site.mail / "work")


@case
def all_in_the_foreground_end_together(server):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Site(server, THREE) as site:
            site.start("-f", "--all", site.mail)
            site.served("work", "home", "old")
            os.kill(site.process.pid, number)
            equal(site.ended(), 0, site.stderr.read_text())
            for name in ("work", "home", "old"):
                assert not is_mounted(site.mail / name)
            equal(processes(site.home.dir), [])


@case
def one_of_all_may_end_before_the_others(server):
    with Site(server, THREE) as site:
        site.start("-f", "--all", site.mail)
        site.served("work", "home", "old")
        unmount(site.mail / "home")
        wait_until(lambda: len(processes(site.home.dir)) and not is_mounted(site.mail / "home"))
        reads(site.mail / "work")
        unmount(site.mail / "work")
        unmount(site.mail / "old")
        equal(site.ended(), 0, site.stderr.read_text())


@case
def a_hangup_reaches_all(server):
    with Site(server, ONE + "\n[account home]\nimap = {bob}\n") as site:
        site.start("-f", "--all", site.mail)
        site.served("work", "home")

        def logins(user):
            return (server.dir / "dovecot.log").read_text().count(f"Login: user=<{user}>")
        before = {user: logins(user) for user in ("alice", "bob")}
        os.kill(site.process.pid, signal.SIGHUP)
        for user, count in before.items():
            wait_until(lambda: logins(user) > count, 30, f"{user} connects anew")
        site.process.terminate()
        equal(site.ended(), 0, site.stderr.read_text())


@contextlib.contextmanager
def a_manager(site):
    """What it is told next, as a dictionary."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(site.home.dir / "notify")
        manager.bind(path)
        manager.settimeout(60)
        site.home.environment["NOTIFY_SOCKET"] = path
        yield lambda: dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())


def hear(told, wanted):
    """Until it is told just that."""
    while (heard := told()) != wanted:
        assert heard.keys() == {"STATUS"} or heard.keys() == {"EXTEND_TIMEOUT_USEC"}, heard


@case
def a_manager_is_told_when_all_are_mounted(server):
    with Site(server, THREE) as site, a_manager(site) as told:
        site.write(THREE.replace("{home}/elsewhere", "{home}/elsewhere\npassword_file = /nowhere"))
        site.start("-f", "--all", site.mail)
        status = "mounted: work, old; not mounted: home (exit code 78)"
        equal(told(), {"READY": "1", "STATUS": status})
        site.served("work", "old")
        os.kill(site.process.pid, signal.SIGHUP)
        heard = told()
        while "RELOADING" not in heard:
            equal(heard, {"STATUS": status})
            heard = told()
        assert int(heard["MONOTONIC_USEC"]) > 0, heard
        equal(told(), {"READY": "1", "STATUS": status})
        unmount(site.mail / "work")
        hear(told, {"STATUS": "mounted: old; not mounted: work, home (exit code 78)"})
        os.kill(site.process.pid, signal.SIGTERM)
        hear(told, {"STOPPING": "1", "STATUS": "Finishing what was promised"})
        assert int(told()["EXTEND_TIMEOUT_USEC"]) > 30_000_000
        equal(site.ended(), 78)


@case
def a_manager_is_not_told_when_none_is_mounted(server):
    with Site(server, THREE) as site, a_manager(site) as told:
        site.write(THREE.replace("{defaults}", "[defaults]\npassword_file = /nowhere"))
        site.mailfs("-f", "--all", site.mail, code=78)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(b"NOTHING=1", site.home.environment["NOTIFY_SOCKET"])
        equal(told(), {"NOTHING": "1"})


@case
def who_kills_the_one_that_looks_after_them_ends_all(server):
    with Site(server, ONE) as site:
        site.start("-f", "--all", site.mail)
        site.served("work")
        site.process.kill()
        wait_until(lambda: not is_mounted(site.mail / "work"), 30, "unmounted")


if __name__ == "__main__":
    main(fixture)
