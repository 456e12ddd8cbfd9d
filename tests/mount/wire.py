"""A relay that understands as much IMAP as it takes to write down commands, to delay them, and to
stop the conversation at one of them."""

import queue
import re
import socket
import threading
import time

LITERAL = re.compile(rb"\{(\d+)([+-]?)\}\r\n$")
PLUS_CODES = re.compile(rb"\[(?:COPYUID|APPENDUID) [^\]]*\] ?")


class _Cutter:
    """Cuts a stream into lines and the parts of literals as they come."""

    def __init__(self):
        self.line = b""
        self.literal = 0
        self.inside = False  # a line follows a literal of the same command

    def feed(self, data):
        """Yields (bytes, what): "start" of a command or answer, "rest" of its lines, "literal"."""
        while data:
            if self.literal:
                part, data = data[:self.literal], data[self.literal:]
                self.literal -= len(part)
                yield part, "literal"
                continue
            end = data.find(b"\n") + 1
            if not end:
                self.line += data
                return
            line, self.line, data = self.line + data[:end], b"", data[end:]
            found = LITERAL.search(line)
            what = "rest" if self.inside else "start"
            self.literal = int(found[1]) if found else 0
            self.inside = bool(found)
            yield line, what


class _Stop:
    def __init__(self, number, mode, pattern):
        self.left = number
        self.pattern = pattern
        self.mode = mode
        self.tag = None
        self.pair = None


class Wire:
    """Between mailfs and a port of 127.0.0.1, in cleartext.

    delay  seconds that everything takes, each way
    bare   what a server without UIDPLUS would not say is taken out
    """

    def __init__(self, port, delay=0.0, bare=False):
        self.target = port
        self.delay = delay
        self.bare = bare
        self.change = threading.Condition()
        self.commands = []  # without tags, literals as {n}
        self.bad = []       # answers BAD
        self.connections = 0
        self.turns = []     # of each connection: how often a command had to wait for an answer
        self.blind = []     # commands that expunge what others marked
        self.stopped = threading.Event()
        self.stop_count = 0  # commands when it was stopped
        self.held = False
        self._stop = None
        self._last = {}
        self._turn = {}     # connection -> its place in turns, whether an answer came
        self._writable = {}
        self._open = []
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.release()

    def url(self, user):
        return f"imap://{user}@127.0.0.1:{self.port}"

    def seen(self, pattern, since=0):
        """The commands that match, of those from number `since` on; NOTIFY names what others do."""
        with self.change:
            return [c for c in self.commands[since:]
                    if re.search(pattern, c, re.I) and not c.startswith("NOTIFY")]

    def count(self):
        with self.change:
            return len(self.commands)

    def stop_at(self, number, mode, pattern=""):
        """The number-th command from now on (of those that match) is the last: "before" the server gets it; "after" it
        answered, which nobody hears; "half": in the middle of its literal, or before it if it has
        none. Then `stopped` is set."""
        with self.change:
            self._stop = _Stop(number, mode, pattern)

    def hold(self):
        """Nothing passes any more; connections stay."""
        with self.change:
            self.held = True

    def release(self):
        """Ends all connections; the next ones are served as usual."""
        self.cut()
        with self.change:
            self.held = False
            self._stop = None
            self.stopped.clear()
            self.change.notify_all()

    def cut(self):
        with self.change:
            doomed, self._open = self._open, []
            self.change.notify_all()
        for s in doomed:
            _shut(s)

    def _accept(self):
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.change:
                self._open += [client, server]
                pair = (client, server)
                self._turn[pair] = [len(self.turns), False]
                self.turns.append(0)
            for source, sink, filter_piece in ((client, server, self._up),
                                               (server, client, self._down)):
                threading.Thread(target=self._pass, daemon=True,
                                 args=(pair, source, sink, filter_piece)).start()

    def _pass(self, pair, source, sink, filter_piece):
        cutter = _Cutter()
        send = _Late(sink, self.delay).send if self.delay else sink.sendall
        try:
            while data := source.recv(65536):
                for piece, what in cutter.feed(data):
                    if passed := filter_piece(pair, piece, what):
                        send(passed)
        except OSError:
            pass
        if self.delay:
            send(b"")
        else:
            _shut(sink)
        _shut(source)

    def _up(self, pair, piece, what):
        with self.change:
            # DONE, and what is said to a "+", have no tag.
            command = what == "start" and b" " in piece.strip()
            self._wait(pair, lambda: command and self._stop and self._stop.tag)
            if command:
                self._note(pair, piece)
            elif what == "rest":
                last = self._last[pair]
                more = piece.decode("latin-1").strip()
                self.commands[last] = f"{self.commands[last]} {more}".strip()
            elif what == "literal":
                self._break_literal(pair, piece)
            self._wait(pair)
        return piece

    def _note(self, pair, line):
        tag, _, command = line.partition(b" ")
        turn = self._turn[pair]
        self.turns[turn[0]] += turn[1]
        turn[1] = False
        self._last[pair] = len(self.commands)
        self.commands.append(command.decode("latin-1").strip())
        verb = command.split(None, 1)[0].upper() if command.strip() else b""
        if verb in (b"SELECT", b"EXAMINE"):
            self._writable[pair] = verb == b"SELECT"
        if verb == b"EXPUNGE" or verb == b"CLOSE" and self._writable.get(pair):
            self.blind.append(self.commands[-1])
        stop = self._stop
        if not stop or not re.search(stop.pattern, self.commands[-1], re.I):
            return
        stop.left -= 1
        if stop.left == 0:
            stop.tag, stop.pair = tag, pair
            self.stop_count = len(self.commands)
            if stop.mode == "before" or stop.mode == "half" and not LITERAL.search(line):
                self.stopped.set()

    def _break_literal(self, pair, piece):
        stop = self._stop
        if stop and stop.mode == "half" and stop.pair is pair and not self.stopped.is_set():
            self.stopped.set()
            pair[1].sendall(piece[:len(piece) // 2])

    def _wait(self, pair, also=lambda: False):
        """Until the conversation goes on, if this connection lives to see it."""
        self.change.wait_for(lambda: pair[0] not in self._open or not (
            self.held or self.stopped.is_set() or also()))
        if pair[0] not in self._open:
            raise OSError("cut")

    def _down(self, pair, piece, what):
        with self.change:
            self._turn[pair][1] = True
            tag, _, rest = piece.partition(b" ")
            if what == "start" and tag not in (b"*", b"+") and rest.upper().startswith(b"BAD"):
                self.bad.append(piece.decode("latin-1").strip())
            if self.bare and what == "start":
                piece = PLUS_CODES.sub(b"", piece)
            stop = self._stop
            if stop and stop.mode == "after" and stop.pair is pair:
                if what == "start" and tag == stop.tag:
                    self.stopped.set()
                if tag != b"+" or what != "start":
                    return b""
                return piece
            self._wait(pair)
        return piece


class _Late:
    """Sends everything some time later, in order."""

    def __init__(self, sink, delay):
        self.sink = sink
        self.delay = delay
        self.queue = queue.Queue()
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, data):
        """b"": the end."""
        self.queue.put((time.monotonic() + self.delay, data))

    def _run(self):
        while True:
            when, data = self.queue.get()
            time.sleep(max(0, when - time.monotonic()))
            try:
                if data:
                    self.sink.sendall(data)
            except OSError:
                data = b""
            if not data:
                _shut(self.sink)
                return


def _shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
