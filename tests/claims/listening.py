"""What daprd sends first to a broker: a socket that reads it, and answers as far as is needed."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TLS_HELLO = 0x16
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36


class Listener:
    """The requests of one Kafka client, by their key; it is told that SASL is known here.

    Attributes:
        address: ``host:port``.
        first: the first byte of each connection.
        requests: key and body of each request.
    """

    def __init__(self) -> None:
        self.first: list[int] = []
        self.requests: list[tuple[int, bytes]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        host, port = self._server.getsockname()
        self.address = f"{host}:{port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept no more."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.settimeout(10)
            with connection:
                self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        while len(head := connection.recv(4)) == 4:
            self.first.append(head[0])
            if head[0] == TLS_HELLO:
                return
            body = connection.recv(*struct.unpack(">i", head))
            key, _, number = struct.unpack(">hhi", body[:8])
            self.requests.append((key, body[8:]))
            if key != API_VERSIONS:
                return
            connection.sendall(_versions(number))


def _versions(number: int) -> bytes:
    keys = ((3, 0, 8), (SASL_HANDSHAKE, 0, 1), (API_VERSIONS, 0, 3), (SASL_AUTHENTICATE, 0, 1))
    rows = b"".join(struct.pack(">hhhb", *each, 0) for each in keys)
    body = struct.pack(">ihb", number, 0, len(keys) + 1) + rows + struct.pack(">ib", 0, 0)
    return struct.pack(">i", len(body)) + body


@contextmanager
def listeners(count: int) -> Iterator[list[Listener]]:
    """So many, for as long as inside."""
    made = [Listener() for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.close()
