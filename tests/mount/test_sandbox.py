"""What holds the process, and that it does its work all the same: mount, reconnect, unmount."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import private
from harness import (MAILFS, PASSWORD, SANITIZED, Dovecot, Home, Mount, Skip, case, equal,
                     is_mounted, mail, main, out, run, scratch, wait_until)

NOBODY = pwd.getpwnam("nobody")


@contextlib.contextmanager
def fixture():
    with contextlib.suppress(Skip):
        private.unshare()
    try:
        with Dovecot() as server:
            server.deliver([(mail("hello"), 1600000000)])
            yield server
    finally:
        private.remove_covers(tempfile.gettempdir())


def state(mount):
    text = (mount.path / ".mailfs" / "status").read_text()
    return re.search(r"^sandbox: (.*)$", text, re.M)[1]


def threads(pid):
    """What the kernel says of each thread."""
    wanted = ("NoNewPrivs", "Seccomp")
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            status = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile, as those do that look up a host's address
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        yield tuple(int(fields[name]) for name in wanted)


@case
def status_says_what_holds_it(server):
    with Mount(server) as mount:
        assert re.fullmatch(r"none|seccomp|landlock \d+(, seccomp)?", state(mount)), state(mount)
        if SANITIZED:
            equal(state(mount), "none")


@case
def every_thread_is_held(server):
    with Mount(server) as mount:
        held = state(mount)
        if held == "none":
            return
        found = set(threads(mount.process.pid))
        equal(found, {(1, 2 if "seccomp" in held else 0)})


@case
def off_holds_nothing(server):
    with Mount(server, options=["sandbox=off"]) as mount:
        equal(state(mount), "off")
        equal({new for new, _ in threads(mount.process.pid)}, {0})


@case
def a_new_connection_finds_a_new_ca(server):
    with scratch() as directory:
        ca = directory / "ca.pem"
        shutil.copy(server.ca, ca)
        mount = Mount(server.url(), options=[f"tls_ca={ca}"])
        with mount:
            equal(len(os.listdir(mount.path / "INBOX")), 1)
            shutil.copy(server.ca, directory / "new.pem")
            (directory / "new.pem").replace(ca)
            mount.process.send_signal(signal.SIGHUP)
            wait_until(lambda: mount.errors().count(": online") == 2, what="reconnecting")
            equal(run("cat", mount.path / "INBOX" / "1.eml").stdout, mail("hello"))
            assert "Permission denied" not in mount.errors(), mount.errors()


@case
def a_ca_in_the_home_directory_can_be_written_over(server):
    """What else lies there is out of reach, so that another file in its place is, too."""
    home = Home()
    ca = pathlib.Path(home.environment["HOME"]) / "ca.pem"
    shutil.copy(server.ca, ca)
    with Mount(server.url(), options=[f"tls_ca={ca}"], home=home) as mount:
        ca.write_bytes(b"# another\n" + ca.read_bytes())
        mount.process.send_signal(signal.SIGHUP)
        wait_until(lambda: mount.errors().count(": online") == 2, what="reconnecting")
        assert "Permission denied" not in mount.errors(), mount.errors()
    home.remove()


@case
def a_ca_may_be_a_link_to_elsewhere(server):
    with scratch() as directory, scratch() as elsewhere:
        ca = elsewhere / "ca.pem"
        shutil.copy(server.ca, ca)
        (directory / "link.pem").symlink_to(ca)
        with Mount(server.url(), options=[f"tls_ca={directory}/link.pem"]) as mount:
            shutil.copy(server.ca, elsewhere / "new.pem")
            (elsewhere / "new.pem").replace(ca)
            mount.process.send_signal(signal.SIGHUP)
            wait_until(lambda: mount.errors().count(": online") == 2, what="reconnecting")
            assert "Permission denied" not in mount.errors(), mount.errors()


@case
def secrets_are_found_anew_outside_of_it(server):
    """By a process that was made before, and ends with the daemon, as does what it runs. Also
    without a sandbox: the daemon's end waits for none of it."""
    for options in ([], ["sandbox=off"]):
        finds_secrets_anew(server, options)


def finds_secrets_anew(server, options):
    with scratch() as directory:
        ran = directory / "ran"
        command = f"echo x >>{ran}; test -e {directory}/hang && sleep 600; echo {PASSWORD}"
        mount = Mount(server, options)
        mount.command = [part.replace(f"password_file={mount.home.secret}",
                                      f"password_command={command}") for part in mount.command]
        with mount:
            for count in (2, 3):
                mount.process.send_signal(signal.SIGHUP)
                wait_until(lambda: mount.errors().count(": online") == count, what="reconnecting")
                equal(ran.read_text(), count * "x\n")
            assert "what was found before" not in mount.errors(), mount.errors()
            keeper = out("pgrep", "-P", str(mount.process.pid), "-f", "^mailfs-keeper").strip()
            (directory / "hang").touch()
            mount.process.send_signal(signal.SIGHUP)
            wait_until(lambda: ran.read_text() == 4 * "x\n", what="the command")
            shell = out("pgrep", "-P", keeper).strip()
        assert not os.path.exists(f"/proc/{keeper}"), "the keeper outlived the daemon"
        assert "is gone" not in mount.errors(), mount.errors()
        wait_until(lambda: not os.path.exists(f"/proc/{shell}"), what="the end of the command")


def holds(pid, secret):
    """It stands in the memory of that process."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            first, end = (int(address, 16) for address in span.split("-"))
            if not mode.startswith("rw"):
                continue
            memory.seek(first)
            with contextlib.suppress(OSError):
                if secret in memory.read(end - first):
                    return True
    return False


def the_password_is_in_no_memory_but_that_of_the_daemon(server):
    """Above all not in that of the one that finds it."""
    home = Home()
    config = home.dir / "mailfs.conf"
    config.write_text(f"[account work]\nimap = {server.url()}\ntls_ca = {server.ca}\n"
                      f"password = {PASSWORD}\n")
    config.chmod(0o600)
    with Mount("work", options=[f"config={config}"], home=home, secret=False) as mount:
        (mount.path / ".mailfs/ctl").write_text("reconnect\n")
        wait_until(lambda: mount.text(".mailfs/log").count(": online") == 2, what="a new login")
        helpers = out("pgrep", "-P", str(mount.process.pid)).split()
        equal(len(helpers), 3)
        equal([pid for pid in helpers if holds(pid, PASSWORD.encode())], [])
    home.remove()


# A sanitizer keeps copies, and only root may look.
if not SANITIZED and os.geteuid() == 0:
    case(the_password_is_in_no_memory_but_that_of_the_daemon)


@case
def the_kernel_lists_no_mount_when_it_was_ended_while_in_use(server):
    for _ in range(2):
        mount = Mount(server).start()
        with open(next((mount.path / "INBOX").iterdir()), "rb") as file:
            file.read(1)
            mount.process.terminate()
            equal(mount.process.wait(90), 0, mount.errors())
            equal(is_mounted(mount.path), False)
        assert "cannot" not in mount.errors(), mount.errors()
        mount.abandon()


@case
def without_the_watchdog_it_says_that_it_cannot_unmount(server):
    """Nobody else could: but with sandbox=off it can itself."""
    for option in ("auto", "off"):
        mount = Mount(server, options=[f"sandbox={option}"]).start()
        held = state(mount) != "none"
        pid = int(out("pgrep", "-P", str(mount.process.pid), "-f", "^mailfs-watchdog"))
        os.kill(pid, signal.SIGKILL)
        mount.process.terminate()
        equal(mount.process.wait(90), 0, mount.errors())
        equal(is_mounted(mount.path), held and option == "auto")
        if is_mounted(mount.path):
            assert re.search("cannot unmount|failed to unmount", mount.errors()), mount.errors()
            run("fusermount3", "-uz", mount.path)
        mount.abandon()


@case
def another_user_mounts_and_unmounts_by_fusermount(server):
    """Root needs no help of setuid programs: others do, and they would fail in the sandbox."""
    if os.geteuid() != 0 or os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
        raise Skip("users may not use /dev/fuse here")
    with scratch() as directory:
        directory.chmod(0o755)
        program = directory / "mailfs"
        shutil.copy(MAILFS, program)
        shutil.copy(server.ca, directory / "ca.pem")
        (directory / "ca.pem").chmod(0o644)
        home = Home()
        # Where reports of sanitizers go, too.
        for path in [home.dir, *home.dir.rglob("*")]:
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        mountpoint = directory / "m"
        mountpoint.mkdir()
        os.chown(mountpoint, NOBODY.pw_uid, NOBODY.pw_gid)
        as_nobody = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": [],
                     "env": home.environment, "cwd": "/"}
        options = f"password_file={home.secret},tls_ca={directory}/ca.pem"
        with subprocess.Popen([program, "-f", "-o", options, server.url(), mountpoint],
                              stderr=subprocess.PIPE, **as_nobody) as process:
            try:
                wait_until(lambda: is_mounted(mountpoint) or process.poll() is not None, 60)
                assert process.poll() is None, process.stderr.read()
                shown = run("cat", mountpoint / "INBOX" / "1.eml", **as_nobody).stdout
                equal(shown, mail("hello"))
                process.terminate()
                equal(process.wait(90), 0)
                equal(is_mounted(mountpoint), False)
            finally:
                process.kill()
                if is_mounted(mountpoint):
                    run("fusermount3", "-uz", mountpoint)
        home.check_reports()
        home.remove()


if __name__ == "__main__":
    main(fixture)
