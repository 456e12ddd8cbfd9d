"""A link that takes its time: `relay.py PORT SECONDS` relays to PORT of 127.0.0.1, delays each byte
by SECONDS in each direction, and prints the port that it listens on. A process of its own, so that
it takes nothing from who measures."""

import collections
import socket
import sys
import threading
import time

CHUNK = 256 * 1024
IN_FLIGHT = 8 * 1024 * 1024  # bytes; more is not read before some have arrived


class Pipe:
    """One direction of a connection."""

    def __init__(self, source, target, delay):
        self.source = source
        self.target = target
        self.delay = delay
        self.chunks = collections.deque()  # (when it is due, bytes)
        self.bytes = 0
        self.change = threading.Condition()
        for work in (self.read, self.write):
            threading.Thread(target=work, daemon=True).start()

    def push(self, data):
        with self.change:
            self.change.wait_for(lambda: self.bytes < IN_FLIGHT)
            self.chunks.append((time.monotonic() + self.delay, data))
            self.bytes += len(data)
            self.change.notify_all()

    def read(self):
        data = b"?"
        while data:
            try:
                data = self.source.recv(CHUNK)
            except OSError:
                data = b""
            self.push(data)

    def write(self):
        data = b"?"
        while data:
            with self.change:
                self.change.wait_for(lambda: self.chunks)
                due, data = self.chunks.popleft()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if data:
                    self.target.sendall(data)
                else:
                    self.target.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            with self.change:
                self.bytes -= len(data)
                self.change.notify_all()


def main(port, delay):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for end in near, far:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Pipe(near, far, delay)
        Pipe(far, near, delay)


main(int(sys.argv[1]), float(sys.argv[2]))
