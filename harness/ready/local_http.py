"""GET requests to addresses of this machine, with the standard library alone.

Readiness checks send dozens of them, and attaching to a stack needs nothing else of HTTP: to import
httpx and the parts of its command line takes a third of the time of attaching.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from harness.core.closing import Closing
from harness.core.endpoint import Endpoint

UNANSWERED = (OSError, HTTPException)
"""What a request raises that was not answered."""


@dataclass(frozen=True)
class Got:
    """A response; its properties are named as those of httpx.

    Attributes:
        headers: by name in lower case.
    """

    status_code: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status_code < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.content)


class LocalHttp(Closing):
    """A connection that is opened by the first request, and again after one that failed.

    Args:
        endpoint: where the server listens.
        headers: sent with every request.
        timeout: seconds for each step of a request.
    """

    def __init__(
        self, endpoint: Endpoint, headers: Mapping[str, str] | None = None, *, timeout: float = 15.0
    ) -> None:
        self._headers = dict(headers or {})
        self._connection = HTTPConnection(endpoint.host, endpoint.port, timeout=timeout)

    def close(self) -> None:
        """Close the connection. Closing twice is allowed."""
        self._connection.close()

    def get(self, path: str) -> Got:
        """Send one request.

        Raises:
            OSError, HTTPException: there was no response (`UNANSWERED`).
        """
        try:
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Got(answer.status, answer.read(), headers)
        except UNANSWERED:
            self._connection.close()
            raise


def get(url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Got:
    """Send one request on a separate connection.

    Args:
        url: of a server on this machine, with its port; without TLS.

    Raises:
        OSError, HTTPException: there was no response (`UNANSWERED`).
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    endpoint = Endpoint(parts.hostname or "", parts.port or 80)
    with LocalHttp(endpoint, headers, timeout=timeout) as once:
        return once.get(path)
