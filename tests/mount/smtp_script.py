"""A submission server that does what it is told and writes down every byte. What a client must
never do it notes as a fault, whatever the case is about."""

import base64
import re
import select

from dovecot import PASSWORD
from script import Cut, Drip, Endless, Hold, Script, Talk  # noqa: F401

CAPS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")
# Nothing may stand behind these in one write, nor may they come behind others.
ALONE = ("EHLO", "HELO", "STARTTLS", "AUTH", "DATA")
ADDRESS = re.compile(rb'<((?:"(?:[^"\\]|\\.)*"|[^<>"\s])*)>(?: (.*))?$', re.S)


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


class SmtpServer(Script):
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
        super().__init__(Session, tls, cert)
        self.caps = None if caps is None else list(caps)
        self.auth = auth
        self.stripped = stripped
        self.middle = middle
        self.letters = []

    def url(self, user=None, host="127.0.0.1"):
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        return f"{scheme}://{user + '@' if user else ''}{host}:{self.port}"

    def accepted(self):
        with self.lock:
            return [letter for letter in self.letters if letter.accepted]


class Session(Talk):
    """One connection."""

    def __init__(self, script, sock):
        super().__init__(script, sock)
        self.caps = list(script.caps or [])
        self._sender = None
        self._recipients = []
        self._utf8 = False

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

    def _ends(self, reply):
        return reply.startswith("421")

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
