"""The server hangs, goes away, comes back: local answers come at once, waiting ends."""

import contextlib
import pathlib
import re
import signal
import subprocess
import time

from harness import (Dovecot, Mount, case, equal, mail, main, ok, out, run, scratch, uids_of,
                     wait_until, within)
from scripted import Folder, Hang, Message, Relay, ScriptedServer

COUNT = 150
MAILS = [(mail(f"mail {n}", f"line {n}\r\n" * 500), 1600000000 + n) for n in range(1, COUNT + 1)]
# In the cache before the server hangs, so far apart, and not from the beginning, that none is read
# ahead.
READ = (2, 11, 125, 136, 149)


@contextlib.contextmanager
def hung(*options):
    """A mount whose server has been stopped after some messages were read."""
    with Dovecot() as server:
        server.deliver(MAILS)
        with Mount(server, options) as mount:
            names = {uid: mount / "INBOX" / name
                     for uid, name in zip(range(1, COUNT + 1), mount.messages())}
            for uid in READ:
                run("cat", names[uid])
            server.freeze()
            yield server, mount, names
            server.thaw()


def cat(path):
    """A reader in its own process, ready to be killed."""
    return subprocess.Popen(["cat", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def is_waiting(process):
    """It sits in a system call on the mount: sleeping, not running."""
    with open(f"/proc/{process.pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] in "SD"


@case
def what_is_known_is_answered_at_once():
    with hung("poll=1", "timeout=60") as (server, mount, names):
        time.sleep(1.5)  # over `poll`: the listing is stale and the server is asked
        within(8, mount.messages)
        for _ in range(3):
            equal(len(within(3, mount.messages)), COUNT)
            within(3, out, "ls", "-l", mount / "INBOX")
            within(3, out, "ls", mount.path)
            within(3, out, "stat", names[COUNT])
            within(3, out, "df", mount.path)
            within(3, mount.text, ".mailfs/status")
            for uid in READ:
                equal(within(3, run, "cat", names[uid]).stdout, MAILS[uid - 1][0])


@case
def an_uncached_read_times_out():
    with hung("timeout=2") as (server, mount, names):
        done = within(10, run, "cat", names[50], check=False)
        assert done.returncode == 1 and b"timed out" in done.stderr, done
        log = mount.text(".mailfs/log")
        assert log, log
        server.thaw()
        wait_until(lambda: run("cat", names[50], check=False).stdout == MAILS[49][0], 30,
                   "the message after the hang")


@case
def a_waiting_reader_dies_on_signals():
    with hung("timeout=60") as (server, mount, names):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            reader = cat(names[60])
            wait_until(lambda: is_waiting(reader), 10, "the reader waits")
            time.sleep(0.5)
            equal(reader.poll(), None, "reader")
            reader.send_signal(number)
            equal(reader.wait(3), -number)
            reader.stdout.close()
            reader.stderr.close()


@case
def a_hundred_waiting_readers_block_nobody():
    with hung("timeout=60") as (server, mount, names):
        readers = [cat(names[uid]) for uid in range(20, 120)]
        time.sleep(0.5)
        for uid in READ:
            equal(within(3, run, "cat", names[uid]).stdout, MAILS[uid - 1][0])
        equal(len(within(3, mount.messages)), COUNT)
        within(3, out, "stat", names[COUNT])
        server.thaw()
        for uid, reader in zip(range(20, 120), readers):
            data, _ = reader.communicate(timeout=60)
            equal(data, MAILS[uid - 1][0])


@case
def sigterm_unmounts_with_waiting_readers():
    with hung("timeout=60") as (server, mount, names):
        readers = [cat(names[uid]) for uid in range(20, 40)]
        time.sleep(0.5)
        within(3, mount.stop)
        for reader in readers:
            _, errors = reader.communicate(timeout=10)
            equal(reader.returncode, 1, errors)


@case
def killing_the_daemon_frees_waiting_readers():
    with hung("timeout=60") as (server, mount, names):
        reader = cat(names[20])
        time.sleep(0.3)
        mount.kill()
        reader.communicate(timeout=10)
        equal(reader.returncode, 1)


def asleep(mount):
    """How often the main thread has gone to sleep; nothing if it is awake."""
    status = pathlib.Path(f"/proc/{mount.process.pid}/task/{mount.process.pid}/status").read_text()
    return re.search(r"^State:\tS", status, re.M) and \
        re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M)[1]


@case
def the_main_thread_serves_nothing():
    """By its end the watchdog knows that the daemon was killed: it must not hang on a disk."""
    for arguments in ([], ["-s"]):
        with Dovecot() as server:
            server.deliver(MAILS)
            with Mount(server, arguments=arguments) as mount:
                names = mount.messages()
                before = wait_until(lambda: asleep(mount), 20, "its sleep")
                for name in names:
                    (mount / "INBOX" / name).read_bytes()
                equal(asleep(mount), before)


@case
def starting_against_a_hanging_server_can_be_stopped():
    with ScriptedServer({b"INBOX": Folder()}, greeting=b"* OK hello\r\n") as script:
        script.released.clear()

        class Silent(dict):
            def items(self):
                raise Hang
        script.folders = Silent()
        mount = Mount(script.url(), ["tls=off", "timeout=60"])
        process = subprocess.Popen(mount.command, env=mount.home.environment,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: script.seen("LIST"), 20, "LIST")
        process.terminate()
        within(5, process.wait, 20)
        process.stderr.close()
        mount.abandon()


@case
def a_cut_connection_is_made_anew():
    with Dovecot() as server, Relay(server.tls_port) as relay:
        server.deliver(MAILS)
        url = f"imaps://alice@localhost:{relay.port}"
        with Mount(url, [f"tls_ca={server.ca}", "poll=1"]) as mount:
            names = mount.messages()
            for round_number in range(5):
                relay.cut()
                uid = 10 + 20 * round_number  # in no order: nothing is read ahead
                data = wait_until(lambda: run("cat", mount / "INBOX" / names[uid - 1],
                                              check=False).stdout, 30, "a new connection")
                equal(data, MAILS[uid - 1][0])
            client = server.imap(folder="INBOX")
            ok(client.append("INBOX", None, None, mail("fresh")))
            client.logout()
            wait_until(lambda: COUNT + 1 in uids_of(mount.messages()), 30, "new mail")


@case
def a_body_cut_in_the_middle_is_taken_up_again():
    big = mail("big", "0123456789abcdef\r\n" * 400000)  # 7 MB
    with Dovecot() as server, Relay(server.tls_port) as relay, scratch() as directory:
        server.deliver([(big, 1600000000)])
        url = f"imaps://alice@localhost:{relay.port}"
        with Mount(url, [f"tls_ca={server.ca}"]) as mount:
            path = mount.find(1)
            relay.set_gate(relay.passed + 3000000)
            with open(directory / "copy", "wb") as copy:
                reader = subprocess.Popen(["cat", path], stdout=copy)
            wait_until(lambda: relay.passed > relay.gate - 50000, 30, "half of it")
            relay.cut()
            relay.set_gate(None)
            reader.wait(60)
            data = (directory / "copy").read_bytes()
            assert data == big if reader.returncode == 0 else big.startswith(data), len(data)
            wait_until(lambda: run("cat", path, check=False).stdout == big, 30, "all of it")


@case
def a_server_that_is_gone_is_no_route_and_its_return_is_noticed():
    with Dovecot() as server:
        server.deliver(MAILS)
        with Mount(server, ["poll=1", "timeout=5"]) as mount:
            names = mount.messages()
            run("cat", mount / "INBOX" / names[1])
            server.stop()
            time.sleep(1.2)
            within(8, mount.messages)
            equal(len(within(3, mount.messages)), COUNT)
            equal(run("cat", mount / "INBOX" / names[1]).stdout, MAILS[1][0])
            done = within(15, run, "cat", mount / "INBOX" / names[7], check=False)
            assert done.returncode == 1, done
            assert b"No route to host" in done.stderr or b"timed out" in done.stderr, done.stderr
            server.start()
            wait_until(lambda: run("cat", mount / "INBOX" / names[7], check=False).stdout
                       == MAILS[7][0], 60, "its return")


@case
def a_password_that_is_refused_later_is_not_tried_for_ever():
    with ScriptedServer({b"INBOX": Folder({1: Message(mail("x")), 2: Message(mail("y"))})}
                        ) as script, Relay(script.port) as relay:
        with Mount(f"imap://alice@127.0.0.1:{relay.port}", ["tls=off", "poll=1", "timeout=5"]
                   ) as mount:
            equal(run("cat", mount.find(1)).stdout, mail("x"))
            script.login = False
            relay.cut()
            before = relay.connections
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                run("cat", mount / "INBOX/2.eml", check=False, timeout=30)
                time.sleep(0.1)
            done = run("cat", mount / "INBOX/2.eml", check=False, timeout=30)
            assert b"Permission denied" in done.stderr, done.stderr
            assert relay.connections - before <= 8, f"{relay.connections - before} logins"
            equal(run("cat", mount / "INBOX/1.eml").stdout, mail("x"))


main()
