"""A port of the test's own in front of a server, whose connections can be broken."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from harness.core.closing import Closing
from harness.core.endpoint import LOOPBACK, Endpoint


class Forwarder(Closing):
    """Copies bytes between whoever connects to its port and a server.

    Args:
        target: where the server is, asked at each connection: it may not have an address yet.
    """

    def __init__(self, target: Callable[[], Endpoint]) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._carrying: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.address = Endpoint(LOOPBACK, self._listener.getsockname()[1])
        self._taking = threading.Thread(target=self._accept, daemon=True)
        self._taking.start()

    def cut(self) -> int:
        """Break every connection, and return how many there were; new ones are taken."""
        with self._lock:
            open_now = list(self._pairs)
            for pair in open_now:
                _shut(*pair)
        return len(open_now)

    def close(self) -> None:
        """Take no more connections, and break those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._taking.join(10)
        self._listener.close()
        self.cut()
        for each in self._carrying:
            each.join(10)

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
            pair = (client, server)
            with self._lock:
                self._pairs.append(pair)
            self._carrying.append(threading.Thread(target=self._carry, args=pair, daemon=True))
            self._carrying[-1].start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Until one of both ends."""
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()
        with self._lock:
            self._pairs.remove((client, server))
            client.close()
            server.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _shut(source, sink)


def _shut(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
