"""A private Dovecot on loopback: own directory, ports, certificates and users.

Works as root (mail belongs to nobody) and as an ordinary user (everything is theirs).
Every user has the same password, and nobody has to wait for having been wrong.
"""

import base64
import contextlib
import ctypes
import grp
import hashlib
import imaplib
import os
import pathlib
import poplib
import pwd
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

PASSWORD = "correct-horse"
ADDRESSES = ("127.0.0.1", "::1")

CONFIG = """
protocols = {protocols}
listen = {listen}
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
instance_name = mailfs
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_login_user = {login_user}
default_vsz_limit = 0
first_valid_uid = 1
first_valid_gid = 1
mail_uid = {mail_uid}
mail_gid = {mail_gid}
mail_max_userip_connections = 1000
auth_failure_delay = 0
auth_mechanisms = {mechanisms}
disable_plaintext_auth = no
ssl = {ssl}
ssl_cert = <{dir}/server.pem
ssl_key = <{dir}/server.key
mail_location = {location}
rawlog_dir = %h/rawlog
{capability}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail_uid} gid={mail_gid} home={dir}/home/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  mailbox Trash {{
    special_use = \Trash
  }}
  mailbox Sent {{
    special_use = \Sent
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
{plugins}
"""

QUOTA = """
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = count:User quota
  quota_rule = *:storage=%dK
  quota_grace = 0
  quota_vsizes = yes
}
"""

ACL = """
mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
}
"""


ZLIB = """
mail_plugins = zlib
protocol imap {
  mail_plugins = zlib imap_zlib
}
"""


# As POP3 is at most sites, but for the lock: it is tested as the strict ones have it.
POP3 = """
pop3_lock_session = yes
service pop3-login {
  chroot =
  service_count = 0
  inet_listener pop3 {
    port = %d
  }
  inet_listener pop3s {
    port = %d
    ssl = yes
  }
}
"""


# An MTA hands in mail for any user, with or without a domain, and asks for passwords; those of the
# file are right too.
MTA = """
auth_username_format = %%Ln
passdb {
  driver = passwd-file
  args = scheme=PLAIN %s
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener mta-auth {
    mode = 0666
  }
}
"""


# A client's certificate says who it is, and is all that it needs.
CERTIFICATES = """
ssl_ca = <%s
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}
"""


# Who shows a token is whoever the endpoint says; nobody else needs one.
TOKENS = """
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = %s
}
"""

ENDPOINT = """
introspection_mode = get
introspection_url = http://127.0.0.1:%d/introspect?token=
username_attribute = username
active_attribute = active
active_value = true
"""


# Takes mail from who logs in, and hands it to a server that asks for no login.
SUBMISSION = """
submission_relay_host = 127.0.0.1
submission_relay_port = %d
service submission-login {
  chroot =
  service_count = 0
  inet_listener submission {
    port = %d
  }
  inet_listener submissions {
    port = %d
    ssl = yes
  }
}
"""


def free_ports(count):
    """Ports that nobody listens on; not of those that the kernel gives to connections."""
    found = set()
    while len(found) < count:
        port = random.randrange(10000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def die_with_parent():
    """For preexec_fn: SIGTERM when the process that started us is gone, however it ended."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Authority:
    """A certificate authority of our own; `certify` signs for the given names."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.ca = self.dir / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", 30, "-subj", "/CN=mailfs test authority",
                "-addext", "keyUsage=critical,keyCertSign", "-keyout", self.dir / "ca.key",
                "-out", self.ca)

    def certify(self, name, san, days=30):
        """Makes NAME.pem and NAME.key. Negative `days`: expired already."""
        cert, key = self.dir / f"{name}.pem", self.dir / f"{name}.key"
        request, extra = self.dir / f"{name}.csr", self.dir / f"{name}.ext"
        extra.write_text(f"subjectAltName={san}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.dir / "ca.key",
                "-CAcreateserial", "-days", days, "-extfile", extra, "-out", cert)
        return cert, key


def fingerprint(cert):
    """"SHA256:" and the digest of the certificate, in hex."""
    der = ssl.PEM_cert_to_DER_cert(pathlib.Path(cert).read_text())
    return "SHA256:" + hashlib.sha256(der).hexdigest()


class Dovecot:
    """Starts on `with` or start(). Options:

    layout      "maildir" (folders are directories below Maildir) or "sdbox"
    separator   the hierarchy separator; "." makes Maildir++ folders
    capability  what IMAP says it can after login, e.g. "IMAP4rev1"; None: everything
    quota_kib   a quota for each user
    acl         a file "dovecot-acl" in a folder's directory says what may be done there
    compress    IMAP can COMPRESS
    mta         serves one, with sockets in `run`; lines "user:password" of `passwords` count then
    pop3        the INBOX is a maildrop, too, that one session at a time may use
    mechanisms  of all its logins
    tokens      the port of an endpoint (RFC 7662) that knows OAuth 2.0 tokens
    certificates  those of its authority are enough for a login by EXTERNAL
    relay       the port of a server that takes what is submitted; None: there is no submission
    tls         False: no TLS on any port, no STARTTLS
    san         the names in the certificate
    days        its life
    """

    def __init__(self, layout="maildir", separator="/", capability=None, quota_kib=None, acl=False,
                 compress=False, mta=False, pop3=False, mechanisms="plain login", certificates=False,
                 tokens=None, relay=None, tls=True, san="DNS:localhost,IP:127.0.0.1,IP:::1", days=30,
                 directory=None):
        self.dir = pathlib.Path(directory or tempfile.mkdtemp(prefix="mailfs-dovecot-"))
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)
        self.separator = separator
        self.tls = tls
        (self.port, self.tls_port, self.pop3_port, self.pop3s_port, self.submission_port,
         self.submissions_port) = free_ports(6)
        self.process = None
        self._opened = set()
        root = os.geteuid() == 0
        me = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(os.getegid()).gr_name
        self.mail_user = "nobody" if root else me
        self.mail_group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name if root else group
        location = "sdbox:~/sdbox"
        if layout == "maildir":
            location = "maildir:~/Maildir" + (":LAYOUT=fs" if separator == "/" else "")
        self._certify(san, days)
        for name in ("run", "state", "home"):
            (self.dir / name).mkdir(exist_ok=True)
        self._give(self.dir / "home")
        self.passwords = self.dir / "passwords"
        self.passwords.touch(mode=0o644)
        self.config = self.dir / "dovecot.conf"
        self.config.write_text(CONFIG.format(
            dir=self.dir, password=PASSWORD, port=self.port, tls_port=self.tls_port,
            listen=", ".join(a for a in ADDRESSES if a != "::1" or has_ipv6()),
            internal_user="dovecot" if root else me, login_user="dovenull" if root else me,
            internal_group="dovecot" if root else group,
            mail_uid=self.mail_user, mail_gid=self.mail_group, separator=separator,
            ssl="yes" if tls else "no", location=location,
            capability=f"imap_capability = {capability}" if capability else "",
            imaps_port=self.tls_port if tls else 0,
            mechanisms=mechanisms,
            protocols="imap" + (" lmtp" if mta else "") + (" pop3" if pop3 else "") +
            (" submission" if relay else ""),
            plugins=(QUOTA % quota_kib if quota_kib else ACL if acl else ZLIB if compress else
                     "") +
            (MTA % self.passwords if mta else "") +
            (POP3 % (self.pop3_port, self.pop3s_port if tls else 0) if pop3 else "") +
            (CERTIFICATES % self.ca if certificates else "") +
            (TOKENS % self._endpoint(tokens) if tokens else "") +
            (SUBMISSION % (relay, self.submission_port, self.submissions_port if tls else 0)
             if relay else "")))
        self.config.chmod(0o644)

    def _endpoint(self, port):
        path = self.dir / "oauth2.conf"
        path.write_text(ENDPOINT % port)
        path.chmod(0o644)
        return path

    def _certify(self, san, days):
        self.authority = Authority(self.dir / "tls")
        cert, key = self.authority.certify("server", san, days)
        self.ca = self.authority.ca
        shutil.copy(cert, self.dir / "server.pem")
        shutil.copy(key, self.dir / "server.key")
        self.cert = self.dir / "server.pem"

    def _give(self, path):
        """Makes the mail processes the owner of a path and all below."""
        if os.geteuid() != 0:
            return
        uid, gid = pwd.getpwnam(self.mail_user).pw_uid, grp.getgrnam(self.mail_group).gr_gid
        os.chown(path, uid, gid)
        for parent, dirs, files in os.walk(path):
            for name in dirs + files:
                os.chown(os.path.join(parent, name), uid, gid, follow_symlinks=False)

    def start(self, outlive=False):
        """`outlive`: it goes on when this program ends."""
        self.process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", self.config], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(self.dir / "stderr", "wb"),
            start_new_session=True, preexec_fn=None if outlive else die_with_parent)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("dovecot did not start:\n" + self.log())
                time.sleep(0.02)

    def stop(self):
        """Ends Dovecot and all its processes; the mail stays."""
        if self.process is None:
            return
        self.thaw()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        self.process.wait(10)
        self.process = None

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def freeze(self):
        """All connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        text = ""
        for name in ("stderr", "dovecot.log"):
            path = self.dir / name
            text += path.read_text(errors="replace") if path.exists() else ""
        return text[-4000:]

    def open_inbox(self, user):
        """Dovecot makes it at its first opening, and refuses whoever opens it meanwhile."""
        if user not in self._opened:
            self._opened.add(user)
            client = self.imap(user)
            ok(client.select(readonly=True))
            client.logout()

    def url(self, user="alice", host="localhost", tls=True):
        self.open_inbox(user)
        if ":" in host:
            host = f"[{host}]"
        return f"imaps://{user}@{host}:{self.tls_port}" if tls \
            else f"imap://{user}@{host}:{self.port}"

    def imap(self, user="alice", folder=None):
        """A logged-in imaplib client; `folder` is selected."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
        client.login(user, PASSWORD)
        if folder is not None:
            ok(client.select(quote(folder)))
        return client

    def pop3_url(self, user="alice", host="localhost", tls=True):
        return f"pop3s://{user}@{host}:{self.pop3s_port}" if tls \
            else f"pop3://{user}@{host}:{self.pop3_port}"

    def smtp_url(self, tls=True):
        return f"smtps://localhost:{self.submissions_port}" if tls \
            else f"smtp://localhost:{self.submission_port}"

    def pop3(self, user="alice"):
        """A logged-in poplib client: quit() commits. Waits for another session's lock."""
        deadline = time.monotonic() + 30
        while True:
            client = poplib.POP3("127.0.0.1", self.pop3_port, timeout=60)
            client.user(user)
            try:
                client.pass_(PASSWORD)
                return client
            except poplib.error_proto as error:
                client.close()
                if b"[IN-USE]" not in error.args[0] or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def knows(self, user, password):
        """Whether that is right."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
        try:
            return client.login(user, password)[0] == "OK"
        except imaplib.IMAP4.error:
            return False
        finally:
            client.logout()

    def home(self, user="alice"):
        return self.dir / "home" / user

    def maildir(self, folder="INBOX", user="alice"):
        """The directory of a folder (layout "maildir" with separator "/")."""
        base = self.home(user) / "Maildir"
        return base if folder == "INBOX" else base / folder

    def deliver(self, mails, folder="INBOX", user="alice", flags=""):
        """Puts [(bytes, time), ...] straight into a Maildir, in this order of UIDs."""
        directory = self.maildir(folder, user)
        for part in ("cur", "new", "tmp"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        for number, (data, when) in enumerate(mails):
            # Dovecot numbers new files in the order of their names.
            path = directory / "cur" / f"{1000000000 + number}.M{number:07}.mailfs:2,{flags}"
            path.write_bytes(data)
            os.utime(path, (when, when))
        self._give(self.home(user))

    def record(self, user="alice"):
        """From now on what clients of `user` send and get is written down."""
        (self.home(user) / "rawlog").mkdir(parents=True, exist_ok=True)
        self._give(self.home(user))

    def recorded(self, user="alice"):
        """What clients sent since record() or forget(), all connections together."""
        files = sorted((self.home(user) / "rawlog").glob("*.in"))
        return b"".join(f.read_bytes() for f in files).decode(errors="replace")

    def sent_bytes(self, user="alice"):
        """How much they were sent."""
        return sum(f.stat().st_size for f in (self.home(user) / "rawlog").glob("*.out"))

    def forget(self, user="alice"):
        """Drops the record of all connections that ended."""
        for f in (self.home(user) / "rawlog").iterdir():
            f.unlink()


def ok(answer):
    """The data of an imaplib answer; anything but OK is an error."""
    status, data = answer
    if status != "OK":
        raise RuntimeError(f"IMAP said {status}: {data}")
    return data


def utf7(name):
    """A mailbox name in modified UTF-7 (RFC 3501 section 5.1.3)."""
    out, run = "", ""

    def flush():
        code = base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=")
        return "&" + code.replace("/", ",") + "-" if run else ""

    for char in name:
        if " " <= char <= "~":
            out += flush() + ("&-" if char == "&" else char)
            run = ""
        else:
            run += char
    return out + flush()


def quote(name):
    return '"' + utf7(name).replace("\\", "\\\\").replace('"', '\\"') + '"'
