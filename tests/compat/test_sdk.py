"""Apps on the official Python SDK, all in one stack: each runs as it would by `dapr run`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import App, Kafka, Settings, Stack, Topology, World, running

pytestmark = pytest.mark.real

APPS = Path(__file__).parent / "apps"


def topology() -> Topology:
    """Five apps, of which two have no port and one speaks gRPC."""
    python = sys.executable
    return Topology(
        Kafka(topics=["orders"]),
        App("subscriber", asgi="subscriber:app", cwd=APPS),
        App("actors", asgi="actors:app", cwd=APPS),
        App(
            "grpc-server",
            command=[python, "grpc_server.py", "{port}"],
            cwd=APPS,
            sidecar_flags={"app-protocol": "grpc"},
        ),
        App("streaming", command=[python, "streaming.py"], cwd=APPS, listens=False),
        App("workflows", command=[python, "workflows.py"], cwd=APPS, listens=False),
        resources=APPS / "components",
    )


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All five, up."""
    with running(topology(), Settings.load(runtime="processes", broker="kafka")) as found:
        yield found


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    """One test's view of them."""
    with World(stack) as found:
        yield found


def api(world: World, app: str) -> httpx.Client:
    """The API of an app's sidecar."""
    endpoint, token = world.sidecar_address(app)
    return httpx.Client(base_url=endpoint.http, headers={"dapr-api-token": token}, timeout=30)


def published(world: World) -> str:
    """The id of an event that was published just now."""
    order = world.name("order")
    world.sidecar("subscriber").publish("pubsub", "orders", {"id": order})
    return order


def test_a_fastapi_subscriber_gets_what_is_published(world: World) -> None:
    """By the route that the SDK declares."""
    order = published(world)

    def seen() -> bool:
        return order in list(world.app("subscriber").get("/seen").json())

    world.eventually(seen, timeout=30)


def test_a_grpc_app_gets_events_and_is_invoked(world: World) -> None:
    """daprd calls it by gRPC for both; the caller speaks HTTP."""
    order = published(world)

    def seen() -> bool:
        with api(world, "subscriber") as daprd:
            answer = daprd.get("/v1.0/invoke/grpc-server/method/seen")
        assert answer.is_success, answer.text
        return order in list(answer.json())

    world.eventually(seen, timeout=30)


def test_a_streaming_subscription_gets_what_is_published(world: World) -> None:
    """The app has no port; what it saw is in its state."""
    order = published(world)

    def streamed() -> bool:
        with api(world, "streaming") as daprd:
            return daprd.get(f"/v1.0/state/store/{order}").text == "streamed"

    world.eventually(streamed, timeout=30)


def test_an_actor_keeps_its_state(world: World) -> None:
    """Between two calls."""
    with api(world, "actors") as daprd:
        path = f"/v1.0/actors/Counter/{world.name('counter')}/method/Add"
        answers = [daprd.put(path, json=amount) for amount in (2, 3)]

    assert [2, 5] == [answer.json() for answer in answers]


def test_an_actors_reminder_fires_once(world: World) -> None:
    """One that fired again before the next one is due would be seen in the sum."""
    actor = f"/v1.0/actors/Counter/{world.name('counter')}/method"
    with api(world, "actors") as daprd:

        def total_is(expected: int) -> None:
            assert expected == int(daprd.put(f"{actor}/Add", json=0).json())

        for amount, total in ((7, 7), (20, 27)):
            assert daprd.put(f"{actor}/AddLater", json=amount).is_success
            world.eventually(partial(total_is, total), timeout=30)


def test_a_workflow_runs_to_its_end(world: World) -> None:
    """Activities side by side, an event from outside, and the output."""
    with api(world, "workflows") as daprd:
        instance = world.name("order")
        begun = daprd.post(f"/v1.0/workflows/dapr/order/start?instanceID={instance}", json=[1, 2])
        assert begun.is_success, begun.text
        told = daprd.post(f"/v1.0/workflows/dapr/{instance}/raiseEvent/approval", json="Ada")
        assert told.is_success, told.text

        def state() -> dict[str, Any]:
            return dict(daprd.get(f"/v1.0/workflows/dapr/{instance}").json())

        def ended() -> bool:
            return "COMPLETED" == str(state()["runtimeStatus"])

        world.eventually(ended, timeout=30)
        output = state()["properties"]["dapr.workflow.output"]

    assert "9, approved by Ada" == json.loads(output)
