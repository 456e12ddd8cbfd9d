"""meson install: what is where, and that it is well-formed."""

import contextlib
import fnmatch
import json
import os
import re

from installed import BUILD, SOURCE, files_below, needs, version
from harness import MAILFS, case, equal, main, out, run, scratch

PREFIXED = {
    "bin/mailfs",
    "bin/mailfs-sendmail",
    "sbin/mount.mailfs",
    "sbin/mount.fuse.mailfs",
    "lib/systemd/user/mailfs@.service",
    "share/bash-completion/completions/mailfs",
    "share/zsh/site-functions/_mailfs",
    "share/fish/vendor_completions.d/mailfs.fish",
    "share/metainfo/org.mailfs.mailfs.metainfo.xml",
    "share/licenses/mailfs/LICENSE",
    "share/doc/mailfs/NEWS",
    "share/doc/mailfs/README.md",
    "share/doc/mailfs/examples/mailfs.conf",
    "share/doc/mailfs/examples/fstab",
}


class Tree:
    """What "meson install" makes; `prefix` is below `root`."""

    def __init__(self, root):
        self.root = root
        options = json.loads(out("meson", "introspect", "--buildoptions", BUILD))
        prefix = next(o["value"] for o in options if o["name"] == "prefix")
        run("meson", "install", "--no-rebuild", "-C", BUILD, "--destdir", root, timeout=200)
        self.prefix = root / prefix.lstrip("/")
        self.bin = f"{prefix}/bin"

    def files(self):
        return {name.lstrip("/") for name in files_below(self.prefix)}


@contextlib.contextmanager
def fixture():
    with scratch() as directory:
        yield Tree(directory)


@case
def everything_is_where_distributions_look_for_it(tree):
    files = tree.files()
    manuals = {name for name in files if name.startswith("share/man/")}
    equal(sorted(files - manuals), sorted(PREFIXED))
    pages = {path.name for path in (SOURCE / "man").glob("*.[1-8]")}
    equal({os.path.basename(name) for name in manuals}, pages | {"mount.fuse.mailfs.8"})
    for name in manuals:
        assert re.fullmatch(r"share/man/man([1-8])/[^/]+\.\1", name), name
    equal(len(files_below(tree.root)), len(files))


@case
def the_manual_pages_can_be_read(tree):
    """Also those that are another one by another name."""
    needs("mandoc")
    for path in (tree.prefix / "share/man").rglob("*.[1-8]"):
        run("mandoc", "-T", "lint", "-W", "warning", path)


@case
def the_helpers_of_mount_lead_to_the_program(tree):
    for name in ("mount.mailfs", "mount.fuse.mailfs"):
        link = tree.prefix / "sbin" / name
        assert not os.path.isabs(os.readlink(link)), link
        equal(link.resolve(), tree.prefix / "bin/mailfs")


@case
def the_program_is_bound_when_it_starts(tree):
    needs("readelf")
    flags = out("readelf", "--dynamic", tree.prefix / "bin/mailfs")
    assert re.search(r"\(FLAGS_1\) +Flags: NOW", flags), flags
    assert "GNU_RELRO" in out("readelf", "--segments", "--wide", tree.prefix / "bin/mailfs")


@case
def the_unit_is_well_formed(tree):
    text = (tree.prefix / "lib/systemd/user/mailfs@.service").read_text()
    assert "@" not in re.sub(r"mailfs@", "", text), text
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    equal(settings["Type"], "notify")
    equal(settings["ExecStart"], f"{tree.bin}/mailfs -f %i %h/mail/%i")
    equal(settings["ExecReload"], "kill -HUP $MAINPID")
    # They would take fusermount3 its privileges: nothing could be mounted.
    for name in settings:
        assert not re.match("NoNewPriv|SystemCall|Restrict[^a]|Protect|Private|Capab|Lock|Memory",
                            name) or name.startswith("RestartPrevent"), name
    needs("systemd-analyze")
    with scratch() as directory:
        # The program is not installed where the unit says.
        unit = directory / "mailfs@work.service"
        unit.write_text(text.replace(f"{tree.bin}/mailfs", str(tree.prefix / "bin/mailfs")))
        done = run("systemd-analyze", "verify", "--user", "--man=no", unit, check=False,
                   env={**os.environ, "XDG_RUNTIME_DIR": str(directory), "HOME": str(directory)})
        said = [line for line in done.stderr.decode().splitlines() if "mailfs" in line]
        equal((done.returncode, said), (0, []), done.stderr.decode())


@case
def the_metainfo_is_valid(tree):
    needs("appstreamcli")
    run("appstreamcli", "validate", "--no-net", "--pedantic", "--strict",
        tree.prefix / "share/metainfo/org.mailfs.mailfs.metainfo.xml")


@case
def the_examples_are_understood(tree):
    examples = tree.prefix / "share/doc/mailfs/examples"
    conf = examples / "mailfs.conf"
    equal(out(MAILFS, "-c", conf, "--list-accounts").split(), ["work", "old"])
    for name in ("work", "old"):
        assert f"[account {name}]" in out(MAILFS, "-c", conf, "--print-config", name)
    lines = [line.split() for line in (examples / "fstab").read_text().splitlines()
             if line and not line.startswith("#")]
    equal([line[2] for line in lines], ["mailfs"] * len(lines))
    assert lines
    for account, directory, _, options, _, _ in lines:
        options = re.sub(r"config=[^,]*,?", "", options) + f",config={conf}"
        run(tree.prefix / "sbin/mount.mailfs", account, directory, "-f", "-o", options)


def packaged_version(name, pattern):
    return re.search(pattern, (SOURCE / "packaging" / name).read_text(), re.M)[1]


@case
def all_packages_have_the_version_of_the_project(tree):
    for name, pattern in (("debian/changelog", r"\A\w+ \((.*)-\d+\)"),
                          ("mailfs.spec", r"^Version: +(.*)$"), ("PKGBUILD", r"^pkgver=(.*)$"),
                          ("org.mailfs.mailfs.metainfo.xml", r'<release version="([^"]*)"'),
                          ("NEWS", r"\Amailfs (\S+)")):
        equal(packaged_version(name, pattern), version(), name)


@case
def the_spec_is_valid_and_lists_what_is_installed(tree):
    needs("rpmspec")
    text = out("rpmspec", "-P", "-D", "_userunitdir /usr/lib/systemd/user", "-D",
               "_metainfodir /usr/share/metainfo", SOURCE / "packaging/mailfs.spec")
    listed = re.search(r"^%files\n(.*?)^%changelog", text, re.M | re.S)[1].split("\n")
    patterns = [line.split()[-1] for line in listed if line.strip()]
    files = {f"/usr/{name}" for name in tree.files()}
    for pattern in patterns:
        if not pattern.endswith("/"):
            assert fnmatch.filter(files, pattern), f"{pattern} is not installed"
    for name in files:
        assert any(fnmatch.fnmatch(name, pattern) or
                   pattern.endswith("/") and name.startswith(pattern) for pattern in patterns), \
            f"{name} is not in the spec"


@case
def the_recipe_of_arch_is_shell(tree):
    recipe = SOURCE / "packaging/PKGBUILD"
    run("bash", "-n", recipe)
    # What is sourced must do nothing but define.
    said = out("bash", "-euc", '. "$1"; echo "$pkgname ${depends[*]}"; declare -F', "-", recipe)
    assert said.startswith("mailfs fuse3 "), said
    for name in ("build", "check", "package"):
        assert f"declare -f {name}" in said, said


if __name__ == "__main__":
    main(fixture)
