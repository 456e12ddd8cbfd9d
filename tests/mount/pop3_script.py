"""A POP3 server that does what it is told and writes down every byte. What a client must never do
it notes as a fault, whatever the case is about."""

import base64
import hashlib
import re
import select
import socket
import time

from dovecot import PASSWORD
from script import Cut, Drip, Endless, Hold, Script, Talk  # noqa: F401

BEFORE = ("USER", "SASL PLAIN", "UIDL", "TOP", "RESP-CODES", "UTF8")
AFTER = ("USER", "UIDL", "TOP", "RESP-CODES", "PIPELINING", "UTF8")
LINE = 255  # RFC 2449 section 4
LOGINS = ("USER", "PASS", "APOP", "AUTH", "STLS", "UTF8")


class Mail:
    """What lies in a maildrop.

    uidl  "": a line of UIDL without one; None: there is no line for it
    size  what LIST says, also words; None: the truth, "": no line for it
    """

    def __init__(self, data, uidl, size=None):
        self.data = data
        self.uidl = uidl
        self.size = size

    def __repr__(self):
        return f"Mail({self.uidl!r}, {self.size}, {self.data[:40]!r}...)"


def delivered(data):
    """What POP3 makes of a message."""
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def lines_of(data):
    """The bytes of a message as they go over the wire; a bare LF ends no line."""
    data = delivered(data)
    return re.sub(rb"(\A|\r\n)\.", rb"\1..", data) + b".\r\n"


class Pop3Server(Script):
    """`with Pop3Server([Mail(data, "a")]) as pop: pop.on("PASS", "-ERR [IN-USE] later")`: that is
    for the next. `drop` may be altered at any time; a session has what it was at its login.

    before, after  lines of CAPA, before and behind the login; None: CAPA is not known
    timestamp      in the greeting
    stripped       STLS is not offered, and not known
    top, uidl      False: that is not known
    twice          a second session is let in besides the first
    password       the right one
    deaf           does not read what stands behind AUTH PLAIN, and says +OK instead of "+ "

    Steps are GREETING, CAPA, CAPA2 (behind the login), STLS, UTF8, USER, PASS, APOP, AUTH, MORE
    (the line behind AUTH), STAT, UIDL, LIST, TOP, RETR, DELE, NOOP, RSET and QUIT. What is done is
    None (as usual), a reply without its last line end, bytes, Cut, Hold, Drip, Endless, or a
    function of (session, argument) that gives one of these. QUIT deletes as usual whatever is said,
    but a function can do otherwise.
    """

    def __init__(self, drop=(), before=BEFORE, after=AFTER, timestamp="", tls=None, cert=None,
                 stripped=False, top=True, uidl=True, twice=False, password=PASSWORD,
                 deaf=False):
        super().__init__(Session, tls, cert)
        self.drop = list(drop)
        self.before = before
        self.after = after
        self.timestamp = timestamp
        self.stripped = stripped
        self.top = top
        self.uidl = uidl
        self.twice = twice
        self.password = password
        self.deaf = deaf
        self.deleted = []  # of Mail

    def url(self, user="alice", host="127.0.0.1"):
        scheme = "pop3s" if self.tls == "implicit" else "pop3"
        return f"{scheme}://{user}@{host}:{self.port}"

    def uidls(self):
        with self.lock:
            return [m.uidl for m in self.drop]

    def open_sessions(self):
        with self.lock:
            return [s for s in self.sessions if not s.ended.is_set()]

    def logins(self):
        """The sessions that came so far."""
        with self.lock:
            return [s for s in self.sessions if s.drop is not None]


class Session(Talk):
    """One connection.

    drop     [Mail] as it was at the login; None: no login yet
    marked   places, from 1, that DELE was for
    began_s  when, by the monotonic clock; ended_s likewise
    """

    def __init__(self, script, sock):
        super().__init__(script, sock)
        self.drop = None
        self.marked = []
        self.began_s = time.monotonic()
        self.ended_s = None
        self._user = None

    def close(self):
        if self.ended_s is None:
            self.ended_s = time.monotonic()
        super().close()

    @property
    def caps(self):
        caps = self.script.before if self.drop is None else self.script.after
        return list(caps or ())

    # --- the conversation ---

    def _serve(self):
        with self.script.lock:
            before = self.script.sessions[:self.script.sessions.index(self)]
        others = [s for s in before if not s.ended.is_set()]
        # One that was cut by us may not have noticed.
        if not self.script.twice and any(not s.ended.wait(3) for s in others):
            self.fault("a second session")
        self._answer("GREETING", b"", f"+OK ready {self.script.timestamp}".strip())
        while (line := self._line()) is not None:
            verb, _, argument = line.rstrip(b"\r\n").partition(b" ")
            verb = verb.decode("ascii", "replace").upper()
            self._note(verb, line)
            self._check_line(verb, line)
            handler = getattr(self, "_do_" + verb.lower(), None)
            if handler is None:
                self.fault("unknown command")
                self.say(b"-ERR unknown\r\n")
                continue
            handler(argument)
            if verb == "QUIT":
                return

    def _note(self, verb, line):
        """Not with what is secret."""
        words = line.rstrip(b"\r\n").decode("utf-8", "replace")
        with self.script.lock:
            self.commands.append("PASS ***" if verb == "PASS" else words)

    def _check_line(self, verb, line):
        if not line.endswith(b"\r\n") or re.search(rb"[\0\r\n]", line[:-2]):
            self.fault("bad line")
        if len(line) > LINE:
            self.fault("long line")
        early = "PIPELINING" not in self.caps or self.drop is None
        if early and (self._buffer or self._more_came()):
            self.fault(f"bytes behind {verb}")
        # Where CAPA fails behind the login there may have been none: see `deaf`.
        if verb in LOGINS and self.drop is not None and not (verb == "AUTH" and
                                                             self.script.after is None):
            self.fault(f"{verb} behind the login")
        if verb == "QUIT" and (self._buffer or not self._first):
            self.fault("QUIT is not alone")

    def _more_came(self):
        if self.secure or not select.select([self.socket], [], [], 0)[0]:
            return False
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except OSError:
            return False

    def _offers(self, word):
        return any(c.upper().split(" ")[0] == word for c in self.caps)

    def _lines(self, what, argument, first, lines):
        """A multi-line answer, as usual."""
        data = first.encode() + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b".\r\n"
        self._answer(what, argument, data)

    # --- before the login ---

    def _do_capa(self, argument):
        behind = self.drop is not None
        if (self.script.after if behind else self.script.before) is None:
            self._answer("CAPA2" if behind else "CAPA", argument, "-ERR unknown")
            return
        caps = self.caps
        if self.script.tls == "starttls" and not self.secure and not self.script.stripped:
            caps.append("STLS")
        self._lines("CAPA2" if behind else "CAPA", argument, "+OK", [c.encode() for c in caps])

    def _do_stls(self, argument):
        if self.script.tls != "starttls" or self.script.stripped:
            self._answer("STLS", argument, "-ERR unknown")
            return
        if self._answer("STLS", argument, "+OK go")[0] == "+":
            self._buffer = b""
            self._secure()

    def _do_utf8(self, argument):
        if not self._offers("UTF8"):
            self.fault("UTF8 was not offered")
        self._answer("UTF8", argument, "+OK")

    def _log_in(self, what, argument, right):
        usual = "+OK in" if right else "-ERR wrong"
        reply = self._perform(self.script.step(what), argument, usual)
        if reply.startswith("+") and right:
            with self.script.lock:
                self.drop = list(self.script.drop)

    def _do_user(self, argument):
        self._user = argument.decode()
        if self.script.before is not None and not self._offers("USER"):
            self.fault("USER was not offered")
        self._answer("USER", argument, "+OK")

    def _do_pass(self, argument):
        self.login = "PASS", self._user, argument.decode()
        self._log_in("PASS", argument, argument.decode() == self.script.password)

    def _do_apop(self, argument):
        user, _, digest = argument.decode().rpartition(" ")
        self.login = "APOP", user, digest
        words = (self.script.timestamp + self.script.password).encode()
        self._log_in("APOP", argument, digest == hashlib.md5(words).hexdigest())

    def _do_auth(self, argument):
        mechanism, _, initial = argument.decode().partition(" ")
        if self.drop is not None:
            self.say(b"-ERR you are in\r\n")
            return
        offered = [c for c in self.caps if re.match(r"SASL\b.*\bPLAIN\b", c, re.I)]
        if mechanism != "PLAIN" or not offered:
            self.fault(f"AUTH {mechanism} was not offered")
        # More than a line may hold comes behind the question (RFC 5034 section 4).
        if not initial or self.script.deaf:
            if self._answer("MORE", argument, "+OK" if self.script.deaf else "+ ")[0] != "+":
                return
            initial = (self._line() or b"").decode().strip()
        words = base64.b64decode(initial, validate=True).split(b"\0")
        if len(words) != 3:
            self.say(b"-ERR no response\r\n")
            return
        self.login = "PLAIN", words[-2].decode(), words[-1].decode()
        with self.script.lock:
            self.commands[-1] = "AUTH PLAIN ***"
        self._log_in("AUTH", argument, self.login[2] == self.script.password)

    # --- behind it ---

    def _in(self):
        if self.drop is None:
            self.fault("not logged in")
            self.say(b"-ERR log in\r\n")
        return self.drop is not None

    def _there(self):
        return [(n, m) for n, m in enumerate(self.drop, 1) if n not in self.marked]

    def mail(self, argument):
        """(place, Mail) of the message that a command names; None, and a fault: there is none."""
        words = argument.split()
        place = int(words[0]) if words and words[0].isdigit() else 0
        if 1 <= place <= len(self.drop) and place not in self.marked:
            return place, self.drop[place - 1]
        self.fault(f"no message {argument}")
        return None

    def size(self, mail):
        """As the wire has it, without the last dot and those that are doubled."""
        if mail.size is not None:
            return str(mail.size)
        return str(len(delivered(mail.data)))

    def _do_stat(self, argument):
        if self._in():
            there = self._there()
            total = sum(len(m.data) for _, m in there)
            self._answer("STAT", argument, f"+OK {len(there)} {total}")

    def _do_uidl(self, argument):
        if not self._in():
            return
        if not self.script.uidl:
            self._answer("UIDL", argument, "-ERR unknown")
            return
        if argument:
            self.fault("UIDL of one message")
        self._lines("UIDL", argument, "+OK", [f"{n} {m.uidl}".encode() for n, m in self._there()
                                              if m.uidl is not None])

    def _do_list(self, argument):
        if not self._in():
            return
        if argument:
            self.fault("LIST of one message")
        self._lines("LIST", argument, "+OK", [f"{n} {self.size(m)}".encode()
                                              for n, m in self._there() if m.size != ""])

    def _do_top(self, argument):
        if not self._in():
            return
        if not self.script.top:
            self._answer("TOP", argument, "-ERR unknown")
            return
        if len(argument.split()) != 2:
            self.fault("TOP without a number of lines")
        found = self.mail(argument)
        if not found:
            self.say(b"-ERR no such message\r\n")
            return
        head, _, _ = found[1].data.partition(b"\r\n\r\n")
        self._answer("TOP", argument, b"+OK\r\n" + lines_of(head + b"\r\n\r\n"))

    def _do_retr(self, argument):
        if not self._in():
            return
        found = self.mail(argument)
        if not found:
            self.say(b"-ERR no such message\r\n")
            return
        self._answer("RETR", argument, b"+OK 7 octets follow.\r\n" + lines_of(found[1].data))

    def _do_dele(self, argument):
        if not self._in():
            return
        found = self.mail(argument)
        if not found:
            self.say(b"-ERR no such message\r\n")
            return
        if self._answer("DELE", argument, "+OK").startswith("+"):
            self.marked.append(found[0])

    def _do_noop(self, argument):
        if self._in():
            self._answer("NOOP", argument, "+OK")

    def _do_rset(self, argument):
        if self._in() and self._answer("RSET", argument, "+OK").startswith("+"):
            self.marked = []

    def commit(self, places=None):
        """What was marked goes; or only some of it."""
        with self.script.lock:
            gone = [self.drop[n - 1] for n in self.marked if places is None or n in places]
            self.script.deleted += gone
            # By what they are: two may be alike.
            self.script.drop = [m for m in self.script.drop if not any(m is g for g in gone)]
        self.marked = []

    def _do_quit(self, argument):
        step = self.script.step("QUIT")
        if self.drop is not None:
            step = _committing(step)
        self._perform(step, argument, "+OK bye")


def _committing(step):
    if isinstance(step, Hold):
        step.then = _committing(step.then)
    if isinstance(step, Hold) or callable(step):
        return step

    def commit(session, _):
        session.commit()
        return step
    return commit


# --- ways to QUIT ---


def lost(commit=True):
    """The connection ends before the answer."""
    def step(session, _):
        if commit:
            session.commit()
        return Cut()
    return step


def refused(places=()):
    """-ERR; only these were deleted."""
    def step(session, _):
        session.commit(places)
        return "-ERR some deleted messages not removed"
    return step
