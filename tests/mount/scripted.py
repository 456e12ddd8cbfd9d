"""Servers that no real server would be: an IMAP server that lies when told to, and a relay that
counts, stalls and cuts."""

import contextlib
import re
import socket
import socketserver
import threading

from dovecot import PASSWORD


class Message:
    """`size` is what RFC822.SIZE claims; None: the truth."""

    def __init__(self, data, size=None, flags="", date="02-Mar-2020 10:00:00 +0000",
                 subject=None):
        self.data = data
        self.size = len(data) if size is None else size
        self.flags = flags
        self.date = date
        self.subject = subject

    def header(self):
        if self.subject is not None:
            return b"Subject: " + self.subject + b"\r\n\r\n"
        found = re.search(rb"(?im)^Subject:.*\r\n(?:[ \t].*\r\n)*", self.data)
        return (found[0] if found else b"") + b"\r\n"


class Folder:
    """`permanent`: it may be changed and keeps these flags; None: it is READ-ONLY."""

    def __init__(self, messages=None, uidvalidity=1000, attributes="", separator='"/"',
                 permanent=None):
        self.messages = messages or {}
        self.permanent = permanent
        self.uidvalidity = uidvalidity
        self.attributes = attributes
        self.separator = separator


class Hang(Exception):
    """Answers nothing more on this connection, which stays open."""


class Cut(Exception):
    """Closes the connection; the bytes given go out before."""


class ScriptedServer:
    """An IMAP4rev1 server in threads; `with ScriptedServer({b"INBOX": Folder({1: Message(b)})})`.

    hook(command, uid) may return bytes to send in place of the FETCH answer's item list for this
    UID, or raise Hang or Cut; None: as usual. `commands` is what clients sent, in order.

    evil(connection, verb, argument, tag), which may be set at any time, sees each command before
    it is answered and may say what it likes. What it returns is the tagged answer ("" for none);
    None: as usual. The greeting is the verb b"" with an empty tag.
    """

    def __init__(self, folders, capability="IMAP4rev1", greeting=None, hook=None, login=True,
                 evil=None):
        self.folders = folders
        self.capability = capability
        self.greeting = greeting or f"* OK [CAPABILITY {capability}] ready\r\n".encode()
        self.hook = hook or (lambda command, uid: None)
        self.login = login
        self.evil = evil
        self.commands = []
        self.released = threading.Event()
        self.lock = threading.Lock()

        script = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    Connection(script, self.rfile, self.wfile).serve()
                except Hang:
                    script.released.wait()
                except Cut as cut:
                    with contextlib.suppress(OSError):
                        self.wfile.write(cut.args[0] if cut.args else b"")
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def url(self, user="alice"):
        return f"imap://{user}@127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def seen(self, pattern):
        """The commands that match."""
        with self.lock:
            return [c for c in self.commands if re.search(pattern, c, re.I)]


class Connection:
    def __init__(self, script, reader, writer):
        self.script = script
        self.reader = reader
        self.writer = writer
        self.folder = None

    def say(self, data):
        self.writer.write(data if isinstance(data, bytes) else data.encode())
        self.writer.flush()

    def read_command(self):
        """One command with its literals in place, as bytes; None at the end."""
        command = b""
        while True:
            line = self.reader.readline()
            if not line:
                return None
            command += line.rstrip(b"\r\n")
            literal = re.search(rb"\{(\d+)(\+?)\}$", command)
            if not literal:
                return command
            if not literal[2]:
                self.say("+ go on\r\n")
            text = self.reader.read(int(literal[1]))
            command = command[:literal.start()] + b'"' + text.replace(
                b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'

    def corrupt(self, verb, argument, tag):
        evil = self.script.evil
        return evil and evil(self, verb, argument, tag)

    def serve(self):
        if self.corrupt(b"", b"", b"") is None:
            self.say(self.script.greeting)
        while True:
            command = self.read_command()
            if command is None:
                return
            tag, _, rest = command.partition(b" ")
            verb, _, argument = rest.partition(b" ")
            verb = verb.upper()
            if verb == b"UID":
                verb, _, argument = argument.partition(b" ")
                verb = b"UID_" + verb.upper()
            if verb not in (b"LOGIN", b"AUTHENTICATE"):
                with self.script.lock:
                    self.script.commands.append(rest.decode("latin-1"))
            status = self.corrupt(verb, argument, tag)
            if status is None:
                handler = getattr(self, "do_" + verb.decode("ascii", "replace").lower(), None)
                status = (handler(argument) if handler else "BAD unknown") or "OK done"
            if status:
                self.say(tag + b" " + status.encode() + b"\r\n")
            if verb == b"LOGOUT":
                return

    def do_capability(self, _):
        self.say(f"* CAPABILITY {self.script.capability}\r\n")

    def do_noop(self, _):
        pass

    do_check = do_close = do_unselect = do_id = do_noop

    def do_logout(self, _):
        self.say("* BYE\r\n")

    def do_login(self, argument):
        right = self.script.login and argument.rstrip(b'"').endswith(PASSWORD.encode())
        return "OK logged in" if right else "NO [AUTHENTICATIONFAILED] no"

    def do_namespace(self, _):
        self.say('* NAMESPACE (("" "/")) NIL NIL\r\n')

    def do_list(self, argument):
        if argument.endswith(b'""'):
            self.say('* LIST (\\Noselect) "/" ""\r\n')
            return
        for name, folder in self.script.folders.items():
            self.say(f"* LIST ({folder.attributes}) {folder.separator} ".encode())
            self.say(b"{%d}\r\n%s\r\n" % (len(name), name))

    def find(self, argument):
        name = re.match(rb'"((?:[^"\\]|\\.)*)"|(\S+)', argument)
        bare = name[2] if name[1] is None else re.sub(rb"\\(.)", rb"\1", name[1])
        if bare.upper() == b"INBOX":
            bare = b"INBOX"
        return self.script.folders.get(bare)

    def do_select(self, argument, examine=False):
        folder = self.find(argument)
        if folder is None or "\\noselect" in folder.attributes.lower():
            return "NO [NONEXISTENT] no such folder"
        self.folder = folder
        self.say("* FLAGS (\\Seen \\Deleted)\r\n"
                 f"* {len(folder.messages)} EXISTS\r\n* 0 RECENT\r\n"
                 f"* OK [UIDVALIDITY {folder.uidvalidity}] x\r\n"
                 f"* OK [UIDNEXT {max(folder.messages, default=0) + 1}] x\r\n")
        if examine or folder.permanent is None:
            return "OK [READ-ONLY] selected"
        self.say(f"* OK [PERMANENTFLAGS ({folder.permanent})] x\r\n")
        return "OK [READ-WRITE] selected"

    def do_examine(self, argument):
        return self.do_select(argument, examine=True)

    def do_status(self, argument):
        folder = self.find(argument)
        if folder is None:
            return "NO [NONEXISTENT] no such folder"
        name = argument[:argument.rindex(b"(")].strip()
        self.say(b"* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN 0)\r\n" % (
            name, len(folder.messages), max(folder.messages, default=0) + 1, folder.uidvalidity))

    def uids(self, text):
        """The known UIDs of a sequence set."""
        highest = max(self.folder.messages, default=0)
        wanted = set()
        for part in text.decode().split(","):
            first, _, last = part.partition(":")
            low, high = (highest if x == "*" else int(x) for x in (first, last or first))
            low, high = min(low, high), max(low, high)
            wanted |= {u for u in self.folder.messages if low <= u <= high}
        return sorted(wanted)

    def do_uid_search(self, argument):
        found = re.search(rb"UID (\S+)", argument)
        uids = self.uids(found[1] if found else b"1:*")
        self.say("* SEARCH" + "".join(f" {u}" for u in uids) + "\r\n")

    def do_uid_fetch(self, argument):
        numbers, _, items = argument.partition(b" ")
        order = sorted(self.folder.messages)
        for uid in self.uids(numbers):
            answer = self.script.hook(argument.decode("latin-1"), uid)
            if answer is None:
                answer = self.items(items, uid, self.folder.messages[uid])
            self.say(b"* %d FETCH (%s)\r\n" % (order.index(uid) + 1, answer))

    def do_uid_store(self, argument):
        numbers, how, flags = argument.decode().split(" ", 2)
        given = flags.strip("()").split()
        order = sorted(self.folder.messages)
        for uid in self.uids(numbers.encode()):
            message = self.folder.messages[uid]
            kept = [f for f in message.flags.split() if f not in given]
            message.flags = " ".join(kept + given if how[0] == "+" else kept)
            self.say(f"* {order.index(uid) + 1} FETCH (UID {uid} FLAGS ({message.flags}))\r\n")

    def do_append(self, argument):
        folder = self.find(argument)
        if folder is None:
            return "NO [TRYCREATE] no such folder"
        data = re.search(rb'"((?:[^"\\]|\\.)*)"$', argument, re.S)[1]
        uid = max(folder.messages, default=0) + 1
        folder.messages[uid] = Message(re.sub(rb"\\(.)", rb"\1", data, flags=re.S))

    def items(self, items, uid, message):
        answer = [b"UID %d" % uid]
        if b"FLAGS" in items:
            answer.append(b"FLAGS (%s)" % message.flags.encode())
        if b"INTERNALDATE" in items:
            answer.append(b'INTERNALDATE "%s"' % message.date.encode())
        if b"RFC822.SIZE" in items:
            answer.append(b"RFC822.SIZE %d" % message.size)
        if b"HEADER.FIELDS" in items:
            header = message.header()
            answer.append(b"BODY[HEADER.FIELDS (SUBJECT)] {%d}\r\n%s" % (len(header), header))
        body = re.search(rb"BODY\.PEEK\[\](?:<(\d+)\.(\d+)>)?", items)
        if body:
            data, origin = message.data, b""
            if body[1]:
                first, length = int(body[1]), int(body[2])
                data, origin = data[first:first + length], b"<%d>" % first
            answer.append(b"BODY[]%s {%d}\r\n%s" % (origin, len(data), data))
        return b" ".join(answer)


class Relay:
    """Passes connections on to a port of 127.0.0.1. Counts what the server sends; after `gate`
    bytes in all it passes on nothing more until the gate is moved."""

    def __init__(self, port, gate=None):
        self.target = port
        self.gate = gate
        self.passed = 0
        self.connections = 0
        self.change = threading.Condition()
        self.open = []
        self.closing = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.set_gate(None)
        self.cut()

    def set_gate(self, gate):
        with self.change:
            self.gate = gate
            self.change.notify_all()

    def cut(self):
        """Ends all connections at once."""
        with self.change:
            doomed, self.open = self.open, []
        for s in doomed:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                continue
            with self.change:
                self.connections += 1
                self.open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, False),
                             daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source, sink, counted):
        try:
            while data := source.recv(16384):
                if counted:
                    self._count(len(data))
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _count(self, length):
        with self.change:
            self.change.wait_for(lambda: self.closing or self.gate is None
                                 or self.passed + length <= self.gate)
            self.passed += length
