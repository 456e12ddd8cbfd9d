"""mount(8), umount(8) and fstab(5): by root and by users, and the exit codes of a helper."""

import contextlib
import os
import pathlib
import pwd
import subprocess
import tempfile

import private
from harness import (PASSWORD, Dovecot, Home, Mount, Skip, case, equal, is_message, is_mounted,
                     is_served, mail, main, remove_tree, run, wait_until)

BODY = mail("hello")
USER = "nobody"
SENDMAIL = os.environ.get("MAILFS_SENDMAIL", "mailfs-sendmail")


@contextlib.contextmanager
def fixture():
    try:
        private.unshare()
    except Skip:
        yield None
        return
    try:
        with Dovecot() as server:
            server.deliver([(BODY, 1600000000)])
            server.program = private.install_helpers()
            yield server
    finally:
        private.remove_covers(tempfile.gettempdir())


def needs_root(function):
    def wrap(server=None):
        if server is None:
            raise Skip("no mount namespace without root")
        return function(server)

    wrap.__name__ = function.__name__
    return wrap


class Table:
    """A home with a configuration file, and an fstab whose lines are for its mountpoint."""

    def __init__(self, server, options, kind="mailfs", owner="root"):
        self.home = Home()
        self.path = self.home.dir / "mail"
        self.path.mkdir()
        self.config = self.home.dir / "mailfs.conf"
        self.config.write_text(f"[account work]\nimap = {server.url()}\ntls_ca = {server.ca}\n"
                               f"password = {PASSWORD}\n")
        self.config.chmod(0o600)
        self.fstab = self.home.dir / "fstab"
        self.fstab.write_text(f"work {self.path} {kind} {options.format(config=self.config)} 0 0\n")
        self.owner = pwd.getpwnam(owner)
        for directory, _, names in os.walk(self.home.dir):
            for path in [directory] + [os.path.join(directory, name) for name in names]:
                os.chown(path, self.owner.pw_uid, self.owner.pw_gid)
        # mount(8) takes no table from a user but this one.
        private.cover("/etc/fstab", self.fstab)

    def call(self, *command, code=0):
        done = run(*command, check=False, env=self.home.environment, user=self.owner.pw_uid,
                   group=self.owner.pw_gid, extra_groups=[])
        equal(done.returncode, code, f"{command}: {done.stderr.decode()}")
        return done.stderr.decode()

    def unmount(self):
        """What makes events for watchers may be at work in it just now."""
        def is_done():
            done = run("umount", self.path, check=False, env=self.home.environment,
                       user=self.owner.pw_uid, group=self.owner.pw_gid, extra_groups=[])
            assert done.returncode == 0 or b"busy" in done.stderr, done.stderr
            return done.returncode == 0

        wait_until(is_done, 10, "unmounting")

    def daemons(self):
        done = subprocess.run(["pgrep", "-f", f"^/.*mount.* {self.path} "], check=False,
                              stdout=subprocess.PIPE)
        return done.stdout.split()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if is_mounted(self.path):
            subprocess.run(["umount", "--lazy", self.path], check=False)
        run("umount", "/etc/fstab")
        wait_until(lambda: not self.daemons(), 30, "the end of the daemon")
        if kind is None:
            self.home.check_reports()
        remove_tree(self.home.dir)


def is_there_and_goes(table):
    equal(is_served(table.path), True, "served when mount(8) ends")
    equal(run("cat", table.path / "INBOX/1.eml", user=table.owner.pw_uid,
              group=table.owner.pw_gid, extra_groups=[]).stdout, BODY)
    table.unmount()
    equal(is_mounted(table.path), False)


ALL_WORDS = ("noauto,nofail,_netdev,user,nosuid,nodev,noexec,rw,relatime,comment=mail,x-gvfs-hide,"
             "x-systemd.automount,x-systemd.idle-timeout=10min,config={config}")


@case
@needs_root
def root_mounts_a_line_of_fstab(server):
    with Table(server, ALL_WORDS) as table:
        equal(table.call("mount", table.path), "")
        is_there_and_goes(table)


@case
@needs_root
def the_type_may_be_that_of_fuse(server):
    with Table(server, "noauto,ro,config={config}", kind="fuse.mailfs") as table:
        table.call("mount", table.path)
        with open("/proc/self/mounts") as mounts:
            words = next(line.split()[3] for line in mounts if str(table.path) in line).split(",")
        equal(words[0], "ro")
        for word in ("nosuid", "nodev", "noexec", "default_permissions"):
            assert word in words, words
        is_there_and_goes(table)


@case
@needs_root
def a_user_mounts_what_fstab_allows(server):
    if os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
        raise Skip("users may not use /dev/fuse here")
    with Table(server, ALL_WORDS, owner=USER) as table:
        table.call("mount", table.path)
        owner = f"user_id={table.owner.pw_uid}"
        with open("/proc/self/mounts") as mounts:
            assert owner in next(line for line in mounts if str(table.path) in line)
        is_there_and_goes(table)


@case
@needs_root
def all_lines_are_mounted_once(server):
    with Table(server, "config={config}") as table:
        table.call("mount", "-a")
        table.call("mount", "-a")
        is_there_and_goes(table)


@case
@needs_root
def what_sends_mail_knows_whose_it_is(server):
    """The source in the list of mounts is the name of fstab, which says nothing of the user."""
    options = "smtp=smtps://localhost:1,send_delay=3600,config={config}"
    with Table(server, options) as table, Mount(server, user="bob", home=table.home, options=[
            "smtp=smtps://localhost:1", "send_delay=3600"]) as other:
        table.call("mount", table.path)
        with open(table.home.secret.with_name("new"), "wb+") as text:
            text.write(BODY)
            text.seek(0)
            done = run(SENDMAIL, "-i", "-f", "alice@localhost", "bob@example.org", stdin=text,
                       check=False)
        equal(done.returncode, 75, f"exit code ({done.stderr.decode()})")  # nobody takes it there
        equal(len([name for name in os.listdir(table.path / "outbox") if is_message(name)]), 1)
        equal([name for name in os.listdir(other / "outbox") if is_message(name)], [])
        table.unmount()


@case
@needs_root
def another_table_and_no_table(server):
    with Table(server, "noauto,config={config}") as table:
        table.call("mount", "--fstab", table.fstab, table.path)
        is_there_and_goes(table)
        table.call("mount", "-t", "mailfs", "-o", f"config={table.config}", "work", table.path)
        is_there_and_goes(table)


@case
@needs_root
def as_if_mounts_nothing(server):
    with Table(server, "noauto,config={config}") as table:
        table.call("mount", "--fake", table.path)
        equal(is_mounted(table.path), False)


@case
@needs_root
def the_exit_codes_are_those_of_mount(server):
    with Table(server, "noauto,poll=never,config={config}") as table:
        said = table.call("mount", table.path, code=1)
        assert said.startswith("mailfs: poll: 'never' is not a number of seconds"), said
        helper = pathlib.Path("/sbin/mount.mailfs")
        for arguments, code in (
                (["work"], 1),
                (["work", table.path, "-o", "config=/no/such/file"], 1),
                (["work", table.path, "-o", f"config={table.config},no_such_option"], 1),
                (["work", table.home.dir / "none", "-o", f"config={table.config}"], 32),
                (["imaps://alice@127.0.0.1:1", table.path, "-o",
                  f"password_file={table.home.secret}"], 32)):
            table.call(helper, *arguments, code=code)
        equal(is_mounted(table.path), False)


main(fixture)
