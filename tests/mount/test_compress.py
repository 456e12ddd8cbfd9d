"""COMPRESS=DEFLATE with a Dovecot that offers it."""

import os

from harness import Dovecot, Mount, case, equal, mail, main, ok, quote, wait_until
from scripted import Relay

COUNT = 100
# It packs well, but not to nothing.
LINES = "".join(f"This is line {n} of a mail that many people got.\r\n" for n in range(200))
MAILS = [(mail(f"number {n}", LINES + f"{n * 7919}\r\n"), 1600000000 + n) for n in range(COUNT)]
LARGE = mail("large", "".join(f"{n * 2654435761 % 2 ** 32:08x} and more\r\n"
                              for n in range(400000)))


def status(mount):
    return dict(line.split(": ", 1) for line in mount.text(".mailfs/status").splitlines()
                if ": " in line)


def read_all(mount):
    """The bytes of all messages of INBOX, by UID."""
    return {int(name.split(".")[0]): (mount / "INBOX" / name).read_bytes()
            for name in mount.messages()}


def traffic(server, compress):
    """What the server sends until all of INBOX is read."""
    with Relay(server.port) as relay, \
            Mount(f"imap://alice@127.0.0.1:{relay.port}",
                  ["tls=off", f"compress={compress}"]) as mount:
        equal(status(mount)["compression"], "deflate" if compress == "on" else "none", compress)
        equal(read_all(mount), {n + 1: data for n, (data, _) in enumerate(MAILS)})
        return relay.passed


@case
def reading(server):
    plain, packed = traffic(server, "off"), traffic(server, "on")
    print(f"# {packed} bytes instead of {plain}")
    equal(packed * 4 < plain, True, f"{packed} bytes instead of {plain}")


@case
def automatic_is_not_on_this_machine(server):
    for host in ("localhost", "127.0.0.1"):
        with Mount(server.url(host=host), [f"tls_ca={server.ca}"]) as mount:
            equal(status(mount)["compression"], "none", host)


@case
def below_tls_both_ways(server):
    with Mount(server, ["compress=on"], user="bob") as mount:
        equal(status(mount)["compression"], "deflate")
        equal(status(mount)["tls"].startswith("TLS"), True, status(mount)["tls"])
        path = mount / "INBOX" / "large.eml"
        path.write_bytes(LARGE)
        with open(path) as file:
            os.fsync(file)
        with server.imap("bob", "INBOX") as client:
            [(_, held), *_] = ok(client.fetch("1", "(BODY.PEEK[])"))
        equal(held == LARGE, True, "what the server holds")
        equal(path.read_bytes() == LARGE, True, "what is read")


@case
def a_large_message_comes_whole(server):
    with server.imap("carol") as client:
        ok(client.append(quote("INBOX"), None, None, LARGE))
    with Mount(server, ["compress=on"], user="carol") as mount:
        equal(read_all(mount) == {1: LARGE}, True, "what is read")


@case
def news_come_through(server):
    with Mount(server, ["compress=on", "poll=1"], user="dora") as mount:
        equal(mount.messages(), [])
        with server.imap("dora") as client:
            ok(client.append(quote("INBOX"), None, None, mail("new")))
        wait_until(lambda: len(mount.messages()) == 1, what="the new message")


@case
def a_server_that_offers_none(_):
    with Dovecot() as other, Mount(other, ["compress=on"]) as mount:
        equal(status(mount)["compression"], "none")


def fixture():
    server = Dovecot(compress=True)
    server.deliver(MAILS)
    return server


main(fixture)
