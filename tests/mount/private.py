"""A mount namespace of our own, so that a test can have its own /etc/fstab, /usr/sbin and /dev."""

import ctypes
import os
import pathlib
import shutil
import stat
import tempfile

from harness import MAILFS, Skip, run

CLONE_NEWNS = 0x20000
MNT_DETACH = 2


def unshare():
    """What is mounted from here on nobody else sees. Before the first thread; only root can."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNS) != 0:
        raise Skip("no mount namespace without root")
    run("mount", "--make-rprivate", "/")
    _forget_others(libc)
    _open_fuse()


def _forget_others(libc):
    """The mounts of tests that run beside this one: neither may it take them for its own, nor keep
    them alive."""
    with open("/proc/self/mounts") as mounts:
        lines = [line.split() for line in mounts]
    for fields in reversed(lines):
        if fields[2] == "fuse.mailfs":
            libc.umount2(fields[1].replace("\\040", " ").encode(), MNT_DETACH)


def _open_fuse():
    """/dev/fuse is there for all users, as udev makes it; not in each container."""
    fuse = os.stat("/dev/fuse")
    if fuse.st_mode & 0o666 == 0o666:
        return
    with tempfile.TemporaryDirectory() as directory:
        run("mount", "-t", "tmpfs", "tmpfs", directory)
        try:
            node = os.path.join(directory, "fuse")
            os.mknod(node, 0o666 | stat.S_IFCHR, fuse.st_rdev)
            os.chmod(node, 0o666)
            cover("/dev/fuse", node)
        except PermissionError:
            pass
        finally:
            run("umount", "--lazy", directory)


def cover(path, by):
    """`by` is seen at `path` from now on."""
    run("mount", "--bind", by, path)


def own_dev():
    """Covers /dev by one in which sockets can be made. Only after unshare(): false without it."""
    if os.readlink("/proc/self/ns/mnt") == os.readlink(f"/proc/{os.getppid()}/ns/mnt"):
        return False
    directory = tempfile.mkdtemp(prefix="dev-")
    run("mount", "-t", "tmpfs", "tmpfs", directory)
    for name in ("fuse", "null", "zero", "full", "random", "urandom", "tty"):
        node = os.path.join(directory, name)
        pathlib.Path(node).touch()
        run("mount", "--bind", f"/dev/{name}", node)
    run("mount", "--move", directory, "/dev")
    return True


def install_helpers():
    """mount(8) finds the program, as a package would have installed it. Its path."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sbin-"))
    directory.chmod(0o755)
    program = directory / "mailfs"
    shutil.copy(MAILFS, program)  # a user need not be able to reach the build directory
    program.chmod(0o755)
    for folder in {os.path.realpath(path) for path in ("/sbin", "/usr/sbin")}:
        _with_helpers(directory / folder.replace("/", "-"), folder, program)
    return program


def _with_helpers(directory, folder, program):
    real = directory / "real"
    shown = directory / "shown"
    real.mkdir(parents=True)
    shown.mkdir()
    for path in (directory, shown):
        path.chmod(0o755)
    run("mount", "--bind", folder, real)
    for name in os.listdir(real):
        (shown / name).symlink_to(real / name)
    for name in ("mount.mailfs", "mount.fuse.mailfs"):
        (shown / name).unlink(missing_ok=True)
        (shown / name).symlink_to(program)
    cover(folder, shown)


def remove_covers(base):
    """All that is mounted on or from below `base`, so that it can be removed."""
    with open("/proc/self/mountinfo") as mounts:
        lines = [line.split() for line in mounts]
    for fields in reversed(lines):
        if fields[4].startswith(base) or fields[3].startswith(base):
            run("umount", "--lazy", "--no-canonicalize", fields[4], check=False)
