"""Over a link of 50 ms there and back, how often we ask is what counts."""

import os

from changing import Site, mails
from harness import SANITIZED, Dovecot, case, equal, main, run

COUNT = 2000 if SANITIZED else 10000
DELAY = 0.025


def far_site(server, count):
    return Site(server, ["poll=3600"], messages=mails(count), delay=DELAY)


def commands_of(site, function):
    """What was sent between the start of `function` and the end of the sync behind it."""
    start = site.wire.count()
    function()
    site.sync(timeout=200)
    sent = site.wire.commands[start:]
    print(f"# {len(sent)} commands")
    return sent


@case
def removing_10000_messages():
    with Dovecot() as server, far_site(server, COUNT) as site:
        listed = site.mount.messages(timeout=200)
        equal(len(listed), COUNT)

        def remove():
            for name in listed:
                os.unlink(site / "INBOX" / name)
            equal(site.listed(), [])
        sent = commands_of(site, remove)
        equal(len(sent) <= 100, True, f"{len(sent)} commands: {sent[:20]}")
        held = site.view(bodies=False)
        equal(len([m for m in held.values() if "\\Deleted" in m.flags]), COUNT)


@case
def moving_1000_messages():
    with Dovecot() as server, far_site(server, 1000) as site:
        listed = site.mount.messages(timeout=200)

        def move():
            for name in listed:
                os.rename(site / "INBOX" / name, site / "Archive" / name)
        sent = commands_of(site, move)
        equal(len(sent) <= 40, True, f"{len(sent)} commands: {sent[:20]}")
        equal((len(site.view(bodies=False)), len(site.view("Archive", bodies=False))), (0, 1000))


@case
def rm_of_a_glob():
    with Dovecot() as server, far_site(server, 1000) as site:
        site.listed()
        sent = commands_of(site, lambda: run("sh", "-c", "rm *.eml", cwd=site / "INBOX",
                                             timeout=100))
        equal(len(sent) <= 20, True, f"{len(sent)} commands: {sent[:20]}")
        equal(site.live(), {})


main()
