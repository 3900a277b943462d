"""A Redis server that responds."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from harness.core.deadline import Observation
from harness.core.endpoint import Endpoint


@dataclass(frozen=True)
class RedisCheck:
    """The server takes the password, where there is one, and answers ``PING``.

    Inline commands of the protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/
    """

    endpoint: Endpoint
    password: str
    name: str = "ping"

    def observe(self) -> Observation:
        """Connect and send one command."""
        try:
            with socket.create_connection((self.endpoint.host, self.endpoint.port), 1) as opened:
                auth = f"AUTH {self.password}\r\n" if self.password else ""
                opened.sendall(f"{auth}PING\r\nQUIT\r\n".encode())
                with opened.makefile("r", encoding="utf-8") as answers:
                    said = [line.strip() for line in answers]
        except OSError as error:
            return Observation(False, f"{self.endpoint}: {error.strerror or error}")
        wrong = next((line for line in said if line.startswith("-")), None)
        return Observation("+PONG" in said and not wrong, wrong or "; ".join(said) or "hung up")
