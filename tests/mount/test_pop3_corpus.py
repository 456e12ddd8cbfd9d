"""Thousands of real mails in a maildrop, through the tools that people use; another client says
what POP3 delivers of each."""

import contextlib
import email.utils
import hashlib
import os
import re

import corpus
from harness import (SANITIZED, Dovecot, Skip, case, equal, main, out, run, scratch, uids_of)
from maildrop import Maildrop

LIMIT = int(os.environ.get("MAILFS_CORPUS_LIMIT", "500" if SANITIZED else "0"))
STRICT_DATE = rb"(\w{3}, +)?\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}( \([A-Z]+\))?"


@contextlib.contextmanager
def fixture():
    if corpus.directory() is None:
        yield None
        return
    with Dovecot(pop3=True) as server:
        mails = corpus.mails(LIMIT)
        server.deliver(mails)
        with Maildrop(server, user="alice") as drop:
            yield Corpus(drop, mails)


class Corpus:
    def __init__(self, drop, mails):
        self.drop = drop
        self.mails = [data for data, _ in mails]
        self.truth = list(drop.held().values())
        self.paths = [drop / name for name in drop.names(timeout=300)]

    def digests(self):
        return {path.name: hashlib.sha256(data).hexdigest()
                for path, data in zip(self.paths, self.truth)}


def needs_corpus(function):
    def checked(x=None):
        if x is None:
            raise Skip("MAILFS_CORPUS is not set; tests/run fetches the mails")
        function(x)
    checked.__name__ = function.__name__
    return case(checked)


def date_of(data):
    """Where Date says it in the one way that all understand, and is none of a joker; else None."""
    found = re.findall(rb"(?im)^Date:[ \t]*(.*?)\s*$", data.partition(b"\r\n\r\n")[0])
    if not found or not re.fullmatch(STRICT_DATE, found[0]):
        return None
    date = int(email.utils.parsedate_to_datetime(found[0].decode()).timestamp())
    return date if date >= 0 else None


def digests_of(directory):
    return {name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
            for name in os.listdir(directory)}


@needs_corpus
def each_mail_is_listed_once(x):
    equal(uids_of([path.name for path in x.paths]), list(range(1, len(x.mails) + 1)))


@needs_corpus
def the_server_delivers_what_it_got(x):
    for number, (got, data) in enumerate(zip(x.truth, x.mails), 1):
        equal(got, data if data.endswith(b"\r\n") else data + b"\r\n", f"mail {number}")


@needs_corpus
def every_mail_is_the_same_byte_for_byte(x):
    for path, data in zip(x.paths, x.truth):
        equal(path.read_bytes() == data, True, path)


@needs_corpus
def sizes_and_dates_are_right(x):
    checked = 0
    for path, data in zip(x.paths, x.truth):
        status, date = os.stat(path), date_of(data)
        equal(status.st_size, len(data), path)
        if date is not None:
            equal(int(status.st_mtime), date, path)
            checked += 1
    equal(checked > len(x.paths) * 0.8, True, f"{checked} dates")


@needs_corpus
def tar_and_cp_copy_every_byte(x):
    with scratch() as there:
        run("cp", "-a", x.drop / "", there / "cp", timeout=600)
        (there / "tar").mkdir()
        run("bash", "-c", f"set -o pipefail; tar -C '{x.drop / ''}' -cf - . | "
            f"tar -C '{there}/tar' -xf -", timeout=600)
        equal(digests_of(there / "cp"), x.digests())
        equal(digests_of(there / "tar"), x.digests())


@needs_corpus
def grep_finds_each_mail_once(x):
    for word in (b"unsubscribe", b"no such word anywhere"):
        wanted = sum(word in data for data in x.truth)
        done = run("grep", "-r", "-a", "-l", "-F", word.decode(), x.drop.mount.path, check=False,
                   timeout=600)
        equal(len(done.stdout.splitlines()), wanted, word)


@needs_corpus
def a_mount_without_cache_reads_the_same(x):
    """All bodies in one go, as `cat *` asks for them."""
    with Maildrop(x.drop.server, user="alice") as drop:
        text = b"".join(x.truth)
        got = run("sh", "-c", "cat *.eml", cwd=drop / "", timeout=900).stdout
        # The shell sorts by name.
        wanted = b"".join(data for _, data in sorted(zip((p.name for p in x.paths), x.truth)))
        equal(hashlib.sha256(got).hexdigest() in (hashlib.sha256(wanted).hexdigest(),
                                                  hashlib.sha256(text).hexdigest()), True)


@needs_corpus
def half_of_it_is_removed(x):
    doomed = [path.name for path in x.paths[1::2]]
    run("xargs", "rm", stdin=_pipe("\n".join(doomed).encode()), cwd=x.drop / "", timeout=300)
    equal(x.drop.sync(timeout=600), 0)
    equal(list(x.drop.held().values()) == x.truth[0::2], True, "what is left")
    equal(x.drop.names(), [path.name for path in x.paths[0::2]])


@needs_corpus
def the_daemon_stayed_small(x):
    if SANITIZED:
        return
    assert x.drop.mount.memory_kib() < 64 * 1024, x.drop.mount.memory_kib()
    assert out("ls", x.drop.mount.path) == "INBOX\n"


def _pipe(data):
    fd = os.memfd_create("data")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return os.fdopen(fd, "rb")


main(fixture)
