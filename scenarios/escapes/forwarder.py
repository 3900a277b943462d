"""A port of the test's own in front of a server, whose connections can be broken."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from harness.closing import Closing
from harness.endpoint import LOOPBACK, Endpoint


class Forwarder(Closing):
    """Copies bytes between whoever connects to its port and a server.

    Args:
        target: where the server is, asked at each connection: it may not have an address yet.
    """

    def __init__(self, target: Callable[[], Endpoint]) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self.address = Endpoint(LOOPBACK, self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Break every connection, and return how many there were; new ones are taken."""
        with self._lock:
            broken, self._pairs = self._pairs, []
        for pair in broken:
            for each in pair:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        return len(broken)

    def close(self) -> None:
        """Take no more connections, and break those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((self._target().host, self._target().port))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
