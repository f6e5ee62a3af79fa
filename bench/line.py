"""A line between a browser and a server that can be cut and mended: a TCP proxy on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536
CONNECT_S_MAX = 5


class Line:
    """Passes bytes to a port of this machine until it is cut; cutting drops what it carries."""

    def __init__(self, *, to_port: int) -> None:
        """Take a free port; nothing is passed on before `open`."""
        self._to = ("127.0.0.1", to_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._whole = True
        self._held: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.opened = 0

    def serve(self) -> None:
        """Accept connections until the line is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # The line was closed.
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def cut(self) -> None:
        """Drop every connection, and each new one at once, until the line is mended."""
        with self._lock:
            self._whole = False
            held, self._held = self._held, set()
        for end in held:
            _drop(end)

    def mend(self) -> None:
        """Carry new connections again."""
        with self._lock:
            self._whole = True

    def close(self) -> None:
        """Drop everything and give the port back."""
        self.cut()
        _drop(self._listener)

    def _carry(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._to, timeout=CONNECT_S_MAX)
        except OSError:
            _drop(near)
            return
        far.settimeout(None)
        with self._lock:
            whole = self._whole
            if whole:
                self._held |= {near, far}
                self.opened += 1
        if not whole:
            _drop(near)
            _drop(far)
            return
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        with self._lock:
            self._held -= {near, far}

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        """Pass bytes on until either end is gone, then drop both."""
        try:
            while chunk := source.recv(CHUNK_BYTES):
                target.sendall(chunk)
        except OSError:
            pass  # Cut, or the other end left: both are dropped below.
        _drop(source)
        _drop(target)


def _drop(end: socket.socket) -> None:
    """Close a socket at once, whoever waits on it."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def line(*, to_port: int) -> Iterator[Line]:
    """Have a line to a port meanwhile."""
    carrying = Line(to_port=to_port)
    accepting = threading.Thread(target=carrying.serve, daemon=True)
    accepting.start()
    try:
        yield carrying
    finally:
        carrying.close()
        accepting.join(timeout=CONNECT_S_MAX)
