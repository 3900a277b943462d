"""A PostgreSQL server that accepts connections."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from harness.core.deadline import Observation
from harness.core.endpoint import Endpoint

VERSION = 3 << 16
"""Of the protocol: https://www.postgresql.org/docs/current/protocol-message-formats.html"""

LONGEST = 10_000
"""Bytes of an error that are read."""


@dataclass(frozen=True)
class PostgresCheck:
    """The server answers a connection's first message by asking who it is, as `pg_isready` does.

    While it starts or shuts down, it answers with an error. To import a driver for this would cost
    a fifth of all that attaching to a stack does.
    """

    endpoint: Endpoint
    user: str
    name: str = "startup"

    def observe(self) -> Observation:
        """Connect and send one message."""
        words = b"".join(word.encode() + b"\0" for word in ("user", self.user, ""))
        message = struct.pack("!ii", 8 + len(words), VERSION) + words
        try:
            with socket.create_connection((self.endpoint.host, self.endpoint.port), 2) as opened:
                opened.sendall(message)
                with opened.makefile("rb") as answers:
                    kind = answers.read(1)
                    if kind == b"R":
                        return Observation(True, f"{self.endpoint} accepts {self.user}")
                    rest = answers.read(4)
                    size = min(struct.unpack("!i", rest)[0] - 4, LONGEST) if len(rest) == 4 else 0
                    told = _error(answers.read(max(size, 0)))
        except OSError as error:
            return Observation(False, f"{self.endpoint}: {error.strerror or error}")
        return Observation(False, f"{self.endpoint}: {told or 'hung up'}")


def _error(body: bytes) -> str:
    """The message among the fields of an error, each of which begins with a letter."""
    fields = {each[:1]: each[1:] for each in body.split(b"\0")}
    return fields.get(b"M", b"").decode("utf-8", "replace")
