"""Large messages, sizes that lie, answers that break off, a cache that is too small."""

import hashlib
import os
import re
import time

from harness import (SANITIZED, Dovecot, Home, Mount, case, equal, mail, main, out, run,
                     scratch, wait_until)
from scripted import Cut, Folder, Message, Relay, ScriptedServer

MIB = 1024 * 1024


def big_mail(size):
    line = b"".join(b"%02x" % n for n in range(38)) + b"\r\n"
    data = mail("big")
    return data + line * ((size - len(data)) // len(line))


@case
def the_start_of_a_large_message_comes_before_its_end():
    data = big_mail(50 * MIB)
    with Dovecot() as server, Relay(server.tls_port) as relay:
        server.deliver([(data, 1600000000)])
        url = f"imaps://alice@localhost:{relay.port}"
        with Mount(url, [f"tls_ca={server.ca}"]) as mount:
            path = mount.find(1)
            # Whoever wants all of it before the first byte waits here.
            relay.set_gate(relay.passed + 8 * MIB)
            equal(run("head", "-c", "1000", path, timeout=20).stdout, data[:1000])
            assert relay.passed <= relay.gate
            relay.set_gate(None)
            equal(hashlib.sha256(run("cat", path, timeout=120).stdout).digest(),
                  hashlib.sha256(data).digest())
            equal(os.stat(path).st_size, len(data))
            equal(run("tail", "-c", "1000", path).stdout, data[-1000:])
            if not SANITIZED:
                assert mount.memory_kib() < 64 * 1024, mount.memory_kib()


@case
def the_end_of_a_large_message_can_be_read_first():
    data = big_mail(20 * MIB)
    with Dovecot() as server:
        server.deliver([(data, 1600000000)])
        with Mount(server) as mount:
            path = mount.find(1)
            equal(run("tail", "-c", "1000", path, timeout=60).stdout, data[-1000:])
            equal(run("cat", path).stdout, data)


@case
def many_readers_of_one_large_message_cost_one_transfer():
    data = big_mail(10 * MIB)
    with Dovecot() as server, Relay(server.tls_port) as relay:
        server.deliver([(data, 1600000000)])
        with Mount(f"imaps://alice@localhost:{relay.port}", [f"tls_ca={server.ca}"]) as mount:
            path = mount.find(1)
            before = relay.passed
            script = f"for i in 1 2 3 4 5 6; do sha256sum < '{path}' & done; wait"
            sums = set(out("bash", "-c", script, timeout=60).split()) - {"-"}
            equal(sums, {hashlib.sha256(data).hexdigest()})
            assert relay.passed - before < 15 * MIB, relay.passed - before


@case
def a_large_message_is_asked_for_once_where_that_costs_nothing():
    data = big_mail(20 * MIB)
    with ScriptedServer({b"INBOX": Folder({1: Message(data)})}) as script, \
            Mount(script.url(), ["tls=off"]) as mount:
        assert run("cat", mount.find(1)).stdout == data
        equal(script.seen(r"BODY\.PEEK\[\]"), ["UID FETCH 1 (UID BODY.PEEK[])"])


@case
def what_came_before_a_connection_was_lost_is_not_asked_for_again():
    data = big_mail(6 * MIB)
    cuts = iter([4 * MIB])

    def hook(command, uid):
        cut = next(cuts, None) if "BODY.PEEK[]" in command else None
        if cut is not None:
            raise Cut(b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(data) + data[:cut])
    with ScriptedServer({b"INBOX": Folder({1: Message(data)})}, hook=hook) as script, \
            Mount(script.url(), ["tls=off"]) as mount:
        assert run("cat", mount.find(1)).stdout == data
        first, second = script.seen(r"BODY\.PEEK\[\]")
        equal(first, "UID FETCH 1 (UID BODY.PEEK[])")
        assert int(re.search(r"<(\d+)\.", second)[1]) > 0, second


@case
def a_large_message_is_read_as_it_comes():
    """Though its connection says nothing more."""
    data = big_mail(20 * MIB)
    with Dovecot() as server, Relay(server.tls_port) as relay:
        server.deliver([(data, 1600000000)])
        with Mount(f"imaps://alice@localhost:{relay.port}", [f"tls_ca={server.ca}"]) as mount:
            path = mount.find(1)
            relay.set_gate(relay.passed + 4 * MIB)
            equal(run("head", "-c", str(2 * MIB), path, timeout=20).stdout, data[:2 * MIB])
            relay.set_gate(None)
            assert run("cat", path).stdout == data


# How each tool reads a file for the first time; all must give its bytes.
TOOLS = {
    "cat": lambda path, to: run("cat", path).stdout,
    "cp": lambda path, to: run("cp", path, to) and to.read_bytes(),
    "tar": lambda path, to: run(
        "bash", "-c", "set -o pipefail; tar -C \"${1%/*}\" -cf - \"${1##*/}\" | tar -xOf -",
        "tar", path).stdout,
    "wc": lambda path, to: b"x" * int(out("wc", "-c", path).split()[0]),
    "rsync": lambda path, to: run("rsync", "-t", path, to) and to.read_bytes(),
    "dd": lambda path, to: run("dd", f"if={path}", "bs=64k", "status=none").stdout,
    "python": lambda path, to: path.read_bytes(),
    "ls first": lambda path, to: out("ls", "-l", path.parent) and run("cat", path).stdout,
}


def lying(size_of, length):
    """Each tool on its own first touch of a message whose announced size is wrong."""
    bodies = {n: mail(f"lie {n}", "x" * 60 + "\r\n") + b"y\r\n" * (length // 3)
              for n in range(1, len(TOOLS) + 1)}
    folder = Folder({n: Message(b, size=size_of(len(b))) for n, b in bodies.items()})
    with ScriptedServer({b"INBOX": folder}) as script, scratch() as directory:
        with Mount(script.url(), ["tls=off"]) as mount:
            names = mount.messages()
            for (tool, read), name in zip(TOOLS.items(), names):
                data = bodies[int(name.split(".")[0])]
                path = mount / "INBOX" / name
                got = read(path, directory / tool)
                wanted = b"x" * len(data) if tool == "wc" else data
                assert got == wanted, f"{tool}: {len(got)} bytes instead of {len(wanted)}"
                equal(os.stat(path).st_size, len(data), f"size after {tool}")
                equal(run("cat", path).stdout, data, f"cat after {tool}")


@case
def a_size_that_is_too_small_cuts_nothing():
    lying(lambda size: 10, 5000)


@case
def a_size_that_is_too_large_pads_nothing():
    lying(lambda size: size + 9000, 5000)


@case
def a_size_of_zero_hides_nothing():
    lying(lambda size: 0, 5000)


@case
def a_large_message_may_be_larger_than_announced():
    data = big_mail(6 * MIB)
    folder = Folder({1: Message(data, size=len(data) - 100000), 2: Message(data, size=1000)})
    with ScriptedServer({b"INBOX": folder}) as script, Mount(script.url(), ["tls=off"]) as mount:
        for uid in (1, 2):
            path = mount.find(uid)
            got = run("cat", path).stdout
            assert got == data, f"{uid}: {len(got)} bytes instead of {len(data)}"
            equal(os.stat(path).st_size, len(data))


@case
def a_large_message_may_be_smaller_than_announced():
    data = big_mail(6 * MIB)
    folder = Folder({1: Message(data, size=len(data) + 5 * MIB)})
    with ScriptedServer({b"INBOX": folder}) as script, Mount(script.url(), ["tls=off"]) as mount:
        path = mount.find(1)
        got = run("cat", path).stdout
        assert got == data, f"{len(got)} bytes instead of {len(data)}"
        equal(os.stat(path).st_size, len(data))


@case
def sizes_once_learnt_are_remembered():
    data = mail("lie", "z\r\n" * 3000)
    home = Home()
    with ScriptedServer({b"INBOX": Folder({1: Message(data, size=5)})}) as script:
        with Mount(script.url(), ["tls=off"], home=home) as mount:
            equal(run("cat", mount.find(1)).stdout, data)
        with Mount(script.url(), ["tls=off"], home=home) as mount:
            equal(os.stat(mount.find(1)).st_size, len(data))
    home.remove()


@case
def an_empty_message_is_an_empty_file():
    empty = [b'BODY[] ""', b"BODY[] {0}\r\n"]

    def hook(command, uid):
        body = re.search(r"BODY\.PEEK\[\](<\d+)?", command)
        if uid > 2 or not body:
            return None
        answer = empty[uid - 1]
        if body[1]:
            answer = answer.replace(b"BODY[]", b"BODY[]" + body[1].encode() + b">")
        return b"UID %d %s" % (uid, answer)
    folder = Folder({1: Message(b""), 2: Message(b""), 3: Message(mail("fine"))})
    with ScriptedServer({b"INBOX": folder}, hook=hook) as script:
        with Mount(script.url(), ["tls=off"]) as mount:
            for uid in (1, 2):
                equal(run("cat", mount.find(uid)).stdout, b"")
            equal(run("cat", mount.find(3)).stdout, mail("fine"))


def broken(hook, folder=None, restored=True):
    """Message 1 cannot be had; the others can, nothing wrong is kept, no endless retry."""
    good = mail("broken", "body\r\n" * 100)
    folder = folder or Folder({1: Message(good), 2: Message(mail("two")),
                               3: Message(mail("three"))})
    active = [True]

    def outer(command, uid):
        wanted = active[0] and uid == 1 and "BODY.PEEK[]" in command
        return hook(command) if wanted else None
    with ScriptedServer({b"INBOX": folder}, hook=outer) as script, Relay(script.port) as relay:
        with Mount(f"imap://alice@127.0.0.1:{relay.port}", ["tls=off", "timeout=3"]) as mount:
            names = mount.messages()
            done = run("cat", mount / "INBOX" / names[0], check=False, timeout=40)
            equal(done.returncode, 1, f"cat of the broken message ({len(done.stdout)} bytes)")
            assert good.startswith(done.stdout), done.stdout
            for name, data in zip(names[1:], (mail("two"), mail("three"))):
                wait_until(lambda: run("cat", mount / "INBOX" / name, check=False).stdout
                           == data, 30, name)
            fetched, connections = len(script.seen(r"UID FETCH 1 .*PEEK\[\]")), relay.connections
            time.sleep(3)
            assert len(script.seen(r"UID FETCH 1 .*PEEK\[\]")) - fetched <= 1, "asked on and on"
            assert relay.connections - connections <= 2, "connects on and on"
            assert relay.connections < 15, relay.connections
            if restored:
                active[0] = False
                wait_until(lambda: run("cat", mount / "INBOX" / names[0], check=False).stdout
                           == good, 60, "the repaired message")


@case
def a_body_of_nil_is_an_error():
    broken(lambda command: b"UID 1 BODY[] NIL")


@case
def a_literal_that_breaks_off_is_an_error_and_not_kept():
    def hook(command):
        origin = "<0>" if "<" in command else ""
        raise Cut(f"* 1 FETCH (UID 1 BODY[]{origin} {{10000}}\r\nFrom: ".encode())
    broken(hook)


@case
def the_body_of_another_message_is_not_taken():
    broken(lambda command: b"UID 2 BODY[] {5}\r\nwrong")


@case
def an_answer_without_a_body_is_an_error():
    broken(lambda command: b"UID 1 FLAGS ()")


@case
def a_literal_of_absurd_length_is_refused():
    broken(lambda command: b"UID 1 BODY[] {99999999999}\r\nx", restored=False)


@case
def a_message_of_absurd_size_is_not_fetched():
    folder = Folder({1: Message(mail("one"), size=10 ** 15), 2: Message(mail("two"))})
    with ScriptedServer({b"INBOX": folder}) as script, Mount(script.url(), ["tls=off"]) as mount:
        equal(run("cat", mount.find(2)).stdout, mail("two"))
        run("cat", mount.find(1), check=False, timeout=60)
        out("ls", "-l", mount / "INBOX")
        out("du", "-s", mount / "INBOX")


@case
def a_cache_that_is_too_small_still_serves_everything():
    mails = [(mail(f"m{n}", f"{n:05}\r\n" * 15000), 1600000000) for n in range(40)]  # 4 MB
    home = Home()
    with Dovecot() as server:
        server.deliver(mails)
        with Mount(server, ["cache_size=1M"], home=home) as mount:
            for _ in range(2):
                for (data, _), name in zip(mails, mount.messages()):
                    equal(run("cat", mount / "INBOX" / name).stdout, data)
            bodies = next((home.cache / "mailfs").iterdir()) / "bodies"

            def kept():
                return sum(f.stat().st_size for f in bodies.rglob("*") if f.is_file())
            wait_until(lambda: kept() <= 1.2 * MIB, 20, "eviction")
            assert kept() > 0.3 * MIB, kept()
        home.remove()


@case
def a_message_larger_than_the_cache_is_read():
    data = big_mail(5 * MIB)
    with Dovecot() as server:
        server.deliver([(data, 1600000000)])
        with Mount(server, ["cache_size=1M"]) as mount:
            for _ in range(2):
                assert run("cat", mount.find(1)).stdout == data


main()
