"""A URL that responds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.core.deadline import Observation, Wake
from harness.core.endpoint import Endpoint
from harness.ready.listening import wake_at
from harness.ready.local_http import UNANSWERED, get


@dataclass(frozen=True)
class HttpCheck:
    """GET answers with a 2xx status."""

    url: str
    name: str = "http"
    headers: Mapping[str, str] = field(default_factory=dict)

    def observe(self) -> Observation:
        """Send one request."""
        try:
            answer = get(self.url, headers=self.headers, timeout=2.0)
        except UNANSWERED as error:
            return Observation(False, f"GET {self.url}: {error or type(error).__name__}")
        return Observation(
            answer.is_success, f"GET {self.url} -> {answer.status_code} {answer.text[:300]}"
        )

    def wake(self) -> Wake | None:
        """Set once something listens there."""
        parts = urlsplit(self.url)
        return wake_at(Endpoint(parts.hostname or "", parts.port or 80))
