"""Queues of RabbitMQ that have their consumer: as much of AMQP 0-9-1 as that takes.

https://www.rabbitmq.com/amqp-0-9-1-reference
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedRWPair

from harness.core.deadline import Observation
from harness.core.endpoint import Endpoint

ANSWERING = 2.0
"""Seconds to wait for an answer."""

HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, END = 1, b"\xce"
START, START_OK, TUNE, TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
OPEN, OPEN_OK, CLOSE = (10, 40), (10, 41), (10, 50)
CHANNEL, CHANNEL_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
DECLARE, DECLARE_OK = (50, 10), (50, 11)
PASSIVE = 1
"""The bit of a declaration that only asks whether the queue exists."""

Method = tuple[int, int]


class Refused(Exception):
    """The server has closed the connection or the channel, with its reason."""


@dataclass(frozen=True)
class AmqpAccess:
    """Where a server is, and what it requires.

    Attributes:
        endpoint: its address.
        username: the user.
        password: the user's password.
        host: the virtual host.
    """

    endpoint: Endpoint
    username: str = "guest"
    password: str = field(default="guest", repr=False)
    host: str = "/"

    def consumers(self, queues: Sequence[str]) -> dict[str, int]:
        """The number of consumers of each queue that exists.

        Raises:
            OSError: the server does not respond.
            Refused: it does not accept the client.
        """
        address = (self.endpoint.host, self.endpoint.port)
        with (
            socket.create_connection(address, ANSWERING) as opened,
            opened.makefile("rwb") as stream,
        ):
            self._log_in(stream)
            found = {name: _consumers(stream, n, name) for n, name in enumerate(queues, start=1)}
            _send(stream, 0, CLOSE, struct.pack(">HBHH", 200, 0, 0, 0))
        return {name: count for name, count in found.items() if count is not None}

    def _log_in(self, stream: BufferedRWPair) -> None:
        stream.write(HEADER)
        stream.flush()
        _receive(stream, START)
        words = f"\0{self.username}\0{self.password}".encode()
        answer = struct.pack(">I", len(words)) + words
        _send(stream, 0, START_OK, bytes(4) + _short("PLAIN") + answer + _short("en_US"))
        channels, frame, _ = struct.unpack(">HIH", _receive(stream, TUNE)[:8])
        _send(stream, 0, TUNE_OK, struct.pack(">HIH", channels, frame, 0))
        _send(stream, 0, OPEN, _short(self.host) + _short("") + b"\0")
        _receive(stream, OPEN_OK)


def _consumers(stream: BufferedRWPair, channel: int, queue: str) -> int | None:
    """The number of a queue's consumers; None if it does not exist, which closes the channel."""
    _send(stream, channel, CHANNEL, _short(""))
    _receive(stream, CHANNEL_OK)
    _send(stream, channel, DECLARE, b"\0\0" + _short(queue) + bytes([PASSIVE]) + bytes(4))
    try:
        answer = _receive(stream, DECLARE_OK)
    except Refused as error:
        if "NOT_FOUND" in str(error):
            return None
        raise
    return int(struct.unpack(">II", answer[1 + answer[0] :])[1])


def _short(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def _send(stream: BufferedRWPair, channel: int, method: Method, arguments: bytes) -> None:
    payload = struct.pack(">HH", *method) + arguments
    stream.write(struct.pack(">BHI", METHOD, channel, len(payload)) + payload + END)
    stream.flush()


def _receive(stream: BufferedRWPair, expected: Method) -> bytes:
    """The arguments of the next method, which must be the expected one."""
    head = stream.read(7)
    if len(head) < 7:
        raise Refused("the server hung up")
    _, _, size = struct.unpack(">BHI", head)
    payload = stream.read(size + 1)[:-1]
    method = struct.unpack(">HH", payload[:4])
    arguments = payload[4:]
    if method in (CLOSE, CHANNEL_CLOSE):
        raise Refused(arguments[3 : 3 + arguments[2]].decode("utf-8", "replace"))
    if method != expected:
        raise Refused(f"the server sent method {method} instead of {expected}")
    return arguments


@dataclass
class QueueCheck:
    """Every queue exists and has a consumer."""

    access: AmqpAccess
    queues: Sequence[str]
    name: str = "group"

    def observe(self) -> Observation:
        """Ask for each queue once."""
        try:
            found = self.access.consumers(self.queues)
        except (OSError, Refused) as error:
            return Observation(False, f"queues at {self.access.endpoint}: {error}")
        missing = [name for name in self.queues if not found.get(name)]
        counted = len(self.queues) - len(missing)
        return Observation(
            not missing, f"{counted} queues have a consumer, missing {missing or 'none'}"
        )
