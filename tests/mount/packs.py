"""The files in which the cache keeps small messages together."""

import contextlib
import struct

HEAD = struct.Struct("=6I")
LIVE = 0x4b43504d


def records(home):
    """(file, where its bytes begin, epoch, UID, bytes) of each message that is there and whole."""
    for file in sorted(home.cache.rglob("packs/*.pack"), key=lambda f: int(f.stem)):
        data, at = b"", 0
        with contextlib.suppress(FileNotFoundError):
            data = file.read_bytes()
        while at + HEAD.size <= len(data):
            kind, _, epoch, uid, size, _ = HEAD.unpack_from(data, at)
            at += HEAD.size
            if kind == LIVE and at + size <= len(data):
                yield file, at, epoch, uid, data[at:at + size]
            at += size


def packed(home):
    """The UIDs of the messages in packs."""
    return {uid for _, _, _, uid, _ in records(home)}


def flip(file, at):
    """One bit of a file."""
    with open(file, "r+b") as changed:
        changed.seek(at)
        byte = changed.read(1)[0]
        changed.seek(at)
        changed.write(bytes([byte ^ 1]))
