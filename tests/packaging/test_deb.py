"""The Debian package: built, looked at, installed, used, removed."""

import contextlib
import os
import pathlib
import re

from installed import SOURCE, files_below, needs, version
from harness import Dovecot, Mount, Skip, case, equal, mail, main, out, run, scratch

BODY = mail("hello")
STATUS = pathlib.Path("/var/lib/dpkg/status")
TOOLS = ("dpkg-buildpackage", "dh", "lintian", "meson")


class Package:
    """What packaging/build-deb makes in `directory`: without the tests of the build, and with what
    takes a compiler less time."""

    def __init__(self, directory):
        needs(*TOOLS)
        run(SOURCE / "packaging/build-deb", directory, timeout=2000,
            env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck noautodbgsym parallel=2",
                 "DEB_BUILD_PROFILES": "nocheck", "DEB_CFLAGS_APPEND": "-O1 -g0",
                 "XZ_OPT": "-1"})
        self.directory = directory
        self.changes = next(directory.glob("*.changes"))
        self.deb = next(directory.glob("mailfs_*.deb"))


class Root:
    """A root directory for dpkg that believes to have the packages of this machine."""

    def __init__(self, directory):
        if os.geteuid() != 0:
            raise Skip("only root can install")
        self.directory = directory
        admin = directory / "var/lib/dpkg"
        for name in ("info", "updates"):
            (admin / name).mkdir(parents=True)
        (admin / "status").write_text("".join(
            paragraph for paragraph in re.split(r"(?<=\n\n)", STATUS.read_text())
            if not paragraph.startswith("Package: mailfs\n")))

    def dpkg(self, *arguments):
        run("dpkg", "--root", self.directory, "--force-unsafe-io", *arguments)

    def files(self):
        return {name for name in files_below(self.directory)
                if not name.startswith(("/var/lib/dpkg/", "/var/log/"))}


@contextlib.contextmanager
def fixture():
    with scratch() as directory:
        try:
            yield Package(directory)
        except Skip as reason:
            yield reason


def with_package(function):
    def wrap(package):
        if isinstance(package, Skip):
            raise package
        return function(package)

    wrap.__name__ = function.__name__
    return wrap


@case
@with_package
def lintian_finds_nothing(package):
    done = run("lintian", "--display-info", "--fail-on", "error,warning,info", package.changes,
               check=False, timeout=1000)
    equal((done.returncode, done.stdout.decode()), (0, ""), done.stderr.decode())


@case
@with_package
def its_sources_are_those_of_the_tree(package):
    listed = out("tar", "-tf", next(package.directory.glob("*.orig.tar.*"))).splitlines()
    names = {name.split("/", 1)[1] for name in listed if not name.endswith("/")}
    for name in ("meson.build", "LICENSE", "src/main.c", "packaging/build-deb", "tests/run"):
        assert name in names, name
    for name in names:
        assert not name.startswith((".git/", "build", "debian/")), name
    assert all(name.startswith(f"mailfs-{version()}/") for name in listed), listed


@case
@with_package
def it_is_installed_used_and_removed(package):
    with scratch() as directory, Dovecot() as server:
        root = Root(directory)
        before = root.files()
        root.dpkg("--install", package.deb)
        program = root.directory / "usr/bin/mailfs"
        equal(out(program, "--version").split()[:2], ["mailfs", version()])
        equal((root.directory / "usr/sbin/mount.mailfs").resolve(), program)
        for name in ("/usr/share/zsh/vendor-completions/_mailfs", "/usr/share/man/man1/mailfs.1.gz",
                     "/usr/share/doc/mailfs/copyright", "/usr/lib/systemd/user/mailfs@.service"):
            assert name in root.files(), name
        server.deliver([(BODY, 1600000000)])
        mount = Mount(server)
        mount.command[0] = program
        with mount:
            equal(run("cat", mount / "INBOX/1.eml").stdout, BODY)
        root.dpkg("--remove", "mailfs")
        root.dpkg("--purge", "mailfs")
        equal(root.files(), before, "left behind")
        equal(list((root.directory / "var/lib/dpkg/info").glob("mailfs*")), [])


if __name__ == "__main__":
    main(fixture)
