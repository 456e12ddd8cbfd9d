"""What the scripted servers of line protocols share (smtp_script.py, pop3_script.py): a server that
does what it is told and writes down every byte."""

import contextlib
import re
import socket
import socketserver
import ssl
import struct
import threading


class Cut(Exception):
    """Ends the connection, behind these bytes. `reset`: nothing more is read; else what still comes
    is, until the client ends it, too."""

    def __init__(self, words=b"", reset=False):
        super().__init__()
        self.words = words
        self.reset = reset


class Hold:
    """Sets `reached`, waits for `go`, and then does `then`."""

    def __init__(self, then=None):
        self.then = then
        self.reached = threading.Event()
        self.go = threading.Event()

    def wait(self, seconds=20):
        if not self.reached.wait(seconds):
            raise AssertionError(f"not reached within {seconds} s")


class Drip:
    """Says these bytes one by one."""

    def __init__(self, data, gap=0.005):
        self.data = data
        self.gap = gap


class Endless:
    """Says these bytes again and again, until nobody listens; at most 64 MiB."""

    def __init__(self, data):
        self.data = data


class Script:
    """A server on loopback whose connections are of a class derived from Talk.

    tls  None, "starttls" or "implicit", with `cert`, a (certificate, key)
    """

    def __init__(self, talk, tls=None, cert=None):
        self.tls = tls
        self.cert = cert
        self.lock = threading.Lock()
        self.sessions = []
        self.faults = []
        self._steps = {}
        self._always = {}
        self._holds = []

        script = self

        class Server(socketserver.TCPServer):
            allow_reuse_address = True

            def server_bind(self):
                # So that not much of a long text is on its way.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
                super().server_bind()

            def process_request(self, request, client_address):
                """The sessions stand in the order in which they came; each closes its socket
                itself, as it may be another by now."""
                session = talk(script, request)
                with script.lock:
                    script.sessions.append(session)
                threading.Thread(target=session.run, daemon=True).start()

        self.server = Server(("127.0.0.1", 0), None)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.clear()
        for session in list(self.sessions):
            session.close()

    # --- the script ---

    def on(self, what, *steps):
        """The next times. Gives back the last step."""
        with self.lock:
            self._steps.setdefault(what, []).extend(steps)
            self._keep(steps)
        return steps[-1]

    def always(self, what, step):
        """When there is nothing else to do."""
        with self.lock:
            self._always[what] = step
            self._keep([step])
        return step

    def _keep(self, steps):
        self._holds += [s for s in steps if isinstance(s, Hold)]

    def clear(self):
        """Everything as usual from now on; what is held goes on."""
        with self.lock:
            self._steps.clear()
            self._always.clear()
            holds, self._holds = self._holds, []
        for hold in holds:
            hold.go.set()

    def step(self, what):
        with self.lock:
            waiting = self._steps.get(what)
            return waiting.pop(0) if waiting else self._always.get(what)

    def hang_up(self):
        """As a server that is tired of idle clients; they have noticed when this comes back."""
        with self.lock:
            idle = [s for s in self.sessions if not s.ended.is_set()]
        for session in idle:
            session.finish()
        for session in idle:
            if not session.ended.wait(20):
                raise AssertionError("a client does not mind that its connection was closed")

    # --- what came ---

    def seen(self, pattern, since=0):
        """The commands that match, of sessions from number `since` on."""
        with self.lock:
            return [c for s in self.sessions[since:] for c in s.commands
                    if re.search(pattern, c, re.I)]

    def bytes_since(self, number=0):
        """All that came, session by session."""
        with self.lock:
            return [bytes(s.received) for s in self.sessions[number:]]


class Talk:
    """One connection.

    received  all bytes, of TLS what was in it
    clear     those that came without TLS
    chunks    the same as `received`, by read
    commands  lines; no text
    """

    def __init__(self, script, sock):
        self.script = script
        self.socket = sock
        self.secure = False
        self.received = bytearray()
        self.clear = bytearray()
        self.chunks = []
        self.commands = []
        self.login = None
        self.tls_error = None
        self.ended = threading.Event()
        self._buffer = b""
        self._first = True  # the line was the first of what was read

    def fault(self, what):
        with self.script.lock:
            self.script.faults.append(f"{what}: {self.commands[-4:]}")

    # --- bytes ---

    def run(self):
        try:
            if self.script.tls == "implicit":
                self._secure()
            self._serve()
        except Cut as cut:
            self._cut(cut)
        except OSError:
            pass
        finally:
            self.close()

    def close(self):
        self.ended.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.socket.close()

    def finish(self):
        """Nothing more is said. The client closes, or is late."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def _cut(self, cut):
        with contextlib.suppress(OSError):
            if cut.words:
                self.socket.sendall(cut.words)
            if cut.reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                self.socket.close()
                return
            self.finish()
            # Closed with something unread it would be a reset.
            self.socket.settimeout(2)
            while self._read():
                pass

    def _secure(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, self.script.cert))
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.tls_error = str(error)
            raise Cut(reset=True) from None
        self.secure = True

    def say(self, data):
        self.socket.sendall(data)

    def _read(self):
        try:
            data = self.socket.recv(65536)
        except (ssl.SSLError, OSError):
            data = b""
        with self.script.lock:
            self.received += data
            if not self.secure:
                self.clear += data
            if data:
                self.chunks.append(data)
        return data

    def _line(self):
        """A line with its end; None at the end of all."""
        self._first = not self._buffer
        while b"\n" not in self._buffer:
            data = self._read()
            if not data:
                return None
            self._buffer += data
        end = self._buffer.index(b"\n") + 1
        line, self._buffer = self._buffer[:end], self._buffer[end:]
        return line

    # --- the conversation ---

    def _serve(self):
        raise NotImplementedError

    def _ends(self, reply):
        """This reply is followed by the end of the connection."""
        return False

    def _answer(self, what, argument, usual):
        """The first line of what was said; "" if nothing that means anything."""
        return self._perform(self.script.step(what), argument, usual)

    def _perform(self, step, argument, usual):
        if isinstance(step, Hold):
            step.reached.set()
            step.go.wait()
            step = step.then
        if callable(step):
            return self._perform(step(self, argument), argument, usual)
        if step is None:
            step = usual
        if isinstance(step, Cut):
            raise step
        if isinstance(step, Endless):
            self._say_forever(step.data)
        if isinstance(step, Drip):
            for n in range(len(step.data)):
                self.say(step.data[n:n + 1])
                self.ended.wait(step.gap)
            return step.data.decode("latin-1")
        if isinstance(step, bytes):
            self.say(step)
            return step.decode("latin-1") or " "
        if self._ends(step):
            raise Cut(step.encode() + b"\r\n")
        self.say(step.encode() + b"\r\n")
        return step

    def _say_forever(self, data):
        block = data * (65536 // len(data) + 1)
        for _ in range(1024):
            self.say(block)
        self.fault("it listens for ever")
        raise Cut(reset=True)
