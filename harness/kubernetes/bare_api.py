"""The API server for programs of their own, which stand for something of a cluster on this machine.

It needs the standard library only: each container of a stack has such a program.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

MERGE = "application/merge-patch+json"
JSON = "application/json"


class Server:
    """The API server, with one connection for each request.

    Args:
        about: its ``url``; ``token``, "" for none; and, each a file or "": ``authority``, by which
            it is trusted, and ``certificate`` of the client with its key. ``verified`` is False if
            its user does not want it to be verified.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.url = str(about["url"])
        where = urlsplit(self.url)
        self._secure = where.scheme == "https"
        self._host, self._path = where.hostname or "", where.path.rstrip("/")
        self._port = where.port or (443 if self._secure else 80)
        token = about["token"]
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._given = {**self.headers, "Connection": "close"}
        self.context = _context(about) if self._secure else None

    def ask(
        self, method: str, path: str, body: object = None, kind: str = JSON
    ) -> http.client.HTTPResponse:
        """Send a request; the response is read by the caller."""
        given = None if body is None else json.dumps(body).encode()
        connection = self._connection()
        headers = {**self._given, "Content-Type": kind}
        connection.request(method, f"{self._path}{path}", given, headers)
        return connection.getresponse()

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """The events of a list, beginning with what is there."""
        while True:
            answer = self.ask("GET", f"{path}&watch=true")
            if answer.status != http.client.OK:
                raise OSError(f"{path}: HTTP {answer.status} {answer.read(300).decode()}")
            for line in answer:
                event: dict[str, Any] = json.loads(line)
                if event["type"] == "ERROR":
                    break
                yield event

    def _connection(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection(self._host, self._port)
        return http.client.HTTPSConnection(self._host, self._port, context=self.context)


def _context(about: Mapping[str, Any]) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=about["authority"] or None)
    # Certificates of clusters often lack an extension that Python 3.13 began to require.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not about.get("verified", True):
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if certificate := about.get("certificate"):
        made.load_cert_chain(certificate)
    return made
