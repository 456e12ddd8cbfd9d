"""An IMAP server with as many messages and folders as wanted, which are made up when they are asked
for: nothing is kept but which UIDs exist. For tests and measurements of scale."""

import bisect
import re
import socketserver
import threading

CAPABILITY = "IMAP4rev1 LITERAL+ SASL-IR ENABLE CONDSTORE UIDPLUS ESEARCH LIST-EXTENDED LIST-STATUS"
PIECE = 2000  # messages that are put together at a time


def subject(uid):
    return f"message {uid} of many"


def body(uid):
    return (f"From: Ann <ann@example.org>\r\nSubject: {subject(uid)}\r\n\r\n"
            f"This is message {uid}.\r\n").encode()


class Box:
    """Messages 1 to `count`; add(), drop() and delete() change that."""

    def __init__(self, count, uidvalidity=1000):
        self.uids = list(range(1, count + 1))
        self.uidnext = count + 1
        self.uidvalidity = uidvalidity
        self.modseq = 1
        self.changed = {}  # uid -> modseq
        self.deleted = range(0)  # those that are \\Deleted

    def add(self, count=1):
        self.modseq += 1
        for uid in range(self.uidnext, self.uidnext + count):
            self.uids.append(uid)
            self.changed[uid] = self.modseq
        self.uidnext += count

    def drop(self, first, last):
        """The UIDs from first to last."""
        self.modseq += 1
        a, b = bisect.bisect_left(self.uids, first), bisect.bisect_right(self.uids, last)
        del self.uids[a:b]

    def delete(self, first, last):
        self.modseq += 1
        self.deleted = range(first, last + 1)
        self.changed.update(dict.fromkeys(self.deleted, self.modseq))

    def flags(self, uid):
        return "\\Seen \\Deleted" if uid in self.deleted else "\\Seen"


class Crowd:
    """`with Crowd({"INBOX": Box(1000000)}) as server: Mount(server.url(), ["tls=off"])`.

    commands  what clients sent, in order
    creating  while cleared, nobody is answered who makes a mailbox
    """

    def __init__(self, boxes, capability=CAPABILITY):
        self.boxes = boxes
        self.capability = capability
        self.commands = []
        self.creating = threading.Event()
        self.creating.set()
        crowd = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                try:
                    _Session(crowd, self.rfile, self.wfile).serve()
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def url(self, user="alice"):
        return f"imap://{user}@127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.creating.set()
        self.server.shutdown()
        self.server.server_close()

    def seen(self, pattern, since=0):
        return [c for c in self.commands[since:] if re.search(pattern, c, re.I)]


class _Session:
    def __init__(self, crowd, reader, writer):
        self.crowd = crowd
        self.reader = reader
        self.writer = writer
        self.box = None

    def say(self, *lines):
        self.writer.write("".join(line + "\r\n" for line in lines).encode())

    def serve(self):
        self.say(f"* OK [CAPABILITY {self.crowd.capability}] ready")
        while line := self.reader.readline():
            tag, _, rest = line.decode("latin-1").strip().partition(" ")
            verb, _, argument = rest.partition(" ")
            if verb.upper() == "UID":
                verb, _, argument = argument.partition(" ")
                verb = "uid_" + verb
            if verb.upper() not in ("LOGIN", "AUTHENTICATE"):
                self.crowd.commands.append(rest)
            handler = getattr(self, "do_" + verb.lower(), None)
            said = handler(argument) if handler else "BAD what"
            self.say(f"{tag} {said or 'OK done'}")
            if verb.upper() == "LOGOUT":
                return

    def do_capability(self, _):
        self.say(f"* CAPABILITY {self.crowd.capability}")

    def do_noop(self, _):
        pass

    do_login = do_authenticate = do_enable = do_unselect = do_close = do_logout = do_noop

    def do_create(self, _):
        self.crowd.creating.wait()
        return "NO [NOPERM] no"

    def do_list(self, argument):
        lines = [f'* LIST (\\Subscribed) "/" "{name}"' for name in self.crowd.boxes]
        if "STATUS" in argument:
            lines += [f'* STATUS "{name}" ({self.status(box)})'
                      for name, box in self.crowd.boxes.items()]
        self.say(*lines)

    def status(self, box):
        return (f"MESSAGES {len(box.uids)} UIDNEXT {box.uidnext} UIDVALIDITY {box.uidvalidity} "
                f"UNSEEN 0 HIGHESTMODSEQ {box.modseq}")

    def named(self, argument):
        name = re.match(r'"([^"]*)"|([^ ]+)', argument)
        return self.crowd.boxes.get(name[1] if name[2] is None else name[2])

    def do_status(self, argument):
        box = self.named(argument)
        if box is None:
            return "NO [NONEXISTENT] no"
        self.say(f"* STATUS {argument[:argument.rindex('(')].strip()} ({self.status(box)})")

    def do_select(self, argument, writable=True):
        box = self.box = self.named(argument)
        if box is None:
            return "NO [NONEXISTENT] no"
        self.say("* FLAGS (\\Seen \\Deleted)", f"* {len(box.uids)} EXISTS", "* 0 RECENT",
                 f"* OK [UIDVALIDITY {box.uidvalidity}] x", f"* OK [UIDNEXT {box.uidnext}] x",
                 f"* OK [HIGHESTMODSEQ {box.modseq}] x",
                 "* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] x")
        return "OK [READ-WRITE] yes" if writable else "OK [READ-ONLY] yes"

    def do_examine(self, argument):
        return self.do_select(argument, False)

    def places(self, text):
        """Ranges of places in the list of UIDs."""
        uids = self.box.uids
        highest = uids[-1] if uids else 0
        for part in text.split(","):
            first, _, last = part.partition(":")
            low, high = sorted(highest if x == "*" else int(x) for x in (first, last or first))
            yield bisect.bisect_left(uids, low), bisect.bisect_right(uids, high)

    def do_uid_search(self, argument):
        ranges = []
        wanted = re.search(r"UID (\S+)$", argument)
        spans = list(self.places(wanted[1])) if wanted else [(0, len(self.box.uids))]
        for uid in (self.box.uids[p] for low, high in spans for p in range(low, high)):
            if ranges and ranges[-1][1] == uid - 1:
                ranges[-1][1] = uid
            else:
                ranges.append([uid, uid])
        self.say('* ESEARCH (TAG "x") UID' + (
            " ALL " + ",".join(f"{a}:{b}" if a != b else f"{a}" for a, b in ranges)
            if ranges else ""))

    def do_uid_fetch(self, argument):
        numbers, _, items = argument.partition(" ")
        since = re.search(r"CHANGEDSINCE (\d+)", items)
        make = self.whole if "BODY.PEEK[]" in items else \
            self.listed if "HEADER" in items else self.flags
        for low, high in self.places(numbers):
            if since:
                wanted = [p for p in range(low, high)
                          if self.box.changed.get(self.box.uids[p], 0) > int(since[1])]
            else:
                wanted = range(low, high)
            for start in range(0, len(wanted), PIECE):
                part = wanted[start:start + PIECE]
                self.writer.write("".join([make(p + 1, self.box.uids[p]) for p in part]).encode())

    def listed(self, number, uid):
        header = f"Subject: {subject(uid)}\r\n\r\n"
        return (f"* {number} FETCH (UID {uid} FLAGS ({self.box.flags(uid)}) RFC822.SIZE {len(body(uid))} "
                f'INTERNALDATE "02-Mar-2020 10:00:00 +0000" '
                f"BODY[HEADER.FIELDS (SUBJECT)] {{{len(header)}}}\r\n{header})\r\n")

    def flags(self, number, uid):
        return f"* {number} FETCH (UID {uid} FLAGS ({self.box.flags(uid)}))\r\n"

    @staticmethod
    def whole(number, uid):
        data = body(uid).decode()
        return f"* {number} FETCH (UID {uid} BODY[] {{{len(data)}}}\r\n{data})\r\n"
