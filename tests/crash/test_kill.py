"""The daemon is killed at random moments while its mount is read; what the next one shows is what
the server holds, byte for byte."""

import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mount"))

from harness import Dovecot, Home, Mount, case, equal, mail, main, ok, run  # noqa: E402

SECONDS = 12
COUNT = 200
SEED = random.SystemRandom().randrange(1 << 32)
FOLDERS = ("INBOX", "Archive", "Lists/C")


def mails(folder):
    """Small ones, and two that are fetched in windows."""
    made = [(mail(f"{folder} {n}", f"line {n}\r\n" * (n * 5)), 1600000000 + n)
            for n in range(1, COUNT)]
    return made + [(mail("big", f"{folder}\r\n" * 300000), 1700000000)]


def readers(mount):
    """Everything that reads at once, in processes of their own."""
    commands = [["grep", "-rc", "line", mount.path], ["ls", "-lR", mount.path],
                ["find", mount.path, "-newer", "/proc/version"],
                ["sh", "-c", f"cat {mount.path}/INBOX/*.eml"]]
    return [subprocess.Popen(c, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL) for c in commands]


def check(mount, truth):
    for folder, data in truth.items():
        names = mount.messages(folder)
        equal(len(names), len(data), f"messages of {folder}")
        for name, wanted in zip(names, data):
            path = mount / folder / name
            got = run("cat", path).stdout
            equal(got == wanted, True, f"{folder}/{name}: {len(got)} of {len(wanted)} bytes")
            equal(path.stat().st_size, len(wanted), name)


def truth_of(server):
    """What an independent client reads."""
    client = server.imap()
    truth = {}
    for folder in FOLDERS:
        ok(client.select(f'"{folder}"', readonly=True))
        answer = ok(client.uid("FETCH", "1:*", "(BODY.PEEK[])"))
        truth[folder] = [part[1] for part in answer if isinstance(part, tuple)]
    client.logout()
    return truth


@case
def killed_at_random_it_loses_and_invents_nothing():
    print(f"# seed {SEED}")
    chance = random.Random(SEED)
    with Dovecot() as server:
        for folder in FOLDERS:
            server.deliver(mails(folder), folder=folder)
        home = Home()
        deadline = time.monotonic() + SECONDS
        kills = 0
        try:
            while time.monotonic() < deadline:
                mount = Mount(server, ["poll=1"], home=home)
                mount.start()
                running = readers(mount)
                time.sleep(chance.expovariate(3))
                client = server.imap(folder="INBOX")
                ok(client.append("INBOX", None, None, mail(f"after kill {kills}")))
                client.uid("STORE", str(chance.randrange(1, COUNT)), "+FLAGS", r"(\Deleted)")
                client.expunge()
                client.logout()
                mount.kill()
                kills += 1
                for process in running:
                    process.wait(20)
                home.check_reports()
                mount.abandon()
            with Mount(server, ["poll=1"], home=home) as mount:
                check(mount, truth_of(server))
                assert not any(word in mount.errors() for word in ("damaged", "corrupt"))
            print(f"# {kills} kills")
        finally:
            home.remove()


main()
