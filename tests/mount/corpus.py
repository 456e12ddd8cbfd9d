"""6,046 real mails of 2002 (SpamAssassin's public corpus), as a mail server would hold them."""

import calendar
import os
import pathlib
import re
import time


def directory():
    """Where tests/run unpacked them; None if it did not run."""
    path = os.environ.get("MAILFS_CORPUS")
    return pathlib.Path(path) if path else None


def files():
    return sorted(directory().glob("*/*.txt"))


def mails(limit=None):
    """[(bytes with CRLF, time), ...]; `limit` takes that many spread over the whole."""
    chosen = files()
    if limit and limit < len(chosen):
        chosen = [chosen[n * len(chosen) // limit] for n in range(limit)]
    return [_mail(path.read_bytes()) for path in chosen]


def _mail(data):
    when = 1030000000
    if data.startswith(b"From "):
        # The line of an mbox, not of the mail; it tells when the mail arrived.
        line, _, data = data.partition(b"\n")
        stamp = re.search(rb"\w{3} \w{3} +\d+ [\d:]{8} \d{4}", line)
        if stamp:
            when = calendar.timegm(time.strptime(stamp[0].decode(), "%a %b %d %H:%M:%S %Y"))
    return re.sub(rb"\r?\n", b"\r\n", data), when
