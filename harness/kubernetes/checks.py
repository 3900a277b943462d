"""When an API server is ready."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.deadline import Observation
from harness.core.errors import ProbeError
from harness.kubernetes.api import ApiServer


@dataclass(frozen=True)
class ReadyCheck:
    """Its own readiness check passes: what it does after its start is done."""

    server: ApiServer
    name: str = "readyz"

    def observe(self) -> Observation:
        """Ask for each of its checks."""
        try:
            answer = self.server.get("/readyz?verbose")
        except ProbeError as error:
            return Observation(False, error.last)
        rows = answer.message.splitlines()
        failed = [row for row in rows if row.startswith("[-]")]
        return Observation(answer.accepted, "; ".join(failed) or f"/readyz -> {answer.status}")
