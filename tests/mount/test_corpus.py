"""Thousands of real mails through the tools that people use."""

import contextlib
import hashlib
import os
import re
import subprocess

import corpus
from harness import (SANITIZED, Dovecot, Home, Mount, Skip, case, equal, main, ok, out, run,
                     scratch, uids_of)

LIMIT = int(os.environ.get("MAILFS_CORPUS_LIMIT", "500" if SANITIZED else "0"))


@contextlib.contextmanager
def fixture():
    if corpus.directory() is None:
        yield None
        return
    with Dovecot() as server:
        data = corpus.mails(LIMIT)
        server.deliver(data)
        home = Home()
        with Mount(server, home=home, options=["poll=3600"]) as mount:
            yield Corpus(server, mount, data)
        home.remove()


class Corpus:
    def __init__(self, server, mount, data):
        self.server = server
        self.mount = mount
        self.inbox = mount / "INBOX"
        self.mails = data
        self.truth = self._ask()

    def _ask(self):
        """What the server holds, by another client: {uid: bytes}."""
        client = self.server.imap(folder="INBOX")
        truth = {}
        for part in ok(client.uid("FETCH", "1:*", "(UID BODY.PEEK[])")):
            if isinstance(part, tuple):
                truth[int(re.search(rb"UID (\d+)", part[0])[1])] = part[1]
        client.logout()
        return truth

    def paths(self):
        return {int(n.split(".")[0]): self.inbox / n for n in self.mount.messages()}


def needs_corpus(function):
    def checked(x=None):
        if x is None:
            raise Skip("MAILFS_CORPUS is not set; tests/run fetches the mails")
        function(x)
    checked.__name__ = function.__name__
    return case(checked)


def digest_tree(path):
    """{name: digest} of the files below."""
    found = {}
    for parent, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(parent, name), "rb") as file:
                found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def digests(x):
    return {path.name: hashlib.sha256(x.truth[uid]).hexdigest()
            for uid, path in x.paths().items()}


@needs_corpus
def the_server_holds_what_was_delivered(x):
    equal(len(x.truth), len(x.mails))
    for uid, (data, _) in enumerate(x.mails, 1):
        # Dovecot cannot send NUL.
        equal(x.truth[uid], data.replace(b"\0", b"\x80"), f"mail {uid}")


@needs_corpus
def each_mail_is_listed_once(x):
    equal(uids_of(x.mount.messages(timeout=300)), list(range(1, len(x.mails) + 1)))


@needs_corpus
def every_mail_is_the_same_byte_for_byte(x):
    for uid, path in x.paths().items():
        with open(path, "rb") as file:
            data = file.read()
        equal(data, x.truth[uid], f"mail {uid}")


@needs_corpus
def sizes_and_dates_are_right(x):
    for uid, path in x.paths().items():
        status = os.stat(path)
        data, when = x.mails[uid - 1]
        equal((status.st_size, int(status.st_mtime)), (len(x.truth[uid]), when), f"mail {uid}")


@needs_corpus
def rsync_copies_once_and_then_nothing(x):
    with scratch() as directory:
        run("rsync", "-a", f"{x.inbox}/", f"{directory}/", timeout=600)
        equal(digest_tree(directory), digests(x))
        told = out("rsync", "-a", "-i", "--stats", f"{x.inbox}/", f"{directory}/", timeout=600)
        assert "Number of regular files transferred: 0" in told, told[-2000:]
        equal([line for line in told.splitlines() if line.startswith(">f")], [])


@needs_corpus
def tar_packs_every_byte(x):
    with scratch() as directory:
        run("bash", "-c",
            f"set -o pipefail; tar -C '{x.inbox}' -cf - . | tar -C '{directory}' -xf -",
            timeout=600)
        equal(digest_tree(directory), digests(x))


@needs_corpus
def tar_with_sparse_packs_every_byte(x):
    with scratch() as directory:
        run("bash", "-c",
            f"set -o pipefail; tar -C '{x.inbox}' -S -cf - . | tar -C '{directory}' -xf -",
            timeout=600)
        equal(digest_tree(directory), digests(x))


@needs_corpus
def cp_a_keeps_bytes_and_dates(x):
    with scratch() as directory:
        run("cp", "-a", x.inbox, directory / "copy", timeout=600)
        equal(digest_tree(directory / "copy"), digests(x))
        for uid, path in x.paths().items():
            equal(int(os.stat(directory / "copy" / path.name).st_mtime), x.mails[uid - 1][1])
        run("chmod", "-R", "u+w", directory)


@needs_corpus
def grep_finds_each_mail_once(x):
    for word in (b"unsubscribe", b"Received:", b"no such word anywhere"):
        wanted = sum(word in data for data in x.truth.values())
        done = run("grep", "-r", "-a", "-l", "-F", word.decode(), x.mount.path, check=False,
                   timeout=600)
        equal(len(done.stdout.splitlines()), wanted, word)


@needs_corpus
def git_hashes_them_alike(x):
    paths = x.paths()
    names = "\n".join(str(p) for p in paths.values()) + "\n"
    done = subprocess.run(["git", "hash-object", "--no-filters", "--stdin-paths"],
                          input=names.encode(), stdout=subprocess.PIPE, check=True, timeout=600)
    wanted = [hashlib.sha1(b"blob %d\0" % len(x.truth[u]) + x.truth[u]).hexdigest()
              for u in paths]
    equal(done.stdout.decode().split(), wanted)


@needs_corpus
def find_and_du_agree_with_the_server(x):
    total = sum(len(data) for data in x.truth.values())
    sizes = out("find", x.inbox, "-type", "f", "-printf", "%s\n", timeout=300).split()
    equal(sum(map(int, sizes)), total)
    told = int(out("du", "-sb", x.inbox, timeout=300).split()[0])
    equal(told - os.stat(x.inbox).st_size, total)


@needs_corpus
def no_mail_became_seen(x):
    client = x.server.imap(folder="INBOX")
    equal(ok(client.uid("SEARCH", "SEEN"))[0], b"")
    client.logout()


@needs_corpus
def the_daemon_stayed_small(x):
    if SANITIZED:
        return
    assert x.mount.memory_kib() < 64 * 1024, x.mount.memory_kib()


main(fixture)
