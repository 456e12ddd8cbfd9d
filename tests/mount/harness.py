"""What the mount tests share: cases with TAP output, a mounted mailfs, tools with deadlines.

A test file defines functions with @case and ends in main(). MAILFS names the built program. Its
arguments are names of cases; 2/3 means the second third of all, for they may run side by side.
"""

import concurrent.futures
import contextlib
import errno
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True

from dovecot import (PASSWORD, Dovecot, die_with_parent, fingerprint, free_ports,  # noqa: E402,F401
                     has_ipv6, ok, quote, utf7)

MAILFS = os.environ.get("MAILFS", "mailfs")
SANITIZED = bool(os.environ.get("MAILFS_SANITIZED"))
CASE_SECONDS = int(os.environ.get("MAILFS_CASE_SECONDS", "240"))
SKIP = 77
PAUSE = 0.02  # seconds between two looks
SLOW = 3  # deadlines are that much longer: other tests run at the same time

_cases = []
_mounts = []
_last_words = []  # (URL, stderr) of those that are mounted no more


def case(function):
    """A test case; its name is the function's, with spaces."""
    _cases.append(function)
    return function


class Skip(Exception):
    """This machine cannot run the case; the text says why."""


def main(fixture=contextlib.nullcontext):
    """Runs the cases in order; each gets what `with fixture()` yields, unless that is None."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # A shell's background jobs are deaf to it, and so would be what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not os.path.exists("/dev/fuse"):
        print("1..0 # SKIP no /dev/fuse here")
        sys.exit(SKIP)
    wanted = _wanted(sys.argv[1:])
    print(f"1..{len(wanted)}", flush=True)
    failed = 0
    with temporary_files(), fixture() as shared:
        for number, function in enumerate(wanted, 1):
            failed += not _run_case(number, function, shared)
    sys.exit(1 if failed else 0)


def _wanted(arguments):
    part = re.fullmatch(r"(\d+)/(\d+)", " ".join(arguments))
    if part:
        return _cases[int(part[1]) - 1::int(part[2])]
    return [c for c in _cases if not arguments or c.__name__ in arguments]


def abandon_mounts():
    """Those that are still mounted, whatever state they are in."""
    for mount in list(_mounts):
        mount.abandon()


@contextlib.contextmanager
def temporary_files():
    """All that is made meanwhile is in one directory, which goes in the end, as do mounts."""
    base = tempfile.tempdir = tempfile.mkdtemp(prefix="mailfs-tests-")
    os.chmod(base, 0o711)  # mail processes of Dovecot have a user of their own
    try:
        yield
    finally:
        abandon_mounts()
        with open("/proc/self/mounts") as mounts:
            left = [line for line in mounts if line.split()[1].startswith(base + "/")]
        if left:
            print("# still mounted: " + "".join(left))
            sys.exit(1)
        remove_tree(base)


def remove_tree(path):
    """Also directories that are read-only, such as a mount's copies."""
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _run_case(number, function, shared):
    name = function.__name__.replace("_", " ")
    late = threading.Event()
    others = list(_mounts)
    _last_words.clear()

    def give_up():
        # A hung system call on the mount ends when its daemon dies.
        late.set()
        for mount in list(_mounts):
            mount.kill()

    watchdog = threading.Timer(CASE_SECONDS, give_up)
    watchdog.daemon = True
    watchdog.start()
    started = time.monotonic()
    try:
        function(shared) if shared is not None else function()
        if late.is_set():
            raise AssertionError(f"took over {CASE_SECONDS} s")
        print(f"ok {number} - {name} # {time.monotonic() - started:.1f} s", flush=True)
        return True
    except Skip as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        return True
    except Exception:
        text = traceback.format_exc()
        for url, errors in _last_words + [(mount.url, mount.errors()) for mount in _mounts]:
            text += f"\nstderr of {url}:\n{errors}"
        print(f"not ok {number} - {name}", flush=True)
        print(f"{name}:\n{text}", file=sys.stderr, flush=True)
        return False
    finally:
        watchdog.cancel()
        for mount in [m for m in _mounts if m not in others]:
            mount.abandon()


def start_error(mount):
    """What is said by one that does not come about."""
    try:
        mount.start()
    except AssertionError as error:
        return str(error)
    else:
        raise AssertionError("it is mounted")
    finally:
        mount.abandon()


def wait_until(condition, timeout=20, what="condition"):
    """The first true value of `condition()`. What was listed may be gone when it is looked at."""
    timeout *= SLOW
    deadline = time.monotonic() + timeout
    while True:
        missing = None
        try:
            value = condition()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            value, missing = None, error
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s") from missing
        time.sleep(PAUSE)


def side_by_side(function, items):
    """`function(item)` for each of them, five at a time: they wait more than they work."""
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for done in [pool.submit(function, item) for item in items]:
            done.result()


def run(*command, timeout=60, check=True, **options):
    """Runs a tool; its CompletedProcess has bytes. A hung one is killed and fails."""
    options.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen([os.fspath(c) for c in command], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, **options)
    try:
        out, err = process.communicate(timeout=timeout * SLOW)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"{command} hung for {timeout} s") from None
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}: {err.decode(errors='replace')}")
    return done


def out(*command, **options):
    """What a tool prints, as text."""
    return run(*command, **options).stdout.decode(errors="surrogateescape")


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {_short(got)}, wanted {_short(wanted)}")


def _short(value):
    text = repr(value)
    return text if len(text) < 800 else text[:400] + " ... " + text[-300:]


def within(seconds, function, *args, **kwargs):
    """Runs `function`, which must come back in that time, or what a machine takes that is busy with
    other tests: so what it must not wait for has to take much longer."""
    started = time.monotonic()
    value = function(*args, **kwargs)
    took = time.monotonic() - started
    if took > seconds + 10:
        raise AssertionError(f"took {took:.1f} s instead of {seconds} s")
    return value


@contextlib.contextmanager
def scratch():
    """A private directory."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="mailfs-test-"))
    try:
        yield path
    finally:
        remove_tree(path)


def is_mounted(path):
    """Also true for the stale mount of a dead daemon."""
    name = os.fspath(path).replace(" ", "\\040")
    with open("/proc/self/mounts") as mounts:
        return any(line.split()[1] == name for line in mounts)


def is_served(path):
    """Mounted, and its daemon lives: the kernel answers stat by itself, but not statvfs."""
    try:
        os.statvfs(path)
    except OSError:
        return False
    return is_mounted(path)


def unmount(path):
    """Without force."""
    def is_done():
        done = run("fusermount3", "-u", path, check=False)
        assert done.returncode == 0 or b"busy" in done.stderr, done.stderr
        return done.returncode == 0

    # The process that makes events for watchers may be at work in it just now.
    wait_until(is_done, 10, "unmounting")


def is_message(name):
    return name.endswith(".eml")


class Home:
    """A private $HOME with cache and state directories, and a password file."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mailfs-home-"))
        self.cache = self.dir / "cache"
        self.secret = self.dir / "secret"
        self.secret.write_text(PASSWORD + "\n")
        self.secret.chmod(0o600)
        self.reports = self.dir / "reports"
        self.reports.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.dir), "LANG": "C.UTF-8",
            # GLib's own allocator hides its locks from the thread sanitizer.
            "G_SLICE": "always-malloc",
            "XDG_CACHE_HOME": str(self.cache), "XDG_STATE_HOME": str(self.dir / "state"),
            "XDG_CONFIG_HOME": str(self.dir / "config"), "XDG_RUNTIME_DIR": str(self.dir),
            **self._sanitizers()}

    def _sanitizers(self):
        log = f"log_path={self.reports}/report:exitcode=99"
        suppress = pathlib.Path(__file__).resolve().parents[1] / "tsan.supp"
        return {"ASAN_OPTIONS": log + ":detect_leaks=1", "UBSAN_OPTIONS": log +
                ":print_stacktrace=1", "TSAN_OPTIONS": log + f":suppressions={suppress}"}

    def check_reports(self):
        """Fails if a sanitizer said anything."""
        for report in self.reports.iterdir():
            text = report.read_text(errors="replace")
            report.unlink()
            raise AssertionError("sanitizer:\n" + text)

    def remove(self):
        remove_tree(self.dir)


class Mount:
    """A mounted mailfs: `with Mount(server) as m: os.listdir(m / "INBOX")`.

    server    a Dovecot (TLS, its CA, its password), or a URL
    options   for -o
    home      to mount again with the same cache; without one, a fresh home
    arguments further ones, e.g. ["-d"]
    secret    False: no password_file, as the options say where what it logs in with comes from
    """

    def __init__(self, server, options=(), user="alice", home=None, arguments=(), ready=60,
                 secret=True):
        self.url = server if isinstance(server, str) else server.url(user)
        self.owns_home = home is None
        self.home = home or Home()
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="mailfs-mount-"))
        self.ready = ready
        options = [*([f"password_file={self.home.secret}"] if secret else []), *options]
        if not isinstance(server, str):
            options.append(f"tls_ca={server.ca}")
        self.command = [MAILFS, "-f", *arguments, "-o", ",".join(options), self.url,
                        str(self.path)]
        self.process = None
        self.stderr = self.home.dir / f"stderr-{self.path.name}"

    def spawn(self):
        """Without a wait until it is mounted."""
        if self not in _mounts:
            _mounts.append(self)
        with open(self.stderr, "wb") as errors:
            self.process = subprocess.Popen(self.command, env=self.home.environment,
                                            stdin=subprocess.DEVNULL, stdout=errors,
                                            stderr=errors, start_new_session=True,
                                            preexec_fn=die_with_parent)

    def start(self):
        self.spawn()
        wait_until(lambda: is_served(self.path) or self.process.poll() is not None, self.ready,
                   "mounting")
        if self.process.poll() is not None:
            raise AssertionError(f"mailfs ended with {self.process.returncode}: {self.errors()}")
        return self

    def errors(self):
        text = self.stderr.read_text(errors="replace") if self.stderr.exists() else ""
        return text[-6000:]

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds=10):
        """SIGTERM: unmounts, exits 0, says nothing to a sanitizer."""
        self.process.terminate()
        return self.ended(seconds)

    def unmount(self, seconds=10):
        unmount(self.path)
        return self.ended(seconds)

    def ended(self, seconds=10):
        try:
            status = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"mailfs still runs after {seconds} s") from None
        self.home.check_reports()
        equal(status, 0, "exit status of mailfs: " + self.errors())
        equal(is_mounted(self.path), False, "mounted after the end")
        equal(os.listdir(self.path), [], "left in the mountpoint")

    def abandon(self):
        """Whatever state it is in: nothing of it stays."""
        if self in _mounts:
            _mounts.remove(self)
            _last_words.append((self.url, self.errors()))
        self.kill()
        if is_mounted(self.path):
            subprocess.run(["fusermount3", "-uz", self.path], check=False,
                           stderr=subprocess.DEVNULL)
        with contextlib.suppress(OSError):
            self.path.rmdir()
        if self.owns_home:
            self.home.remove()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.process.poll() is None and is_mounted(self.path):
                self.stop()
            elif kind is None:
                self.home.check_reports()
        finally:
            if kind is None:
                self.abandon()

    def __truediv__(self, name):
        return self.path / name

    def messages(self, folder="INBOX", **options):
        """The listed messages, in the order of the listing, by a tool that can be killed."""
        listing = out("ls", "-U", self.path / folder, **options)
        return [name for name in listing.splitlines() if is_message(name)]

    def find(self, uid, folder="INBOX"):
        """The listed path of a message."""
        return self.path / folder / next(n for n in self.messages(folder)
                                         if n.startswith(f"{uid}."))

    def text(self, name):
        return out("cat", self.path / name)

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def mail(subject, body="Hello.\r\n", sender="Ann <ann@example.org>", extra=""):
    """A small message, with CRLF."""
    return (f"From: {sender}\r\nTo: Bob <bob@example.org>\r\nSubject: {subject}\r\n"
            f"Date: Mon, 02 Mar 2020 10:00:00 +0000\r\n{extra}\r\n{body}").encode()


def uids_of(names):
    return [int(name.split(".")[0]) for name in names]
