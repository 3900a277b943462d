"""A port that accepts connections."""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass

from harness.core.deadline import Observation, Wake
from harness.core.endpoint import Endpoint
from harness.ready.listening import wake_at

HELD = 0.05
"""Seconds within which a forwarder closes a connection that it cannot forward."""

NOBODY = (
    "the engine's port forwarder accepts the connection, but nothing listens in the container yet, "
    "or only on its loopback (it must listen on APP_HOST, which is 0.0.0.0 there)"
)


@dataclass(frozen=True)
class TcpCheck:
    """The endpoint accepts a connection and, behind a forwarder, keeps it.

    Attributes:
        forwarded: a forwarder (docker-proxy, an ssh bridge) accepts for a dead app and hangs up
            when it notices, so a connection counts only after it has lasted for a moment.
    """

    endpoint: Endpoint
    name: str = "port"
    forwarded: bool = False

    def observe(self) -> Observation:
        """Connect once."""
        try:
            with socket.create_connection((self.endpoint.host, self.endpoint.port), 0.5) as opened:
                if self.forwarded and _hung_up(opened):
                    return Observation(False, f"{self.endpoint}: {NOBODY}")
        except OSError as error:
            return Observation(False, f"{self.endpoint}: {error.strerror or error}")
        return Observation(True, f"{self.endpoint} accepts")

    def wake(self) -> Wake | None:
        """Set once something listens there."""
        return None if self.forwarded else wake_at(self.endpoint)


def _hung_up(opened: socket.socket) -> bool:
    readable, _, _ = select.select([opened], [], [], HELD)
    return bool(readable) and not opened.recv(1)
