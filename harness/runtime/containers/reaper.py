"""Ryuk, the third safeguard: removes a session's containers if nothing else is left to do it."""

from __future__ import annotations

import contextlib
import socket
import threading

from testcontainers.core.config import TestcontainersConfiguration, testcontainers_config
from testcontainers.core.container import Reaper

from harness.core.errors import LaunchError
from harness.runtime.containers.engine import Engine, refusals

ANSWERING = 10.0
"""Seconds within which Ryuk must confirm what it will remove."""

_once = threading.Lock()


def arm_ryuk(engine: Engine) -> bool:
    """Start Ryuk once per process if its image is available, and make sure that it is armed.

    testcontainers-python sends the filter without waiting for the response, so a Ryuk that never
    received it looks the same (issue #1114); and threads that start their first containers in
    parallel race to create it (#746).

    Returns:
        Whether it is armed.

    Raises:
        LaunchError: it was started and does not confirm.
    """
    with _once:
        wanted = not TestcontainersConfiguration().ryuk_disabled
        there = wanted and engine.image_id(testcontainers_config.ryuk_image) is not None
        testcontainers_config.ryuk_disabled = not there
        first = vars(Reaper)["_instance"] is None
        if there and first:
            with refusals("starting Ryuk"):
                Reaper.get_instance()
            require_answer(vars(Reaper)["_socket"])
        return there


def disarm_ryuk() -> None:
    """Stop this session's Ryuk, because detached containers must outlive the session."""
    with _once:
        Reaper.delete_instance()


def require_answer(line: socket.socket) -> None:
    """Wait for Ryuk's confirmation.

    Raises:
        LaunchError: it closed the connection or sent nothing.
    """
    line.settimeout(ANSWERING)
    said = b""
    with contextlib.suppress(OSError):
        said = line.recv(64)
    if b"ACK" not in said:
        raise LaunchError(
            "Ryuk was started but is not armed",
            expected="ACK for the label to watch",
            last=repr(said) if said else "it said nothing",
            budget=ANSWERING,
            hint="TESTCONTAINERS_RYUK_DISABLED=true continues without it; the supervisor cleans up",
        )
