"""The clients of a supervisor: connections, leases, and what each of them has not read yet."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

PROTOCOL = 1
"""Changes with the meaning of a request or an event; both sides must have the same."""

LONGEST_LINE = 1 << 24
"""In bytes. The longest request contains an app's environment, which Linux limits to 2 MB."""

UNREAD = 1 << 24
"""Bytes that a client may leave unread before it is disconnected."""

MOST = 200
"""Connections at a time; the usual limit of open files is 1,024."""


class Client:
    """One connection.

    Attributes:
        number: unique in the run; 1 is the client that started it.
        who: how it introduced itself, for messages; "" until then.
        lease: whether the run lives as long as this client.
        subscribed: whether it receives events.
    """

    def __init__(self, connection: socket.socket, number: int) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.number = number
        self.who = ""
        self.lease = self.subscribed = self.closed = False
        self.received = bytearray()
        self.unsent = bytearray()

    def pid(self) -> int:
        """Its process id; 0 where the system does not tell it."""
        if not sys.platform.startswith("linux"):
            return 0
        size = struct.calcsize("3i")
        told = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return int(struct.unpack("3i", told)[0])


class Clients:
    """All connections of a supervisor. No client can block the others.

    Args:
        selector: calls the registered function with the events of a socket.
        answer: handles one request.
        gone: called when a client has been disconnected.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        answer: Callable[[Client, Message], None],
        gone: Callable[[Client], None],
    ) -> None:
        self._selector = selector
        self._answer = answer
        self._gone = gone
        self._count = 0
        self._clients: list[Client] = []

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def leases(self) -> int:
        """How many clients keep the run alive."""
        return sum(client.lease for client in self._clients)

    def rows(self) -> list[Message]:
        """The connected clients, for people."""
        return [
            {"number": each.number, "who": each.who, "pid": each.pid(), "lease": each.lease}
            for each in self._clients
        ]

    def listen(self, path: str) -> None:
        """Accept clients at a path; only its owner may connect."""
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(64)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._on_connect)

    def add(self, connection: socket.socket) -> Client:
        """Serve a connection."""
        self._count += 1
        client = Client(connection, self._count)
        self._clients.append(client)
        self._selector.register(
            connection, selectors.EVENT_READ, lambda _, mask: self._on_ready(client, mask)
        )
        return client

    def send(self, client: Client, message: Mapping[str, object]) -> None:
        """Send a message as soon as the client reads; one that never does is disconnected."""
        self._send(client, _line(message))

    def broadcast(self, message: Mapping[str, object]) -> None:
        """Send an event to everyone who has subscribed."""
        listening = [each for each in self._clients if each.subscribed]
        if not listening:
            return
        line = _line(message)  # once for all of them
        for client in listening:
            self._send(client, line)

    def drop(self, client: Client) -> None:
        """Disconnect a client; twice is allowed."""
        if client.closed:
            return
        client.closed = True
        self._clients.remove(client)
        self._selector.unregister(client.connection)
        client.connection.close()
        self._gone(client)

    def _on_connect(self, listener: socket.socket, _mask: int) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            if len(self._clients) >= MOST:
                connection.close()
                return
            self.add(connection)

    def _on_ready(self, client: Client, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush(client)
        if mask & selectors.EVENT_READ and not client.closed:
            self._read(client)

    def _send(self, client: Client, line: bytes) -> None:
        client.unsent += line
        self._flush(client)
        if len(client.unsent) > UNREAD:
            self.drop(client)

    def _flush(self, client: Client) -> None:
        try:
            while client.unsent:
                sent = client.connection.send(client.unsent)
                del client.unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            client.unsent.clear()  # it has disconnected, which the next read reports
        if not client.closed:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
            key = self._selector.get_key(client.connection)
            if key.events != wanted:
                self._selector.modify(client.connection, wanted, key.data)

    def _read(self, client: Client) -> None:
        try:
            data = client.connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(client)
            return
        searched = len(client.received)
        client.received += data
        if b"\n" not in data:
            if searched > LONGEST_LINE:
                self._refuse(client, f"a request is longer than {LONGEST_LINE} bytes")
            return
        *lines, rest = bytes(client.received).split(b"\n")
        client.received = bytearray(rest)
        for line in lines:
            if not client.closed:
                self._take(client, line)

    def _take(self, client: Client, line: bytes) -> None:
        try:
            request = json.loads(line)
            serial, op = request["id"], request["op"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self._refuse(client, f"not a request: {line[:200]!r}")
            return
        if not isinstance(serial, int) or not isinstance(op, str):
            self._refuse(client, f"not a request: {line[:200]!r}")
            return
        self._answer(client, request)

    def _refuse(self, client: Client, reason: str) -> None:
        self.send(client, {"event": "refused", "reason": reason})
        self.drop(client)


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
