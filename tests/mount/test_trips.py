"""Over a link of 50 ms there and back, how often we ask is what counts."""

import contextlib
import os

from changing import Site, few_commands, mails
from harness import SANITIZED, Dovecot, case, equal, mail, main, ok, run, uids_of

COUNT = 2000 if SANITIZED else 10000
DELAY = 0.025


def far_site(server, count):
    """Nothing is watched: whoever begins to watch looks once more, sooner or later."""
    return Site(server, ["poll=3600", "idle=off"], messages=mails(count), delay=DELAY)


@case
def removing_10000_messages():
    with Dovecot() as server, far_site(server, COUNT) as site:
        listed = site.mount.messages(timeout=200)
        equal(len(listed), COUNT)

        def remove():
            for name in listed:
                os.unlink(site / "INBOX" / name)
            equal(site.listed(), [])
        with few_commands(site, 100):
            remove()
            site.sync(timeout=200)
        held = site.view(bodies=False)
        equal(len([m for m in held.values() if "\\Deleted" in m.flags]), COUNT)


@case
def moving_1000_messages():
    with Dovecot() as server, far_site(server, 1000) as site:
        listed = site.mount.messages(timeout=200)

        def move():
            for name in listed:
                os.rename(site / "INBOX" / name, site / "Archive" / name)
        with few_commands(site, 40):
            move()
            site.sync(timeout=200)
        equal((len(site.view(bodies=False)), len(site.view("Archive", bodies=False))), (0, 1000))


@case
def rm_of_a_glob():
    with Dovecot() as server, far_site(server, 1000) as site:
        site.listed()
        with few_commands(site, 20):
            run("sh", "-c", "rm *.eml", cwd=site / "INBOX", timeout=100)
            site.sync(timeout=200)
        equal(site.live(), {})


# After the TCP connection and, where there is one, the TLS handshake: greeting; login; ENABLE, ID and
# LIST; EXAMINE and FETCH.
TURNS = 4

# What IMAP says it can, from all to nothing.
CONDSTORE = "IMAP4rev1 SASL-IR LITERAL+ ENABLE ID LIST-EXTENDED SPECIAL-USE ESEARCH CONDSTORE QRESYNC"
SERVERS = {"with_list_status": None, "with_status": CONDSTORE, "with_condstore_alone":
           CONDSTORE.replace(" QRESYNC", ""), "with_neither": "IMAP4rev1"}


def on_servers(*wanted):
    """A case for each; the function gets a Site that is mounted and was looked at."""
    def wrap(function):
        for words in wanted:
            @contextlib.contextmanager
            def site(words=words):
                with Dovecot(capability=SERVERS[words]) as server, far_site(server, 50) as site:
                    equal(len(details(site)), 50)
                    yield site

            def run_one(site=site):
                with site() as looked_at:
                    function(looked_at)
            run_one.__name__ = f"{function.__name__}_{words}"
            case(run_one)
        return function
    return wrap


def details(site):
    """Lines of ls -l, of messages."""
    listing = run("ls", "-l", site / "INBOX").stdout.decode().splitlines()
    return [line for line in listing if line.endswith(".eml")]


def after_remount(site, meanwhile=lambda: None):
    """What `ls -l` shows then, and the commands that it took, logins apart."""
    site.mount.unmount()
    meanwhile()
    start = site.wire.count()
    site.mount.start()
    shown = details(site)
    sent = [c for c in site.wire.commands[start:]
            if not c.startswith(("AUTHENTICATE", "LOGIN", "CAPABILITY", "ENABLE", "ID"))]
    print(f"# {sent}")
    return shown, sent


def opened(sent):
    return [c for c in sent if c.split()[0] in ("SELECT", "EXAMINE", "UID")]


@case
def a_cold_mount_and_the_first_ls():
    with Dovecot() as server, far_site(server, 50) as site:
        equal(len(site.listed()), 50)
        turns = 1 + site.wire.turns[0]
        equal(turns <= TURNS, True, f"{turns} round trips: {site.wire.commands}")
        # Nothing is known that could be compared with counts.
        equal(site.wire.seen("STATUS"), [])


@case
def a_cold_mount_with_quota():
    with Dovecot(quota_kib=100000) as server, far_site(server, 50) as site:
        equal(len(site.listed()), 50)
        turns = 1 + site.wire.turns[0]
        equal(turns <= TURNS, True, f"{turns} round trips: {site.wire.commands}")
        equal(len(site.wire.seen("^GETQUOTAROOT")), 1)


@case
def the_first_message_takes_one_round_trip():
    """And brings those along that may be read next."""
    with Dovecot() as server, far_site(server, 200) as site:
        listed = site.listed()
        (site / "INBOX" / listed[0]).read_bytes()
        body = 1  # the second connection
        # The login, ENABLE and ID (unless all went at once), EXAMINE with all its FETCH.
        equal(site.wire.turns[body] in (2, 3), True, site.wire.commands)
        equal(len(site.wire.seen("^UID FETCH 2:9 ")), 1, site.wire.commands)


@case
def a_remount_asks_one_command_for_all_folders():
    with Dovecot() as server, far_site(server, 50) as site:
        before = details(site)
        equal(site.listed("Archive"), [])
        shown, sent = after_remount(site)
        equal(shown, before)
        equal([c.split()[0] for c in sent], ["LIST"], sent)
        equal("STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)" in sent[0], True, sent)


@on_servers("with_status", "with_condstore_alone")
def a_remount_asks_for_counts_alone(site):
    before = details(site)
    shown, sent = after_remount(site)
    equal(shown, before)
    equal(opened(sent), [], sent)
    equal([c for c in sent if c.startswith("STATUS")],
          ['STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)'], sent)


@on_servers("with_neither")
def counts_alone_are_not_enough(site):
    """Flags can change without a trace in them."""
    _, sent = after_remount(site)
    equal(len([c for c in opened(sent) if c.startswith("EXAMINE")]), 1, sent)


@on_servers(*SERVERS)
def what_changed_meanwhile_is_seen(site):
    def expunge_and_append():
        site.flag(3, "+", "\\Deleted")
        with site.client("INBOX") as client:
            ok(client.expunge())
        site.append(mail("another"))

    after_remount(site, expunge_and_append)
    equal(uids_of(site.listed()), [1, 2, *range(4, 52)])
    after_remount(site, lambda: site.flag(5, "+", "\\Flagged"))
    equal("flagged" in (site / "INBOX" / "5.d" / "flags").read_text(), True)


main()
