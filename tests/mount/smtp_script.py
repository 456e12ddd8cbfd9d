"""A submission server that does what it is told and writes down every byte. What a client must
never do it notes as a fault, whatever the case is about."""

import base64
import contextlib
import re
import select
import socket
import socketserver
import ssl
import struct
import threading

from dovecot import PASSWORD

CAPS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")
# Nothing may stand behind these in one write, nor may they come behind others.
ALONE = ("EHLO", "HELO", "STARTTLS", "AUTH", "DATA")
ADDRESS = re.compile(rb'<((?:"(?:[^"\\]|\\.)*"|[^<>"\s])*)>(?: (.*))?$', re.S)


class Cut(Exception):
    """Ends the connection, behind these bytes. `reset`: not even what came is read."""

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


class Letter:
    """What came before a final dot. `reply`: the answer; None: none was given.

    text  as it came, with its dots, without the last one
    """

    def __init__(self, session, sender, recipients, text):
        self.session = session
        self.sender = sender
        self.recipients = recipients
        self.text = text
        self.reply = None

    @property
    def data(self):
        return re.sub(rb"(?m)^\.", b"", self.text)

    @property
    def accepted(self):
        """Also where nobody was told."""
        return self.reply is None or self.reply.startswith("2")

    def __repr__(self):
        return f"Letter({self.sender}, {self.recipients}, {len(self.text)} bytes, {self.reply})"


class SmtpServer:
    """`with SmtpServer() as smtp: smtp.on("MAIL", "451 4.3.0 later")`: that is for the next.

    caps       lines of EHLO; None: EHLO is not known
    auth       mechanisms; "": no AUTH
    tls        None, "starttls" or "implicit", with `cert`, a (certificate, key)
    stripped   STARTTLS is not offered, and not known
    middle     so many bytes of the text make the step "MIDDLE"

    Steps are GREETING, EHLO, HELO, STARTTLS, AUTH, MORE (each line of a login behind its first),
    MAIL, RCPT, DATA, MIDDLE, TEXT (behind the final dot), RSET, NOOP and QUIT. What is done is None
    (as usual), a reply without its last line end, bytes, Cut, Hold, Drip, Endless, or a function of
    (session, argument) that gives one of these. 421 ends the connection.
    """

    def __init__(self, caps=CAPS, auth="", tls=None, cert=None, stripped=False, middle=0):
        self.caps = None if caps is None else list(caps)
        self.auth = auth
        self.tls = tls
        self.cert = cert
        self.stripped = stripped
        self.middle = middle
        self.lock = threading.Lock()
        self.sessions = []
        self.letters = []
        self.faults = []
        self._steps = {}
        self._always = {}
        self._holds = []

        script = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                session = Session(script, self.request)
                with script.lock:
                    script.sessions.append(session)
                session.run()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

            def server_bind(self):
                # So that not much of a long text is on its way.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
                super().server_bind()

            def shutdown_request(self, request):
                """The session closes its socket itself, as it may be another by now."""

        self.server = Server(("127.0.0.1", 0), Handler)
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

    def url(self, user=None, host="127.0.0.1"):
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        return f"{scheme}://{user + '@' if user else ''}{host}:{self.port}"

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

    def accepted(self):
        with self.lock:
            return [letter for letter in self.letters if letter.accepted]

    def seen(self, pattern, since=0):
        """The commands that match, of sessions from number `since` on."""
        with self.lock:
            return [c for s in self.sessions[since:] for c in s.commands
                    if re.search(pattern, c, re.I)]

    def bytes_since(self, number=0):
        """All that came, session by session."""
        with self.lock:
            return [bytes(s.received) for s in self.sessions[number:]]


class Session:
    """One connection.

    received  all bytes, of TLS what was in it
    clear     those that came without TLS
    chunks    the same as `received`, by read
    commands  lines; no text
    """

    def __init__(self, script, sock):
        self.script = script
        self.socket = sock
        self.caps = list(script.caps or [])
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
        self._sender = None
        self._recipients = []
        self._utf8 = False

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
            if cut.reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                self.socket.close()
                return
            if cut.words:
                self.socket.sendall(cut.words)
            # Closed with something unread it would be a reset.
            self.socket.settimeout(2)
            self.finish()
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
        if not self.secure and select.select([self.socket], [], [], 0)[0]:
            self.fault("it speaks first")
        self._answer("GREETING", b"", "220 scripted.example ESMTP")
        while (line := self._line()) is not None:
            verb, _, argument = line.rstrip(b"\r\n").partition(b" ")
            verb = verb.decode("ascii", "replace").upper()
            with self.script.lock:
                self.commands.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            self._check_line(verb, line)
            handler = getattr(self, "_do_" + verb.lower(), None)
            if handler is None:
                self.fault("unknown command")
                self.say(b"500 5.5.2 unknown\r\n")
                continue
            handler(argument)
            if verb == "QUIT":
                return

    def _check_line(self, verb, line):
        if not line.endswith(b"\r\n") or re.search(rb"[\0\r\n]", line[:-2]):
            self.fault("bad line")
        if len(line) > (12288 if verb == "AUTH" else 1024):
            self.fault("long line")
        if re.search(rb"[\x80-\xff]", line) and not (self._utf8 or b"SMTPUTF8" in line):
            self.fault("8 bits in a command")
        if self._buffer and (verb in ALONE or "PIPELINING" not in self.caps):
            self.fault(f"bytes behind {verb}")
        if not self._first and verb in ALONE:
            self.fault(f"{verb} behind others")

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
        if step.startswith("421"):
            raise Cut(step.encode() + b"\r\n")
        self.say(step.encode() + b"\r\n")
        return step

    def _say_forever(self, data):
        block = data * (65536 // len(data) + 1)
        for _ in range(1024):
            self.say(block)
        self.fault("it listens for ever")
        raise Cut(reset=True)

    def _offers(self, word):
        return any(c.split(" ")[0] == word for c in self.caps)

    def _do_ehlo(self, argument):
        script = self.script
        if script.caps is None:
            self._answer("EHLO", argument, "502 5.5.2 unknown")
            return
        if self.login:
            self.fault("EHLO behind AUTH")
        self.caps = list(script.caps)
        if script.tls == "starttls" and not self.secure and not script.stripped:
            self.caps.append("STARTTLS")
        if script.auth:
            self.caps.append("AUTH " + script.auth)
        lines = ["scripted.example", *self.caps]
        reply = [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]
        self._answer("EHLO", argument, "\r\n".join(reply))

    def _do_helo(self, argument):
        self.caps = []
        self._answer("HELO", argument, "250 scripted.example")

    def _do_starttls(self, argument):
        if not self._offers("STARTTLS"):
            self.fault("STARTTLS was not offered")
        if self._answer("STARTTLS", argument, "220 2.0.0 go")[0] != "2":
            return
        self._buffer = b""
        self._secure()

    def _do_auth(self, argument):
        mechanism, _, initial = argument.decode().partition(" ")
        if mechanism not in self.script.auth.split():
            self.fault(f"AUTH {mechanism} was not offered")
        step = self.script.step("AUTH")
        if step is not None:
            self._perform(step, argument, "235 2.7.0 in")
            return
        said = [initial]
        prompts = ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"] if mechanism == "LOGIN" else [""]
        for prompt in prompts[1 if initial else 0:]:
            if self._answer("MORE", argument, f"334 {prompt}")[0] != "3":
                return
            said.append((self._line() or b"").decode().strip())
        words = b"\0".join(base64.b64decode(s, validate=True) for s in said if s).split(b"\0")
        self.login = mechanism, words[-2].decode(), words[-1].decode()
        right = self.login[2] == PASSWORD
        self._perform(None, b"", "235 2.7.0 in" if right else "535 5.7.8 no")

    def _do_mail(self, argument):
        match = ADDRESS.match(argument.removeprefix(b"FROM:"))
        if not match or not argument.startswith(b"FROM:") or self._sender is not None:
            self.fault("bad MAIL")
        for parameter in (match[2] or b"").split() if match else ():
            name = parameter.split(b"=")[0].decode()
            offer = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN",
                     "ENVID": "DSN"}.get(name)
            if offer is None or not self._offers(offer):
                self.fault(f"{name} was not offered")
            self._utf8 = self._utf8 or name == "SMTPUTF8"
        if self._answer("MAIL", argument, "250 2.1.0 ok")[0] == "2" and match:
            self._sender = match[1].decode()
            self._recipients = []

    def _do_rcpt(self, argument):
        match = ADDRESS.match(argument.removeprefix(b"TO:"))
        if not match or not match[1] or not argument.startswith(b"TO:"):
            self.fault("bad RCPT")
        if match and match[2] and not self._offers("DSN"):
            self.fault("parameters of RCPT were not offered")
        usual = "250 2.1.5 ok" if self._sender is not None else "503 5.5.1 MAIL first"
        if self._answer("RCPT", argument, usual)[0] == "2" and match:
            self._recipients.append(match[1].decode())

    def _do_data(self, argument):
        # Only a client that sends DATA along with RCPT would ask without a recipient.
        if not self._recipients:
            self.fault("DATA for nobody")
        if self._answer("DATA", argument, "354 go")[0] != "3":
            return
        letter = Letter(self, self._sender, self._recipients, self._text())
        with self.script.lock:
            self.script.letters.append(letter)
        try:
            letter.reply = self._answer("TEXT", argument, "250 2.0.0 queued")
        except Cut as cut:
            if re.fullmatch(rb"\d{3} .*\r\n", cut.words):
                letter.reply = cut.words.decode()
            raise
        self._do_rset(argument, silent=True)

    def _text(self):
        text, middle = bytearray(self._buffer), self.script.middle
        while not (text == b".\r\n" or text.endswith(b"\r\n.\r\n")):
            if middle and len(text) >= middle:
                middle = 0
                self._answer("MIDDLE", b"", b"")
            data = self._read()
            if not data:
                raise Cut()
            text += data
        self._buffer = b""
        # An end before the end, by whatever way of counting lines.
        if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", text):
            self.fault("bare line ends or NUL in the text")
        if re.search(rb"(?:^|\n)\.\r\n", text[:-3]):
            self.fault("a dot inside of the text")
        return bytes(text[:-3])

    def _do_rset(self, argument, silent=False):
        self._sender, self._recipients, self._utf8 = None, [], False
        if not silent:
            self._answer("RSET", argument, "250 2.0.0 ok")

    def _do_noop(self, argument):
        self._answer("NOOP", argument, "250 2.0.0 ok")

    def _do_quit(self, argument):
        self._answer("QUIT", argument, "221 2.0.0 bye")
