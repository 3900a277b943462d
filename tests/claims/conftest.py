"""Dapr as it really answers: plain HTTP to a sidecar of the reference system."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from harness import World
from harness.ready.loopback import client


@pytest.fixture
def daprd(dapr_sync: World) -> Iterator[httpx.Client]:
    """The backend's sidecar, without the typed client in between."""
    endpoint, token = dapr_sync.sidecar_address("backend-service")
    with client(endpoint.http, token=token, timeout=30) as opened:
        yield opened
