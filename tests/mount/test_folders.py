"""Folder names: of a real server, of other separators, and of a hostile server."""

import os
import re

from harness import (Dovecot, Mount, case, equal, mail, main, ok, out, quote, run, utf7,
                     wait_until)
from scripted import Folder, Message, ScriptedServer

# The name as IMAP users know it, and the path that shows it.
SLASHED = {
    "Größe": "Größe",
    "日本/東京": "日本/東京",
    "with space": "with space",
    "100%": "100%25",
    'q"uo': 'q"uo',
    "back\\slash": "back\\slash",
    "star*": "star*",
    "R&D": "R&D",
    "NIL": "NIL",
    "-rf": "-rf",
    "2020.01": "2020.01",
    "7.eml": "7%2Eeml",
    "outbox": "%6Futbox",
    "deep/outbox": "deep/outbox",
    "😀": "😀",
    "/".join(f"d{n}" for n in range(20)): "/".join(f"d{n}" for n in range(20)),
}


def fill(server, names):
    client = server.imap()
    for name in names:
        ok(client.create(quote(name)))
        ok(client.append(quote(name), None, None, mail(utf7(name))))
    client.logout()


def check(mount, names):
    for name, path in names.items():
        directory = mount / path
        assert os.path.isdir(directory), path
        messages = mount.messages(path)
        equal(len(messages), 1, path)
        equal(run("cat", directory / messages[0]).stdout, mail(utf7(name)))


@case
def names_with_slash_as_separator():
    with Dovecot() as server:
        fill(server, SLASHED)
        with Mount(server) as mount:
            check(mount, SLASHED)
            listed = set(os.listdir(mount.path)) - {"INBOX"}
            equal(listed, {path.split("/")[0] for path in SLASHED.values()})


@case
def names_with_dot_as_separator():
    names = {"a.b.c": "a/b/c", "Größe": "Größe", "x y.100%": "x y/100%25", "INBOX.sub": "INBOX/sub"}
    with Dovecot(separator=".") as server:
        fill(server, names)
        with Mount(server) as mount:
            check(mount, names)
            equal(sorted(os.listdir(mount.path)), ["Größe", "INBOX", "a", "x y"])
            # a and a/b are not selectable.
            equal(os.listdir(mount / "a"), ["b"])


@case
def names_in_an_sdbox_with_bare_imap():
    names = {"Größe/x": "Größe/x", "100%": "100%25"}
    with Dovecot(layout="sdbox", capability="IMAP4rev1") as server:
        fill(server, names)
        with Mount(server) as mount:
            check(mount, names)


@case
def folders_that_cannot_be_selected_hold_only_folders():
    folders = {b"INBOX": Folder(), b"All": Folder(attributes="\\Noselect \\HasChildren"),
               b"All/one": Folder({1: Message(mail("one"))}),
               b"implied/two": Folder({1: Message(mail("two"))})}
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        equal(os.listdir(mount / "All"), ["one"])
        equal(os.listdir(mount / "implied"), ["two"])
        check_body(mount, "All/one", mail("one"))
        check_body(mount, "implied/two", mail("two"))
        equal(script.seen(r'^(SELECT|EXAMINE|STATUS) "?(All|implied)"?( |$)'), [])


def check_body(mount, path, data):
    messages = mount.messages(path)
    equal(len(messages), 1, path)
    equal(run("cat", mount / path / messages[0]).stdout, data)


@case
def a_dot_separator_may_leave_slashes_in_names():
    folders = {b"INBOX": Folder(separator='"."'),
               b"a/b.c": Folder({1: Message(mail("abc"))}, separator='"."')}
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        check_body(mount, "a%2Fb/c", mail("abc"))


@case
def without_a_separator_a_name_is_one_component():
    folders = {b"INBOX": Folder(separator="NIL"),
               b"a/b.c": Folder({1: Message(mail("abc"))}, separator="NIL")}
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        check_body(mount, "a%2Fb.c", mail("abc"))


HOSTILE = [b".", b"..", b"...", b".hidden", b".mailfs", b"a/../b", b"esc\x1b[31mred", b"nl\nx",
           b"tab\there", b"nl&AAo-x", b"bidi&IC4-x", b"slash&AC8-x", b"nul&AAA-x", b"\xff\xfe",
           b"\xc3\xbc", b"&bad", b"&AGE-", b"a", b"del\x7f", b"%2E", b"%", b" lead", b"trail ",
           b"x" * 255, b"y" * 300, b"&" + b"ZeU-&ZeU" * 30 + b"-", b"outbox", b"lost+found"]


@case
def hostile_names_become_harmless_and_stay_reachable():
    folders = {b"INBOX": Folder()}
    for number, name in enumerate(HOSTILE, 1):
        folders[name] = Folder({number: Message(mail(f"mail {number}"))}, uidvalidity=number)
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        found = set()
        for path, directories, files in os.walk(os.fsencode(mount.path)):
            for name in directories + files:
                text = name.decode()  # UTF-8 throughout
                assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), text
                assert text not in (".", "..") and not text.startswith("."), text
                assert len(name) <= 255, text
            for name in files:
                uid = int(name.split(b".")[0])
                data = run("cat", os.path.join(path, name)).stdout
                equal(data, mail(f"mail {uid}"), f"mail in {path}")
                assert uid not in found, f"{name} is shown twice"
                found.add(uid)
        missing = [HOSTILE[n - 1] for n in range(1, len(HOSTILE) + 1) if n not in found]
        equal(missing, [], "unreachable folders")
        equal(os.path.dirname(os.path.realpath(mount / "..")), os.path.dirname(
            os.path.dirname(mount.path)))


@case
def absurd_names_do_no_harm():
    folders = {b"INBOX": Folder({1: Message(mail("fine"))}), b"": Folder(), b"/": Folder(),
               b"//": Folder(), b"/root": Folder(), b"a//b": Folder(), b"z" * 5000: Folder(),
               b"/".join([b"d"] * 500): Folder(), b"nul\x00nul": Folder()}
    with ScriptedServer(folders) as script:
        mount = Mount(script.url(), ["tls=off"])
        with mount:
            check_body(mount, "INBOX", mail("fine"))
            run("find", mount.path)


@case
def the_same_folder_listed_twice_is_shown_once():
    class Twice(dict):
        def items(self):
            return [*super().items(), *super().items()]
    folders = Twice({b"INBOX": Folder(), b"a": Folder({1: Message(mail("a"))})})
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        equal(sorted(os.listdir(mount.path)), ["INBOX", "a"])


@case
def inbox_in_another_spelling_is_the_inbox():
    with ScriptedServer({b"Inbox": Folder({1: Message(mail("x"))})}) as script:
        script.folders[b"INBOX"] = script.folders.pop(b"Inbox")
        with Mount(script.url(), ["tls=off"]) as mount:
            check_body(mount, "inbox", mail("x"))


@case
def many_folders_are_all_there():
    folders = {b"INBOX": Folder()}
    folders.update({b"f%05d" % n: Folder() for n in range(5000)})
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off"]) as mount:
        equal(len(os.listdir(mount.path)), 5001)


@case
def folders_that_come_and_go_are_followed():
    folders = {b"INBOX": Folder(), b"old": Folder({1: Message(mail("old"))})}
    with ScriptedServer(folders) as script, Mount(script.url(), ["tls=off", "poll=1"]) as mount:
        check_body(mount, "old", mail("old"))
        script.folders = {b"INBOX": Folder(), b"new": Folder({1: Message(mail("new"))})}
        wait_until(lambda: out("ls", mount.path).split() == ["INBOX", "new"], 20, "new folders")
        check_body(mount, "new", mail("new"))
        assert not os.path.exists(mount / "old")


main()
