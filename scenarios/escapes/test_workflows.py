"""Dapr 1.18.2: "Querying workflow instance history crashes the sidecar when no actor state store is
configured".
"""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from harness import App, Settings, Topology, World, running
from harness.deadline import Deadline, Observation, poll

HISTORY = "/TaskHubSidecarService/GetInstanceHistory"
INSTANCE = b"\x0a\x07unknown"
"""A GetInstanceHistoryRequest: its field 1, instanceId, is "unknown"."""


@pytest.fixture
def storeless(dapr_settings: Settings) -> Iterator[World]:
    """The small app without any component."""
    stack = running(Topology(App("clock", asgi="scenarios.escapes.clock_app:app")), dapr_settings)
    stack.provision()
    with stack, World(stack) as world:
        yield world


def history(world: World) -> tuple[grpc.StatusCode, str]:
    """What the workflow API answers to the question."""
    endpoint = world.stack.book.endpoint("clock-daprd", "grpc")
    token = ("dapr-api-token", world.sidecar_address("clock")[1])
    with grpc.insecure_channel(f"{endpoint.host}:{endpoint.port}") as channel:
        try:
            channel.unary_unary(HISTORY)(INSTANCE, timeout=60, metadata=(token,))
        except grpc.RpcError as error:
            return error.code(), error.details()
    return grpc.StatusCode.OK, ""


@pytest.mark.escape(fixed_in="1.18.2", shows=r"daprd ended with code 2:.*nil pointer dereference")
def test_a_history_is_refused_where_there_is_no_actor_store(storeless: World) -> None:
    """With the reason, and the sidecar goes on."""
    daprd = storeless.stack.instances["clock-daprd"]

    code, details = history(storeless)
    if code is grpc.StatusCode.UNAVAILABLE:  # the connection broke: the process may be ending
        poll(lambda: Observation(daprd.exit_code is not None), Deadline(30))

    tail = daprd.log.read_text()[-8_000:]
    assert daprd.exit_code is None, f"daprd ended with code {daprd.exit_code}:\n{tail}"
    assert "not configured to use the actor runtime" in details, (code, details)
    assert "clock" == storeless.sidecar("clock").metadata().app_id
