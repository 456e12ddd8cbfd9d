"""A private Postfix on loopback, which delivers example.org to a Dovecot and nothing anywhere else:
own directory, ports and log. Only root can start one.

It asks this program about each recipient and each text, so a test may refuse or hold any of them.
"""

import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time

from dovecot import die_with_parent, free_ports

DOMAIN = "example.org"
SIZE = 40_000_000
PROGRAMS = "/usr/lib/postfix/sbin"

# Nothing is added to a message but trace fields, nothing taken out: what a client does is seen.
MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = {programs}
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.{domain}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
default_database_type = texthash
disable_dns_lookups = yes
smtpd_peername_lookup = no
in_flow_delay = 0
message_size_limit = {size}
local_header_rewrite_clients =
message_drop_headers =
smtpd_forbid_bare_newline = reject
smtpd_forbid_bare_newline_exclusions =
smtpd_forbid_unauth_pipelining = yes
smtpd_client_event_limit_exceptions = static:all
smtpd_error_sleep_time = 0
smtpd_tls_cert_file = {tls}/server.pem
smtpd_tls_key_file = {tls}/server.key
smtpd_tls_auth_only = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {dovecot}/mta-auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy}
smtpd_end_of_data_restrictions = check_policy_service inet:127.0.0.1:{policy}
smtpd_policy_service_default_action = 451 4.3.0 the test has ended
smtpd_policy_service_retry_delay = 1
smtpd_policy_service_try_limit = 1
smtpd_policy_service_timeout = 1000
virtual_mailbox_domains = {domain}
virtual_mailbox_maps =
virtual_transport = lmtp:unix:{dovecot}/lmtp
default_transport = error:5.7.1 mail goes nowhere else
relay_transport = error:5.7.1 mail goes nowhere else
notify_classes =
lmtp_tls_security_level = none
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
127.0.0.1:{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
127.0.0.1:{plain_port} inet n - n - - smtpd
  -o smtpd_relay_restrictions=permit_mynetworks,reject
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
          "private", "saved", "trace")


class _Policy(socketserver.ThreadingTCPServer):
    """Answers Postfix's questions (its SMTPD_POLICY_README)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer):
        self.answer = answer
        super().__init__(("127.0.0.1", 0), _PolicyHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _PolicyHandler(socketserver.StreamRequestHandler):
    def handle(self):
        asked = {}
        for line in self.rfile:
            name, found, value = line.decode(errors="replace").rstrip("\n").partition("=")
            if found:
                asked[name] = value
                continue
            action = self.server.answer(asked)
            self.wfile.write(f"action={action}\n\n".encode())
            asked = {}


class Postfix:
    """Starts on `with` or start(). `port` wants STARTTLS and a login, `tls_port` TLS at once and a
    login, `plain_port` has neither.

    rules       what is said to a recipient ("550 5.1.1 no such user"); to be altered at any time.
                "dot": to every text
    handed_in   of each text that was taken: what Postfix told of it
    refused     recipients, with repetitions
    """

    def __init__(self, dovecot, size=SIZE):
        self.dovecot = dovecot
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mailfs-postfix-"))
        self.dir.chmod(0o755)
        self.port, self.tls_port, self.plain_port = free_ports(3)
        self.process = None
        self.rules = {}
        self.handed_in = []
        self.refused = []
        self._go_on = threading.Event()
        self._held = threading.Event()
        self._go_on.set()
        self._policy = _Policy(self._answer)
        self._make_directories()
        names = {"dir": self.dir, "programs": PROGRAMS, "domain": DOMAIN, "size": size,
                 "tls": dovecot.dir, "dovecot": dovecot.dir / "run", "port": self.port,
                 "tls_port": self.tls_port, "plain_port": self.plain_port,
                 "policy": self._policy.server_address[1]}
        (self.dir / "main.cf").write_text(MAIN.format(**names))
        (self.dir / "master.cf").write_text(MASTER.format(**names))

    def _make_directories(self):
        if os.geteuid() != 0:
            raise SystemExit("Bail out! only root can start a Postfix")
        user = pwd.getpwnam("postfix").pw_uid
        for name in ("queue", "queue/pid"):
            (self.dir / name).mkdir(mode=0o755)
        for name in ("data", "queue/public", "queue/maildrop",
                     *(f"queue/{name}" for name in QUEUES)):
            (self.dir / name).mkdir(mode=0o755 if name.endswith("public") else 0o700)
            os.chown(self.dir / name, user, -1)

    def start(self):
        self.process = subprocess.Popen(
            [f"{PROGRAMS}/master", "-c", self.dir, "-d"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(self.dir / "stderr", "wb"),
            start_new_session=True, preexec_fn=die_with_parent)
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.plain_port), 5) as s:
                    if s.recv(3) == b"220":
                        return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("postfix did not start:\n" + self.log())
            time.sleep(0.02)

    def stop(self):
        """Ends all its processes; the queue stays."""
        if self.process is None:
            return
        self.release()
        self._signal(signal.SIGTERM)
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

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.stop()
        self._policy.shutdown()
        self._policy.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- what it says ---

    def _answer(self, asked):
        if asked["protocol_state"] == "RCPT":
            action = self.rules.get(asked["recipient"], "DUNNO")
            if action != "DUNNO":
                self.refused.append(asked["recipient"])
            return action
        action = self.rules.get("dot", "DUNNO")
        if action == "DUNNO":
            self.handed_in.append(asked)
        self._held.set()
        self._go_on.wait()
        return action

    def hold(self):
        """Gives no answer to a text before release()."""
        self._held.clear()
        self._go_on.clear()

    def wait_held(self):
        if not self._held.wait(20):
            raise AssertionError("no text came:\n" + self.log())

    def release(self):
        self._go_on.set()

    def texts(self, user):
        """How many it took from a sender."""
        return len([a for a in self.handed_in if a["sender"] == f"{user}@{DOMAIN}"])

    # --- what it did ---

    def log(self):
        text = ""
        for name in ("stderr", "log"):
            path = self.dir / name
            text += path.read_text(errors="replace") if path.exists() else ""
        return text[-6000:]

    def mark(self):
        """A place in the log, for count()."""
        return (self.dir / "log").stat().st_size

    def count(self, pattern, since=0):
        with open(self.dir / "log", errors="replace") as log:
            log.seek(since)
            return len(re.findall(pattern, log.read(), re.M))

    def url(self, user=None, tls=True):
        """`tls`: True at once, False after STARTTLS, None not at all."""
        scheme, port = {True: ("smtps", self.tls_port), False: ("smtp", self.port),
                        None: ("smtp", self.plain_port)}[tls]
        return f"{scheme}://{user + '@' if user else ''}localhost:{port}"
