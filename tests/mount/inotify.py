"""Watching directories as programs do, by inotify(7)."""

import contextlib
import ctypes
import os
import struct

from harness import wait_until

IN = {"ATTRIB": 0x4, "MOVED_FROM": 0x40, "MOVED_TO": 0x80, "CREATE": 0x100, "DELETE": 0x200}
ISDIR = 0x40000000


class Watch:
    """The events of some directories of `root` (a mount, a Site or a path), in the order in which
    they came: [("CREATE", "INBOX", "name")]."""

    def __init__(self, root, *folders):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.folders = {}
        for folder in folders:
            number = libc.inotify_add_watch(self.fd, os.fsencode(root / folder), sum(IN.values()))
            assert number > 0, os.strerror(ctypes.get_errno())
            self.folders[number] = folder
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def events(self):
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, 65536):
                self._parse(data)
        return self.seen

    def _parse(self, data):
        while data:
            number, mask, _, length = struct.unpack_from("iIII", data)
            name = os.fsdecode(data[16:16 + length].rstrip(b"\0"))
            data = data[16 + length:]
            for word, bit in IN.items():
                if mask & bit:
                    word += "/DIR" if mask & ISDIR else ""
                    self.seen.append((word, self.folders[number], name))

    def wait(self, *wanted, timeout=20):
        """Until all of these came, in whatever order."""
        wait_until(lambda: all(w in self.events() for w in wanted), timeout,
                   f"{wanted} among {self.seen}")

    def of(self, word, folder="INBOX"):
        return [name for kind, where, name in self.events() if (kind, where) == (word, folder)]
