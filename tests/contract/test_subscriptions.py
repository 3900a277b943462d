"""What the ladder asks of subscriptions is what a real daprd makes of the app's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from harness import App, Settings, Stack, Topology, World, running
from harness.dapr.health import SubscriptionsCheck
from harness.dapr.subscribe import ask_subscriptions
from tests.projects import IN_MEMORY
from tests.support import project

pytestmark = pytest.mark.real

APP = """
from fastapi import FastAPI, Request, Response

app = FastAPI()
now = {"status": 404, "body": "", "actors": []}


@app.get("/dapr/config")
async def config() -> dict:
    return {"entities": now["actors"]}


@app.get("/dapr/subscribe")
async def subscribe() -> Response:
    return Response(now["body"], now["status"], media_type="application/json")


@app.put("/answer")
async def answer(request: Request) -> None:
    now.update(await request.json())
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its app answers what it is told to."""
    folder = project(tmp_path_factory.mktemp("subscribe"), app_py=APP, c__pubsub_yaml=IN_MEMORY)
    topology = Topology(App("a", asgi="app:app"), resources="c")
    with running(topology, Settings.load(folder)) as opened:
        yield opened


def item(**fields: Any) -> dict[str, Any]:
    return {"pubsubname": "pubsub", "topic": "t", "route": "/r"} | fields


ANSWERS: list[tuple[int, str]] = [
    (200, json.dumps([{"PubsubName": "pubsub", "TOPIC": "t", "Route": "/r"}])),
    (200, json.dumps([item(Topic="last", unknown=1), item(topic="u", route="")])),
    (200, json.dumps([item(route=None, routes={"Default": "/d"}, topic=None)])),
    (200, json.dumps([None, item(routes={"rules": [{"match": "", "path": "/x"}]})])),
    (200, json.dumps([item(), item(topic=5)])),
    (200, json.dumps([item(bulkSubscribe={"maxMessagesCount": 1.0})])),
    (200, json.dumps([item()]) + "and more"),
    (200, '{"topic": "t"}'),
    (200, "no json"),
    (200, ""),
    (201, json.dumps([item()])),
    (405, json.dumps([item()])),
    (501, "Unsupported method"),
]


def answer(world: World, status: int, body: str, actors: Sequence[str] = ()) -> None:
    """Tell the app what to answer, and have a new daprd ask it."""
    say(world, status, body, actors)
    world.stack.instances["a-daprd"].kill()  # type: ignore[attr-defined]  # a process can be
    world.stack.restart("a-daprd")


def say(world: World, status: int, body: str, actors: Sequence[str] = ()) -> None:
    told = {"status": status, "body": body, "actors": list(actors)}
    world.app("a").put("/answer", json=told).raise_for_status()


def test_the_sidecar_is_ready_whatever_its_app_answers_and_has_what_was_read(stack: Stack) -> None:
    """Its metadata show what daprd made of each answer."""
    seen, read = [], []
    with World(stack) as world:
        for status, body in ANSWERS:
            answer(world, status, body)
            found = world.sidecar("a").metadata().subscriptions
            seen.append({(each.pubsub, each.topic) for each in found})
            read.append(set(ask_subscriptions(stack.book.endpoint("a"), "").topics))

    assert seen == read
    assert [1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] == [len(each) for each in read]


def test_a_subscription_that_daprd_does_not_have_is_missing(stack: Stack) -> None:
    """daprd asked before the app knew of it, and does not ask again."""
    with World(stack) as world:
        answer(world, 200, json.dumps([item()]))
        say(world, 200, json.dumps([item(), item(topic="late")]))
        check = SubscriptionsCheck(world.sidecar("a"), stack.book.endpoint("a"), "", ())

        seen = check.observe()

    assert not seen.ok
    assert "missing [('pubsub', 'late')]" in seen.fact


def test_an_app_that_hosts_actors_without_a_state_store_is_ready_with_a_warning(
    stack: Stack,
) -> None:
    """As daprd is, which says so in its metadata only."""
    with World(stack) as world:
        answer(world, 404, "", actors=["counter"])

        assert ("counter",) == world.sidecar("a").metadata().actor_types
        assert "the app hosts the actors counter" in warnings(stack)[-1]
        answer(world, 404, "")


def warnings(stack: Stack) -> list[str]:
    """What was told of the sidecar."""
    told = [each for each in stack.journal if (each.kind, each.node) == ("node.warned", "a-daprd")]
    return [each.facts["warning"] for each in told]


def test_what_daprd_cannot_read_is_a_warning(stack: Stack) -> None:
    """The check passes, and the answer is quoted."""
    with World(stack) as world:
        answer(world, 405, "Method Not Allowed")

    assert "status 405; the body begins 'Method Not Allowed'" in warnings(stack)[-1]
