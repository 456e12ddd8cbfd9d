"""As a service: what the manager is told, SIGHUP, and where the log goes with which priority."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import tempfile

import private
from harness import (MAILFS, Dovecot, Home, Mount, Skip, case, equal, is_mounted, is_served, mail,
                     main, run, scratch, wait_until)

BODY = mail("hello")


@contextlib.contextmanager
def fixture():
    with contextlib.suppress(Skip):
        private.unshare()
    try:
        with Dovecot() as server:
            server.deliver([(BODY, 1600000000)])
            yield server
    finally:
        private.remove_covers(tempfile.gettempdir())


@contextlib.contextmanager
def listener(address):
    """A datagram socket that waits at most as long as a case may."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        yield manager


def heard(manager):
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())


def is_told(server, name, address):
    home = Home()
    home.environment["NOTIFY_SOCKET"] = name
    # What asks for the password must not speak for the service.
    seen = home.dir / "seen"
    command = f"password_command=echo [$NOTIFY_SOCKET] >{seen}; cat {home.secret}"
    with listener(address) as manager, Mount(server, home=home) as mount:
        first = heard(manager)
        equal(first["READY"], "1")
        assert is_served(mount.path)
        equal(first["STATUS"], f"{mount.url.split('//')[1]} on {mount.path}")
        mount.stop()
        last = heard(manager)
        equal(last["STOPPING"], "1")
        assert int(last["EXTEND_TIMEOUT_USEC"]) > 30_000_000, last
        manager.setblocking(False)
        try:
            raise AssertionError(f"told too much: {manager.recv(4096)}")
        except BlockingIOError:
            pass
        mount = Mount(server, home=home)
        mount.command = [word.replace(f"password_file={home.secret}", command)
                         for word in mount.command]
        with mount:
            equal(seen.read_text(), "[]\n")
    home.remove()


@case
def the_manager_is_told_when_it_is_mounted(server):
    with scratch() as directory:
        is_told(server, str(directory / "notify"), str(directory / "notify"))


@case
def the_manager_may_have_an_abstract_name(server):
    name = f"mailfs-test-{os.getpid()}"
    is_told(server, "@" + name, "\0" + name)


@case
def a_manager_is_not_told_of_what_fails(server):
    home = Home()
    with listener(str(home.dir / "notify")) as manager:
        home.environment["NOTIFY_SOCKET"] = str(home.dir / "notify")
        home.secret.write_text("wrong\n")
        done = run(MAILFS, "-f", "-o", f"tls_ca={server.ca},password_file={home.secret}",
                   server.url(), home.dir, "-o", "nonempty", check=False, env=home.environment)
        equal(done.returncode, 77)
        manager.setblocking(False)
        try:
            raise AssertionError(f"told: {manager.recv(4096)}")
        except BlockingIOError:
            pass
    home.check_reports()
    home.remove()


@case
def a_manager_that_is_gone_is_no_reason_to_fail(server):
    home = Home()
    home.environment["NOTIFY_SOCKET"] = "/no/such/socket"
    with Mount(server, home=home) as mount:
        equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
        assert "NOTIFY_SOCKET: No such file or directory" in mount.errors(), mount.errors()
    home.remove()


@case
def reload_connects_anew(server):
    """SIGHUP, as systemctl reload sends it."""
    with Mount(server) as mount:
        run("ls", mount / "INBOX")
        server.record()
        mount.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "asked to reconnect" in mount.text(".mailfs/log"), 30, "SIGHUP")
        wait_until(lambda: "state: online" in mount.text(".mailfs/status"), 30, "online")
        equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
        equal(mount.text(".mailfs/log").count("reconnect"), 1)


@case
def lines_for_the_journal_begin_with_their_priority(server):
    home = Home()
    mount = Mount(server, home=home, options=["timeout=29"])
    path = mount.stderr
    path.touch()
    seen = path.stat()
    home.environment["JOURNAL_STREAM"] = f"{seen.st_dev}:{seen.st_ino}"
    with mount:
        equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
        mount.stop()
        lines = mount.errors().splitlines()
        assert lines and all(re.match(r"<[3-7]>mailfs: ", line) for line in lines), lines
        assert any(line.startswith("<6>") and " is mounted on " in line for line in lines), lines
    with Mount(server, home=home) as mount:  # another file than the journal's
        mount.stop()
        assert not re.search(r"^<", mount.errors(), re.M), mount.errors()
    home.remove()


def daemon_of(word):
    """The one that the others of its command line are children of."""
    done = run("pgrep", "-f", re.escape(word), check=False)
    pids = set(done.stdout.decode().split())
    parents = {pid: pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
               for pid in pids}
    return int(next(pid for pid in pids if parents[pid] not in pids))


@case
def the_background_logs_to_syslog(server):
    """With the account's name, the process and a priority."""
    if not private.own_dev():
        raise Skip("no /dev of our own without root")
    home = Home()
    mountpoint = home.dir / "m"
    mountpoint.mkdir()
    (home.dir / "conf").write_text(
        f"[account work]\nimap = {server.url()}\ntls_ca = {server.ca}\n"
        f"password_file = {home.secret}\nmountpoint = {mountpoint}\n")
    with listener("/dev/log") as syslog:
        run(MAILFS, "-c", home.dir / "conf", "work", env=home.environment)
        equal(is_served(mountpoint), True)
        pid = daemon_of(f"{home.dir}/conf work")
        os.kill(pid, signal.SIGTERM)
        line = syslog.recv(4096).decode()
        # 22: the facility mail, an information.
        assert re.fullmatch(rf"<22>.* mailfs\[work\]\[{pid}\]: signal 15: unmounting", line), line
        wait_until(lambda: not is_mounted(mountpoint) and not os.path.exists(f"/proc/{pid}"), 30,
                   "the end")
    home.check_reports()
    home.remove()


main(fixture)
