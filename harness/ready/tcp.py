"""A port that accepts."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from harness.deadline import Observation
from harness.endpoint import Endpoint


@dataclass(frozen=True)
class TcpCheck:
    """The endpoint accepts a connection.

    Weak by nature: a forwarder accepts for a dead app, so no ladder ends on this rung.
    """

    endpoint: Endpoint
    rung: str = "port"

    def observe(self) -> Observation:
        """Connect once."""
        try:
            socket.create_connection((self.endpoint.host, self.endpoint.port), 0.5).close()
        except OSError as error:
            return Observation(False, f"{self.endpoint}: {error.strerror or error}")
        return Observation(True, f"{self.endpoint} accepts")
