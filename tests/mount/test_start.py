"""Starting, failing to start, secrets, TLS, background, and what a dead daemon leaves."""

import contextlib
import glob
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import harness
from harness import (MAILFS, PASSWORD, Dovecot, Home, Mount, case, equal, fingerprint,
                     free_ports, has_ipv6, is_mounted, mail, main, out, run, scratch, unmount,
                     wait_until, within)
from scripted import Folder, ScriptedServer

BODY = mail("hello")


@contextlib.contextmanager
def fixture():
    with Dovecot() as server:
        server.deliver([(BODY, 1600000000)])
        yield server


def start(home, *arguments, stdin=subprocess.DEVNULL, timeout=60, environment=None):
    """Runs mailfs until the started process ends."""
    return run(MAILFS, *arguments, check=False, stdin=stdin, timeout=timeout,
               env={**home.environment, **(environment or {})})


def fails(code, words, url, *options, arguments=(), prepare=None, foreground=True):
    """mailfs refuses to start with this exit code and one line that has the words."""
    home = Home()
    with scratch() as directory:
        mountpoint = directory / "m"
        mountpoint.mkdir()
        if prepare:
            prepare(home, mountpoint)
        given = [f"password_file={home.secret}", *options]
        command = ["-f"] if foreground else []
        command += ["-o", ",".join(given), url, str(mountpoint), *arguments]
        try:
            done = start(home, *command)
        finally:
            if is_mounted(mountpoint):
                subprocess.run(["fusermount3", "-uz", mountpoint], check=False)
        text = done.stderr.decode(errors="replace")
        equal(done.returncode, code, f"exit code ({text})")
        assert PASSWORD not in text, text
        lines = [line for line in text.splitlines() if line.startswith("mailfs: ")]
        assert lines and re.search(words, text, re.I), text
        assert not is_mounted(mountpoint)
        home.check_reports()
    home.remove()
    return text


def works(server, *options, url=None, home=None, mount=None, password_file=True):
    """Mounts in the foreground and reads a message."""
    mount = mount or Mount(url or server.url(), home=home, options=options)
    if not password_file:
        mount.command = [c.replace(f"password_file={mount.home.secret},", "")
                         for c in mount.command]
    with mount:
        equal(run("cat", mount.path / "INBOX" / "1.eml").stdout, BODY)


# --- the command line ---

@case
def a_wrong_command_line_is_64(server):
    home = Home()
    for arguments in ([], ["imaps://a@localhost"], ["imaps://a@localhost", "a", "b"],
                      ["--no-such-option", "imaps://a@localhost", "/mnt"],
                      ["-o", "no_such_option", "imaps://a@localhost", "/mnt"],
                      ["-o", "poll=", "imaps://a@localhost", "/mnt"],
                      ["ftp://a@localhost", "/mnt"], ["imaps://localhost", "/mnt"],
                      ["imaps://a@localhost:0", "/mnt"], ["imaps://a@localhost:70000", "/mnt"],
                      ["imaps://a@localhost/x", "/mnt"]):
        done = start(home, *arguments)
        assert done.returncode in (64, 78), (arguments, done)
        assert done.stderr.startswith(b"mailfs: "), (arguments, done)
        equal(done.stdout, b"")
    home.check_reports()
    home.remove()


@case
def a_password_in_the_url_is_refused_and_not_repeated(server):
    text = fails(64, "password", f"imaps://alice:s3same@localhost:{server.tls_port}")
    assert "s3same" not in text, text


@case
def help_and_version_go_to_stdout(server):
    home = Home()
    shown = start(home, "--help")
    equal((shown.returncode, shown.stderr), (0, b""))
    assert b"MOUNTPOINT" in shown.stdout and b"tls_fingerprint" in shown.stdout.replace(b"-", b"_")
    equal(start(home, "-h").stdout, shown.stdout)
    for flag in ("-V", "--version"):
        done = start(home, flag)
        equal(done.returncode, 0)
        assert re.match(rb"mailfs \d+\.\d+", done.stdout), done.stdout
    home.remove()


@case
def long_options_are_mount_options(server):
    home = Home()
    mount = Mount(server, home=home)
    mount.command = [MAILFS, "-f", f"--password-file={home.secret}", f"--tls-ca={server.ca}",
                     "--names=uid", "--poll=5", server.url(), str(mount.path)]
    works(server, mount=mount)
    home.remove()


@case
def options_of_mount_8_are_swallowed(server):
    works(server, f"tls_ca={server.ca}", "ro", "noauto", "user", "_netdev", "nofail",
          "x-systemd.automount")


# --- the server cannot be used ---

@case
def an_unknown_host_is_68(server):
    fails(68, "no-such-host.invalid", "imaps://alice@no-such-host.invalid")


@case
def a_refused_connection_is_69(server):
    port = free_ports(1)[0]
    fails(69, "refused", f"imaps://alice@127.0.0.1:{port}")


@case
def a_silent_server_is_75(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for url, more in ((f"imaps://alice@127.0.0.1:{port}", []),
                          (f"imap://alice@127.0.0.1:{port}", ["tls=off"])):
            within(15, fails, 75, "127.0.0.1", url, "timeout=1", *more)


@case
def an_unknown_authority_is_76(server):
    fails(76, "certificate", server.url())


@case
def a_certificate_for_another_name_is_76(server):
    with Dovecot(san="DNS:other.example,IP:127.0.0.9") as other:
        for host in ("localhost", "127.0.0.1"):
            fails(76, "certificate|name|host", other.url(host=host), f"tls_ca={other.ca}")


@case
def an_expired_certificate_is_76(server):
    with Dovecot(days=-1) as other:
        fails(76, "expired|valid", other.url(), f"tls_ca={other.ca}")


@case
def the_right_fingerprint_needs_no_authority(server):
    works(server, f"tls_fingerprint={fingerprint(server.cert)}")


@case
def another_fingerprint_is_76(server):
    wrong = "SHA256:" + "0" * 64
    fails(76, "fingerprint", server.url(), f"tls_fingerprint={wrong}")
    fails(76, "fingerprint", server.url(), f"tls_fingerprint={wrong}", f"tls_ca={server.ca}")


@case
def names_and_addresses_are_verified_alike(server):
    hosts = ["localhost", "127.0.0.1"] + (["::1"] if has_ipv6() else [])
    for host in hosts:
        works(server, f"tls_ca={server.ca}", url=server.url(host=host))


@case
def starttls_is_used_and_required(server):
    works(server, f"tls_ca={server.ca}", url=server.url(tls=False))
    fails(76, "certificate", server.url(tls=False))
    with Dovecot(tls=False) as plain:
        fails(76, "STARTTLS|TLS", plain.url(tls=False))


@case
def cleartext_must_be_asked_for(server):
    works(server, "tls=off", url=server.url(tls=False))


@case
def tls_towards_a_server_that_talks_cleartext_is_76(server):
    fails(76, "TLS|handshake|certificate", f"imaps://alice@127.0.0.1:{server.port}",
          f"tls_ca={server.ca}", "timeout=5")


@case
def nothing_is_sent_before_tls_when_the_server_greets_with_preauth(server):
    greeting = b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome\r\n"
    with ScriptedServer({b"INBOX": Folder()}, greeting=greeting) as script:
        fails(76, "PREAUTH|TLS", script.url(), "timeout=5")
        equal(script.seen("LIST|SELECT|EXAMINE"), [])


@case
def a_refused_login_is_77(server):
    def other(home, mountpoint):
        home.secret.write_text("wrong-password\n")
    text = fails(77, "login|authentication|password", server.url(), f"tls_ca={server.ca}",
                 prepare=other)
    assert "wrong-password" not in text


@case
def login_disabled_is_obeyed(server):
    with ScriptedServer({}, capability="IMAP4rev1 LOGINDISABLED") as script:
        fails(77, "login", script.url(), "tls=off", "timeout=5")


# --- the mountpoint ---

@case
def a_missing_mountpoint_is_73(server):
    fails(73, "m", server.url(), f"tls_ca={server.ca}",
          prepare=lambda home, mountpoint: mountpoint.rmdir())


@case
def a_file_as_mountpoint_is_73(server):
    def prepare(home, mountpoint):
        mountpoint.rmdir()
        mountpoint.write_text("")
    fails(73, "m", server.url(), f"tls_ca={server.ca}", prepare=prepare)


@case
def a_full_mountpoint_is_73_unless_nonempty(server):
    fails(73, "empty", server.url(), f"tls_ca={server.ca}",
          prepare=lambda home, mountpoint: (mountpoint / "file").write_text("mine"))
    mount = Mount(server, options=["nonempty"])
    (mount.path / "file").write_text("mine")
    with mount:
        assert "file" not in os.listdir(mount.path)
        mount.process.terminate()
        mount.process.wait(20)
        equal(os.listdir(mount.path), ["file"])
        (mount.path / "file").unlink()


@case
def a_second_daemon_for_the_account_is_75(server):
    home = Home()
    with Mount(server, home=home):
        mount = Mount(server, home=home)
        done = start(home, *mount.command[1:])
        mount.abandon()
        equal(done.returncode, 75, f"exit code ({done.stderr})")
    home.remove()


@case
def a_cache_at_a_relative_path_is_78(server):
    home = Home()
    mount = Mount(server, home=home)
    for changed in ({"XDG_CACHE_HOME": "here"}, {"XDG_CACHE_HOME": "", "HOME": "here"}):
        done = start(home, *mount.command[1:], environment=changed)
        equal((done.returncode, done.stderr),
              (78, b"mailfs: HOME or XDG_CACHE_HOME is not an absolute path\n"))
    mount.abandon()
    home.remove()


# --- secrets ---

@case
def a_password_comes_from_a_command(server):
    home = Home()
    home.secret.rename(home.dir / "elsewhere")
    works(server, f"tls_ca={server.ca}", f"password_command=cat {home.dir}/elsewhere", home=home,
          password_file=False)
    home.remove()


@case
def a_command_that_fails_is_78(server):
    home = Home()
    mount = Mount(server.url(), home=home,
                  options=[f"tls_ca={server.ca}", "password_command=exit 3"])
    command = [c.replace(f"password_file={home.secret},", "") for c in mount.command[1:]]
    done = start(home, *command)
    mount.abandon()
    equal(done.returncode, 78, f"exit code ({done.stderr})")
    home.remove()


@case
def ending_it_ends_the_password_command(server):
    home = Home()
    file = home.dir / "pid"
    options = f"tls_ca={server.ca},password_command=trap '' TERM; echo $$ >{file}; sleep 60"
    for number in (signal.SIGINT, signal.SIGTERM):
        file.write_text("")
        process = subprocess.Popen([MAILFS, "-f", "-o", options, server.url(), home.reports],
                                   env=home.environment, stdin=subprocess.DEVNULL)
        pid = wait_until(lambda: file.read_text().strip(), 10, "the command")
        process.send_signal(number)
        equal(process.wait(10), -number)
        equal(os.path.exists(f"/proc/{pid}"), False, "the command lives")
    home.remove()


@case
def a_readable_password_file_is_78(server):
    fails(78, "secret", server.url(), f"tls_ca={server.ca}",
          prepare=lambda home, mountpoint: home.secret.chmod(0o644))


@case
def a_missing_password_file_is_78(server):
    fails(78, "secret", server.url(), f"tls_ca={server.ca}",
          prepare=lambda home, mountpoint: home.secret.unlink())


@case
def a_password_comes_from_netrc(server):
    home = Home()
    home.secret.unlink()
    netrc = home.dir / ".netrc"
    netrc.write_text("machine other login alice password no\n"
                     "machine localhost login bob password no\n"
                     f"machine localhost\n  login alice\n  password {PASSWORD}\n")
    netrc.chmod(0o600)
    works(server, f"tls_ca={server.ca}", home=home, password_file=False)
    netrc.chmod(0o644)
    mount = Mount(server.url(), home=home, options=[f"tls_ca={server.ca}"])
    command = [c.replace(f"password_file={home.secret},", "") for c in mount.command[1:]]
    done = start(home, *command)
    mount.abandon()
    equal(done.returncode, 78, f"exit code ({done.stderr})")
    home.remove()


@case
def no_password_at_all_is_78(server):
    home = Home()
    mount = Mount(server.url(), home=home, options=[f"tls_ca={server.ca}"])
    command = [c.replace(f"password_file={home.secret},", "") for c in mount.command[1:]]
    done = start(home, *command)
    mount.abandon()
    equal(done.returncode, 78, f"exit code ({done.stderr})")
    home.remove()


def appears_in_processes(word, group):
    """The files of /proc that show the word, of this session's processes."""
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if os.getsid(int(path[6:])) != group:
                continue
            for name in ("cmdline", "environ"):
                if word.encode() in pathlib.Path(path, name).read_bytes():
                    found.append(f"{path}/{name}")
        except (OSError, ProcessLookupError):
            continue
    return found


@case
def secrets_stand_in_no_argument_environment_log_or_trace(server):
    home = Home()
    mount = Mount(server, home=home, arguments=["-d"])
    with mount:
        equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
        equal(appears_in_processes(PASSWORD, mount.process.pid), [])
        assert PASSWORD not in mount.text(".mailfs/log")
        assert PASSWORD not in mount.text(".mailfs/status")
    trace = mount.stderr.read_text(errors="replace")
    assert "LOGIN" in trace or "AUTHENTICATE" in trace, trace
    assert PASSWORD not in trace
    for path in home.cache.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
    home.remove()


@case
def the_cache_is_private(server):
    home = Home()
    with Mount(server, home=home) as mount:
        run("cat", mount / "INBOX/1.eml")
        accounts = list((home.cache / "mailfs").iterdir())
        equal(len(accounts), 1)
        equal(accounts[0].stat().st_mode & 0o777, 0o700)
    home.remove()


# --- life ---

@case
def the_parent_exits_when_ls_works(server):
    home = Home()
    mount = Mount(server, home=home)
    harness._mounts.append(mount)
    command = [c for c in mount.command[1:] if c != "-f"]
    done = start(home, *command)
    equal(done.returncode, 0, f"exit code ({done.stderr})")
    equal((done.stdout, done.stderr), (b"", b""))
    equal(os.listdir(mount.path), ["INBOX"])
    equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
    daemons = [int(p) for p in out("pgrep", "-f", "-x", f".*{mount.path}").split()]
    equal(len(daemons), 1, "daemons")
    pid = daemons[0]
    assert os.getsid(pid) != os.getsid(0)
    if os.geteuid() == 0:  # the daemon lets nobody else look
        equal(os.readlink(f"/proc/{pid}/cwd"), "/")
    unmount(mount.path)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 30, "the daemon's end")
    home.check_reports()
    home.remove()


@case
def delay_connect_mounts_before_the_login(server):
    port = free_ports(1)[0]
    mount = Mount(f"imaps://alice@127.0.0.1:{port}", options=["delay_connect", "timeout=3"])
    with mount:
        done = run("ls", mount.path, check=False, timeout=30)
        status = mount.text(".mailfs/status")
        assert "127.0.0.1" in status, status
        assert done.returncode in (0, 2)


@case
def sigterm_and_sigint_unmount_at_once(server):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Mount(server) as mount:
            equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
            mount.process.send_signal(number)
            mount.ended(3)


@case
def it_can_be_ended_while_it_is_being_mounted(server):
    """Each time a bit later: the helpers are just being started."""
    mount = Mount(server)
    for number in range(10):
        mount.spawn()
        deadline = time.monotonic() + 60
        while not is_mounted(mount.path):
            equal((mount.process.poll(), time.monotonic() < deadline), (None, True), mount.errors())
        time.sleep(number / 2000)
        mount.stop()
    mount.abandon()


@case
def a_stale_mountpoint_is_cleaned_at_the_next_start(server):
    home = Home()
    mount = Mount(server, home=home)
    mount.start()
    mount.kill()
    assert is_mounted(mount.path)
    with mount:
        equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
    home.remove()


@case
def starting_leaves_no_process_and_no_mount(server):
    left = subprocess.run(["pgrep", "-x", "mailfs"], stdout=subprocess.PIPE, check=False).stdout
    for pid in left.split():
        command = ""
        # Those of other tests come and go.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = pathlib.Path(f"/proc/{pid.decode()}/cmdline").read_bytes().decode()
        assert "mailfs-mount-" not in command or server.url() not in command, command


main(fixture)
