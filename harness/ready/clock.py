"""Checks that a program follows the clock of its stack."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Observation
from harness.core.errors import ConfigError

PRELOADED = "libfaketime"


@dataclass(frozen=True)
class FollowsCheck:
    """What listens on a port of this machine has the clock's file, or libfaketime, in its memory.

    Attributes:
        node: the program's node.
        port: where it listens.
        file: the clock's file.
    """

    node: str
    port: int
    file: str
    name: str = "clock"

    def observe(self) -> Observation:
        """Look once; a program that was started without it will never have it.

        Raises:
            ConfigError: it follows real time.
        """
        mapped = [text for pid in _listening(self.port) if (text := _mapped(pid))]
        if not mapped:
            return Observation(True, "its memory cannot be inspected")
        if any(self.file in text or PRELOADED in text for text in mapped):
            return Observation(True, "it follows")
        raise ConfigError(
            f"{self.node!r} has follow_clock=True and does not follow the clock",
            expected="a program that keeps PYTHONPATH and LD_PRELOAD as it was given them",
            last=f"what listens on port {self.port} reads neither the clock's file nor libfaketime",
            hint="leave out `python -I`, -E and -S; an external app needs the environment shown",
        )


def _listening(port: int) -> Iterator[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port:
                yield from filter(None, [each.pid])


def _mapped(pid: int) -> str:
    """The files in a process's memory; "" if they cannot be seen."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/maps").read_text()
    return ""
