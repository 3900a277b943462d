"""What readiness checks ask of a sidecar, without the client of httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from harness.core.closing import Closing
from harness.core.endpoint import Endpoint
from harness.core.tracing import NOT_SAMPLED
from harness.dapr import calls
from harness.dapr.model import Metadata
from harness.ready.local_http import LocalHttp

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


class Sidecar(Protocol):
    """The part of a client that readiness checks use."""

    @property
    def endpoint(self) -> Endpoint:
        """The sidecar's HTTP address."""
        ...

    def metadata(self) -> Metadata:
        """The sidecar's own metadata."""
        ...

    def health(self, *, outbound: bool = False) -> None:
        """Return if the sidecar reports that it is ready, otherwise raise its error."""
        ...


class SidecarStatus(Closing):
    """The health and the metadata of a sidecar.

    Args:
        endpoint: the sidecar's HTTP address.
        token: sent as ``dapr-api-token`` if not empty.
    """

    def __init__(self, endpoint: Endpoint, token: str = "") -> None:
        self.endpoint = endpoint
        named = {"dapr-api-token": token} if token else {}
        self._http = LocalHttp(endpoint, {**named, **NOT_SAMPLED})

    def close(self) -> None:
        """Close the connection. Closing twice is allowed."""
        self._http.close()

    def metadata(self) -> Metadata:
        """The sidecar's own metadata.

        Raises:
            DaprError: daprd responded with an error status.
            OSError, HTTPException: it did not respond.
        """
        return self._run(calls.metadata())

    def health(self, *, outbound: bool = False) -> None:
        """Return if the sidecar reports that it is ready, otherwise raise its error.

        Raises:
            DaprError, OSError, HTTPException: as for `metadata`.
        """
        return self._run(calls.health(outbound=outbound))

    def _run(self, call: calls.Call[T]) -> T:
        # What is read of it has the same names.
        return call.parse(cast("httpx.Response", self._http.get(call.path)))
