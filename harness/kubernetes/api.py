"""Requests to the API server of a cluster."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from harness.core.closing import Closing
from harness.core.errors import ProbeError
from harness.kubernetes.bare_api import MERGE

MANAGER = "dapr-harness"
"""The field manager of what is applied."""

SLOW = 30.0
"""Seconds for a request; the API server's own limit is a minute."""


@dataclass(frozen=True)
class Access:
    """How an API server is reached.

    Attributes:
        url: its address.
        token: a bearer token; a secret; "" for none.
        authority: the file with the certificates that it is trusted by.
        tls: how it is verified, if there is no such file.
        certificate: the file with the client's certificate and its key.
        verified: whether it is verified at all.
    """

    url: str
    token: str = field(repr=False)
    authority: Path | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    certificate: Path | None = None
    verified: bool = True

    def told(self) -> dict[str, object]:
        """The same for a program of its own, as `bare_api.Server` reads it."""
        files = {"authority": self.authority, "certificate": self.certificate}
        return {
            "url": self.url,
            "token": self.token,
            **{name: str(file or "") for name, file in files.items()},
            "verified": self.verified,
        }


@dataclass(frozen=True)
class Answer:
    """What the API server has answered.

    Attributes:
        status: the HTTP status.
        body: the object, or a ``Status`` if it was refused.
        warnings: in the server's own words.
    """

    status: int
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def message(self) -> str:
        """Why it was refused, in the server's own words."""
        return str(self.body.get("message") or f"HTTP {self.status}")


def trusting(authority: Path | None = None, text: str = "") -> ssl.SSLContext:
    """A context for TLS that trusts some certificates, or those of this machine if none are given.

    Args:
        authority: the file with the certificates.
        text: the certificates themselves.
    """
    file = str(authority) if authority else None
    context = ssl.create_default_context(cafile=file, cadata=text or None)
    # Certificates of clusters often lack an extension that Python 3.13 began to require.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class ApiServer(Closing):
    """A client of one API server.

    Args:
        access: where it is.
        timeout: seconds for each step of a request.
    """

    def __init__(self, access: Access, *, timeout: float = SLOW) -> None:
        self._url = access.url
        given = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        self._client = httpx.Client(
            base_url=access.url,
            headers=given,
            verify=access.tls or trusting(access.authority),
            timeout=timeout,
            # The API server is this machine's, or one that the user has named.
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections. Closing twice is allowed."""
        self._client.close()

    def get(self, path: str) -> Answer:
        """Read something.

        Raises:
            ProbeError: the server does not answer.
        """
        return self._request("GET", path)

    def text(self, path: str) -> str:
        """Read a text, such as a log; "" if there is none.

        Raises:
            ProbeError: the server does not answer.
        """
        found = self._send("GET", path)
        return found.text if found.is_success else ""

    def await_change(self, path: str, version: str, seconds: int) -> None:
        """Wait until something in a list changes.

        Args:
            path: of the list.
            version: its ``resourceVersion``.
            seconds: after which it returns in any case; what the server says is not read.

        Raises:
            ProbeError: the server does not answer.
        """
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds)}
        try:
            limit = httpx.Timeout(SLOW, read=seconds + SLOW)
            with self._client.stream("GET", path, params=query, timeout=limit) as answer:
                next(answer.iter_raw(), None)
        except (httpx.HTTPError, OSError) as error:
            raise self._silent("GET", path, error) from None

    def apply(self, path: str, manifest: bytes, *, dry_run: bool) -> Answer:
        """Apply an object by server-side apply; unknown and duplicate fields are refused.

        Args:
            path: of the object.
            manifest: as YAML or JSON.
            dry_run: whether everything is checked and nothing is stored.

        Raises:
            ProbeError: the server does not answer.
        """
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        return self._request(
            "PATCH",
            path,
            params=query,
            content=manifest,
            headers={"Content-Type": "application/apply-patch+yaml"},
        )

    def merge(self, path: str, change: Mapping[str, Any]) -> Answer:
        """Change fields of an object.

        Raises:
            ProbeError: the server does not answer.
        """
        headers = {"Content-Type": MERGE}
        return self._request("PATCH", path, content=json.dumps(change), headers=headers)

    def create(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Create an object, or ask a question that is an object.

        Raises:
            ProbeError: the server does not answer.
        """
        headers = {"Content-Type": "application/json"}
        return self._request("POST", path, content=json.dumps(body), headers=headers)

    def delete(self, path: str, *, grace: int) -> Answer:
        """Delete an object, or all of a list.

        Args:
            path: of the object, or of the list.
            grace: seconds that pods have to end.

        Raises:
            ProbeError: the server does not answer.
        """
        body = json.dumps({"gracePeriodSeconds": grace, "propagationPolicy": "Background"})
        headers = {"Content-Type": "application/json"}
        return self._request("DELETE", path, content=body, headers=headers)

    def _request(self, method: str, path: str, **given: Any) -> Answer:
        answer = self._send(method, path, **given)
        return Answer(answer.status_code, _body_of(answer), _warnings_of(answer))

    def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **given)
        except (httpx.HTTPError, OSError) as error:
            raise self._silent(method, path, error) from None

    def _silent(self, method: str, path: str, error: Exception) -> ProbeError:
        return ProbeError(
            f"the API server at {self._url} does not answer",
            last=f"{method} {path}: {type(error).__name__}: {error}",
            hint="look into its log",
        )


def _body_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": answer.text[:300]}


def _warnings_of(answer: httpx.Response) -> tuple[str, ...]:
    """The texts of its headers ``Warning: 299 - "text"``."""
    rows = answer.headers.get_list("warning")
    texts = (row.partition('"')[2].rpartition('"')[0] for row in rows)
    return tuple(text.replace('\\"', '"') for text in texts if text)
