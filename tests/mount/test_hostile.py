"""A server that lies, floods and falls silent. Each attack goes at a mount that was well; the
daemon stays small and calm, every request ends, and when the server behaves again so does the
mount."""

import itertools
import os
import pathlib
import signal
import subprocess
import time

from harness import SANITIZED, Mount, case, equal, mail, main, out, run, uids_of, wait_until, within
from scripted import Cut, Folder, Hang, Message, ScriptedServer

COUNT = 5
CACHED = 1  # read before the attack
MAILS = {uid: mail(f"mail {uid}", f"line {uid}\r\n" * 20) for uid in range(1, COUNT + 1)}
LANES = 8  # that may be open by now
COMMANDS = 1000  # that it may provoke
MEMORY_KIB = 150 * 1024  # that an attack may add


def honest():
    return {b"INBOX": Folder({uid: Message(data) for uid, data in MAILS.items()}),
            b"Archive": Folder({7: Message(mail("old"))}, uidvalidity=7)}


def cpu_seconds(mount):
    fields = pathlib.Path(f"/proc/{mount.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(mount):
    """How many are open; 0 unless root asks: the daemon lets nobody else look."""
    return len(os.listdir(f"/proc/{mount.process.pid}/fd")) if os.geteuid() == 0 else 0


def look(mount):
    """Ends soon, whatever it finds."""
    for command in (("ls", mount.path, mount / "INBOX"), ("ls", mount / "Archive"),
                    ("cat", mount / "INBOX/2.eml")):
        within(9, run, *command, check=False)
    within(3, mount.text, ".mailfs/status")
    within(3, mount.text, ".mailfs/log")


def is_well(mount, folders):
    """The mount shows what the server holds, byte for byte."""
    for name, folder in folders.items():
        listing = mount.messages(name.decode(), check=False)
        if uids_of(listing) != sorted(folder.messages):
            return False
        for uid, entry in zip(sorted(folder.messages), listing):
            data = run("cat", mount / name.decode() / entry, check=False).stdout
            if data != folder.messages[uid].data:
                return False
    return sorted(os.fsencode(n) for n in os.listdir(mount.path)) == sorted(folders)


def check_calm(mount):
    """Polls, but does not spin."""
    before = cpu_seconds(mount)
    time.sleep(0.2)
    used = cpu_seconds(mount) - before
    assert used < 0.15, f"{used} s of CPU time in 0.2 s"


def besiege(evil, capability="IMAP4rev1", calm=True):
    """Mounts, attacks, makes peace."""
    with ScriptedServer(honest(), capability=capability) as script:
        with Mount(script.url(), ["tls=off", "poll=1", "timeout=1"]) as mount:
            equal(uids_of(mount.messages()), list(MAILS))
            equal(run("cat", mount / f"INBOX/{CACHED}.eml").stdout, MAILS[CACHED])
            memory, files = mount.memory_kib(), descriptors(mount)
            script.evil = evil
            look(mount)
            mount.process.send_signal(signal.SIGHUP)  # it connects anew
            time.sleep(0.2)
            look(mount)
            if calm:
                check_calm(mount)
            grown = mount.memory_kib() - memory
            assert SANITIZED or grown < MEMORY_KIB, f"{grown} KiB more"
            equal(len(script.commands) < COMMANDS, True, f"few of {len(script.commands)} commands")
            script.evil = None
            script.folders[b"INBOX"].messages[COUNT + 1] = Message(mail("peace"))
            mount.process.send_signal(signal.SIGHUP)
            make_peace(mount, script)
            check_calm(mount)
            assert descriptors(mount) <= files + LANES, f"{descriptors(mount)} open, {files} before"


def make_peace(mount, script):
    try:
        wait_until(lambda: is_well(mount, script.folders), 20, "peace")
    except AssertionError as error:
        listing = out("ls", "-R", mount.path, check=False)
        raise AssertionError(f"{error}: {listing}") from None


def attack(*args, **options):
    """A case that besieges with the function."""
    def register(function):
        def run_attack():
            besiege(function, **options)
        run_attack.__name__ = function.__name__
        case(run_attack)
        return function
    return register


# --- silence and ends ---


@attack()
def it_accepts_and_never_greets(connection, verb, argument, tag):
    raise Hang


@attack()
def it_greets_and_never_answers(connection, verb, argument, tag):
    if verb:
        raise Hang


@attack()
def it_closes_at_each_command(connection, verb, argument, tag):
    if verb:
        raise Cut


@attack()
def it_closes_after_each_command(connection, verb, argument, tag):
    if verb not in (b"", b"LOGIN", b"CAPABILITY"):
        raise Cut(tag + b" OK done\r\n")


@attack()
def it_closes_instead_of_greeting(connection, verb, argument, tag):
    raise Cut


@attack()
def it_says_no_to_everything(connection, verb, argument, tag):
    return "NO no" if verb else None


@attack()
def it_says_bad_to_everything(connection, verb, argument, tag):
    return "BAD bad" if verb else None


@attack()
def it_says_no_after_login(connection, verb, argument, tag):
    return None if verb in (b"", b"LOGIN", b"CAPABILITY") else "NO no"


@attack()
def it_refuses_the_password(connection, verb, argument, tag):
    return "NO [AUTHENTICATIONFAILED] no " + argument.decode() if verb == b"LOGIN" else None


@attack()
def it_says_bye_and_goes_on(connection, verb, argument, tag):
    if verb in (b"UID_FETCH", b"LIST"):
        connection.say("* BYE\r\n* 9 EXISTS\r\n* LIST () \"/\" after\r\n")


@attack()
def it_drips(connection, verb, argument, tag):
    if verb in (b"UID_FETCH", b"EXAMINE", b"LIST"):
        for _ in range(8):
            connection.say("*")
            time.sleep(0.05)
        raise Cut


@attack()
def it_greets_with_noise(connection, verb, argument, tag):
    raise Cut(bytes(range(256)) * 4000)


# --- numbers ---


@attack()
def it_counts_four_billion_messages(connection, verb, argument, tag):
    if verb == b"EXAMINE":
        connection.do_examine(argument)
        connection.say("* 4294967295 EXISTS\r\n* 4294967295 RECENT\r\n")
        return "OK done"


@attack()
def it_counts_down_and_up(connection, verb, argument, tag):
    if verb:
        connection.say("* 0 EXISTS\r\n* 3 EXISTS\r\n* 18446744073709551616 EXISTS\r\n"
                       "* -1 EXISTS\r\n* 1e5 EXISTS\r\n")


@attack()
def it_expunges_what_is_not_there(connection, verb, argument, tag):
    if verb in (b"EXAMINE", b"UID_FETCH", b"NOOP"):
        connection.say(f"* 0 EXPUNGE\r\n* {COUNT + 1} EXPUNGE\r\n* 4294967295 EXPUNGE\r\n")


@attack()
def it_expunges_without_end(connection, verb, argument, tag):
    if verb in (b"EXAMINE", b"UID_FETCH"):
        connection.say("* 1 EXPUNGE\r\n" * 20000)


@attack(capability="IMAP4rev1 QRESYNC CONDSTORE ENABLE")
def everything_vanishes(connection, verb, argument, tag):
    if verb in (b"UID_FETCH", b"NOOP"):
        connection.say("* VANISHED 1:4294967295\r\n* VANISHED (EARLIER) 4294967295:1\r\n")


@attack()
def it_invents_uids(connection, verb, argument, tag):
    if verb == b"UID_FETCH" and b"SUBJECT" in argument:
        for number, uid in enumerate((4294967295, 4294967294, 2147483648, 0, 4294967296), 6):
            header = b"Subject: invented\r\n\r\n"
            connection.say(b'* %d FETCH (UID %d FLAGS () INTERNALDATE "02-Mar-2020 10:00:00 +0000"'
                           b' RFC822.SIZE 18446744073709551615 BODY[HEADER.FIELDS (SUBJECT)] '
                           b'{%d}\r\n%s)\r\n' % (number, uid, len(header), header))


@attack()
def its_uidnext_is_the_highest(connection, verb, argument, tag):
    if verb == b"EXAMINE":
        connection.do_examine(argument)
        connection.say("* OK [UIDNEXT 4294967295] x\r\n* OK [UIDNEXT 99999999999999999999] x\r\n")
        return "OK done"


@attack()
def its_uidnext_goes_back(connection, verb, argument, tag):
    if verb == b"EXAMINE":
        connection.do_examine(argument)
        connection.say("* OK [UIDNEXT 1] x\r\n")
        return "OK done"


_validity = itertools.count(5000)


@attack()
def uidvalidity_changes_at_each_open(connection, verb, argument, tag):
    if verb == b"EXAMINE":
        connection.do_examine(argument)
        connection.say(f"* OK [UIDVALIDITY {next(_validity)}] x\r\n")
        return "OK done"


@attack()
def uidvalidity_changes_in_between(connection, verb, argument, tag):
    if verb == b"UID_FETCH":
        connection.say(f"* OK [UIDVALIDITY {next(_validity)}] x\r\n")


@attack()
def uidvalidity_is_missing_or_zero(connection, verb, argument, tag):
    if verb == b"EXAMINE":
        connection.do_examine(argument)
        connection.say("* OK [UIDVALIDITY 0] x\r\n")
        return "OK done"


_modseq = itertools.count(1 << 62, -1000)


@attack(capability="IMAP4rev1 CONDSTORE ENABLE")
def highestmodseq_goes_back(connection, verb, argument, tag):
    if verb == b"EXAMINE":
        connection.do_examine(argument)
        connection.say(f"* OK [HIGHESTMODSEQ {next(_modseq)}] x\r\n")
        return "OK done"
    if verb == b"STATUS":
        name = argument[:argument.rindex(b"(")].strip()
        connection.say(b"* STATUS %s (MESSAGES 4294967295 UIDNEXT 4294967295 UIDVALIDITY 1000 "
                       b"HIGHESTMODSEQ %d)\r\n" % (name, next(_modseq)))
        return "OK done"


# --- folders ---


@attack()
def separators_change(connection, verb, argument, tag):
    if verb == b"LIST":
        for separator in (b'"/"', b'"."', b'"%"', b"NIL", b'"\\\\"', b'"\\""', b'"a"', b'""'):
            connection.say(b"* LIST () %s a/b.c%%d\\\\e\r\n" % separator)
            connection.say(b"* LIST () %s INBOX\r\n" % separator)
        return "OK done"


@attack()
def folders_are_listed_twice(connection, verb, argument, tag):
    if verb == b"LIST":
        for attributes in ("\\Noselect", "", "\\NonExistent", "\\HasChildren \\HasNoChildren"):
            for name in ("INBOX", "inbox", "InBoX", "Archive", '"Archive"', "Archive/", "/Archive",
                         "Archive//x", "//"):
                connection.say(f'* LIST ({attributes}) "/" {name}\r\n')
        return "OK done"


@attack(calm=False)
def a_tree_is_ten_thousand_deep(connection, verb, argument, tag):
    if verb == b"LIST":
        for depth in (63, 64, 65, 499, 500, 501, 10000):
            connection.say('* LIST () "/" "' + "/".join(["d"] * depth) + '"\r\n')
        connection.say('* LIST () "/" INBOX\r\n')
        return "OK done"


@attack(calm=False)
def folders_are_many(connection, verb, argument, tag):
    if verb == b"LIST":
        connection.say("".join(f'* LIST () "/" f{n}\r\n' for n in range(3000)))


@attack()
def names_are_hostile(connection, verb, argument, tag):
    if verb == b"LIST":
        for name in (b"..", b".", b"../../etc/passwd", b"a/../b", b"/etc", b"~root", b"", b" ",
                     b"\x1b[31mred\x07", "\u202egnp.exe".encode(), b"&AAA-", b"&Jj", b"&-&-&",
                     b"\xff\xfe", b"a\x00b", b"a\r\nb", b"%2e%2e", b"x" * 999, b"x" * 1000,
                     b"x" * 1001, b"x" * 65536, b"'; rm -rf ~; '", b".mailfs", b"outbox",
                     b"INBOX/..", b"\\\\\"", b"*", b"%"):
            connection.say(b'* LIST () "/" {%d}\r\n%s\r\n' % (len(name), name))


# --- messages ---

@case
def a_body_that_is_never_the_same_is_one_to_its_readers():
    rounds = itertools.count(1)

    def evil(connection, verb, argument, tag):
        if verb == b"UID_FETCH" and b"BODY.PEEK[]" in argument:
            for uid in connection.uids(argument.split()[0]):
                data = (b"%d " % next(rounds)) * (next(rounds) * 7 % 300 + 1)
                connection.say(b"* 1 FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (
                    uid, len(data), data))
            return "OK done"

    with ScriptedServer(honest(), evil=evil) as script:
        with Mount(script.url(), ["tls=off", "poll=1", "timeout=1"]) as mount:
            for uid in MAILS:
                path = mount / f"INBOX/{uid}.eml"
                first = run("cat", path).stdout
                equal(len(set(first.split())), 1, "versions in one message")
                equal(run("cat", path).stdout, first)
                equal(path.stat().st_size, len(first))


@attack()
def bodies_are_of_others(connection, verb, argument, tag):
    if verb == b"UID_FETCH" and b"BODY.PEEK[]" in argument:
        for uid in (CACHED, 77, 4294967295):  # the others may have been asked for by now
            connection.say(f"* {uid} FETCH (UID {uid} BODY[] {{3}}\r\nbad)\r\n")
        return "OK done"


@attack(calm=False)
def fetches_flood(connection, verb, argument, tag):
    if verb in (b"UID_FETCH", b"NOOP"):
        for uid in range(1000, 40000):
            connection.say(f"* {uid} FETCH (UID {uid} FLAGS (\\Seen k{uid}))\r\n")


@attack()
def a_literal_is_announced_and_not_sent(connection, verb, argument, tag):
    if verb == b"UID_FETCH":
        raise Cut(b"* 2 FETCH (UID 2 BODY[] {100000}\r\nshort")


@attack()
def a_literal_is_awaited_for_ever(connection, verb, argument, tag):
    if verb == b"UID_FETCH":
        connection.say("* 2 FETCH (UID 2 BODY[] {9999}\r\nshort")
        raise Hang


@attack()
def literals_are_huge(connection, verb, argument, tag):
    if verb == b"UID_FETCH":
        for size in ("268435457", "4294967296", "18446744073709551615", "18446744073709551616",
                     "-1", "1e9", "0x10", ""):
            connection.say(f"* 2 FETCH (UID 2 BODY[] {{{size}}}\r\n")
        raise Cut


@attack()
def bodies_lack_what_was_asked(connection, verb, argument, tag):
    if verb == b"UID_FETCH":
        connection.say('* 2 FETCH (UID 2)\r\n* 2 FETCH ()\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\n'
                       '* 2 FETCH (BODY[] "x" UID 3)\r\n')
        return "OK done"


@attack()
def subjects_are_hostile(connection, verb, argument, tag):
    subjects = [b"\x1b]0;owned\x07", b"../../../etc/passwd", "\u202etxt.exe\u2066".encode(),
                b"=?utf-8?B?L2V0Yy9wYXNzd2QAAA==?=", b"=?utf-8?Q?=00=0A=1B?=", b"\xff" * 5000,
                b"=?x?Q?" * 2000, b"a\r\n " * 5000]
    messages = connection.script.folders[b"INBOX"].messages
    if verb == b"EXAMINE" and len(messages) < 10:
        for number, subject in enumerate(subjects):
            messages[100 + number] = Message(mail("x"), subject=subject)


# --- grammar ---


@attack(calm=False)
def lines_are_endless(connection, verb, argument, tag):
    if verb in (b"UID_FETCH", b"LIST"):
        connection.say(b"* OK " + b"x" * 2000000)
        raise Hang


@attack(calm=False)
def lines_are_long(connection, verb, argument, tag):
    if verb in (b"UID_FETCH", b"LIST", b"NOOP"):
        connection.say(b"* OK [ALERT] " + b"\x1b\xff" * 500000 + b"\r\n")
        connection.say(b"* SEARCH" + b" 1" * 90000 + b"\r\n")


@attack()
def parentheses_flood(connection, verb, argument, tag):
    if verb in (b"UID_FETCH", b"LIST"):
        connection.say(b"* 1 FETCH " + b"(" * 500000 + b"\r\n")
        connection.say(b"* 1 FETCH (UID 1 X " + b"(" * 400000 + b")" * 400000 + b")\r\n")


@attack()
def tags_are_answered_twice(connection, verb, argument, tag):
    if verb:
        connection.say(tag + b" OK done\r\n")


@attack()
def tags_are_answered_before(connection, verb, argument, tag):
    number = int("".join(filter(str.isdigit, tag.decode())) or 0)
    prefix = tag.rstrip(b"0123456789")
    for ahead in range(1, 5):
        connection.say(b"%s%d OK done\r\n" % (prefix, number + ahead))


@attack()
def plus_is_out_of_turn(connection, verb, argument, tag):
    connection.say("+ go on\r\n" * 3)


@attack(capability="IMAP4rev1 LITERAL+ ID ENABLE CONDSTORE QRESYNC")
def status_codes_are_odd(connection, verb, argument, tag):
    for code in ("UIDVALIDITY", "UIDVALIDITY x", "UIDNEXT -1", "REFERRAL imap://evil/", "ALERT",
                 "CAPABILITY " + "X" * 5000, "BADCHARSET (((", "COPYUID 1 1:4294967295 1:*", "",
                 "]", "APPENDUID 4294967296 0"):
        connection.say(f"* OK [{code}] \x1b[31m text\r\n* NO [{code}]\r\n")


# --- starts ---


@case
def a_start_that_fails_says_why_once():
    for evil, status in ((it_closes_instead_of_greeting, 69), (it_greets_with_noise, 76),
                         (it_says_no_after_login, 69), (it_greets_and_never_answers, 75)):
        with ScriptedServer(honest(), evil=evil) as script:
            mount = Mount(script.url(), ["tls=off", "timeout=1"])
            done = within(5, run, *mount.command, env=mount.home.environment, check=False)
            mount.home.check_reports()
            mount.abandon()
            lines = [line for line in done.stderr.splitlines() if not line.endswith(b": online")]
            equal((done.returncode, len(lines)), (status, 1), done.stderr)


# --- readers ---


@case
def many_readers_hold_few_files_open():
    readers = 100
    folders = {b"INBOX": Folder({uid: Message(mail(f"m {uid}")) for uid in range(1, 151)})}
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        mount.messages()
        command = f"cat {mount.path}/INBOX/*.eml"
        run("sh", "-c", command)
        running = [subprocess.Popen(["sh", "-c", f"{command}; {command}"], stderr=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL) for _ in range(readers)]
        peak = 0
        while any(process.poll() is None for process in running):
            peak = max(peak, descriptors(mount))
            time.sleep(0.02)
        for process in running:
            equal((process.stderr.read(), process.returncode), (b"", 0))
            process.stderr.close()
        assert peak < 4 * readers, f"{peak} files open"


main()
