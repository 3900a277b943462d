"""Two replicas of one app, on each runtime: calls and events reach either of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness import App, DaprError, Kafka, Settings, Sidecar, Topology, World, running
from tests.support import project

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]

APP = """
import json, os, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ME, seen, told = str(uuid.uuid4()), [], []

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        answers = {"/dapr/subscribe": [{"pubsubname": "bus", "topic": "t", "route": "/t"},
                                      {"pubsubname": "all", "topic": "u", "route": "/u"}],
                   "/who": ME, "/seen": seen, "/told": told}
        self.answer(answers.get(self.path))

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        (seen if self.path == "/t" else told).append(event["data"])
        self.answer({})

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(404 if body is None else 200)
        self.send_header("content-length", str(len(text)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(text)

ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""
"""Only the standard library, so that any image with Python runs it."""

BUS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: NAME}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {name: brokers, value: "${kafka.brokers}"}
  - {name: authType, value: none}
  - {name: initialOffset, value: oldest}
  # A busy machine must not move a partition, and with it an event, to the other replica.
  - {name: sessionTimeout, value: 20s}
"""
ALL = (
    BUS
    + """\
  - {name: consumerID, value: "{appID}-{podName}"}
"""
)
"""In a group of its own, each replica gets every event."""

BOTH = (1, 2)
CALLS = 60
"""One of two replicas, chosen at random, is missed by all of them once in 10^18 runs."""


@pytest.fixture(scope="module", params=["processes", "containers"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Two replicas, and a sidecar that calls them: an app's calls to itself stay with it."""
    if request.param == "containers":
        request.getfixturevalue("images")
    folder = project(
        tmp_path_factory.mktemp("replicas"),
        c__bus_yaml=BUS.replace("NAME", "bus"),
        c__all_yaml=ALL.replace("NAME", "all"),
    )
    topology = Topology(
        Kafka(topics=["t:4", "u"]),
        App("echo", command=[sys.executable, "-c", APP], image="app", replicas=2),
        Sidecar("caller"),
        resources="c",
    )
    settings = Settings.load(folder, runtime=request.param)
    with running(topology, settings) as stack, World(stack) as opened:
        yield opened


def ids(world: World) -> set[Any]:
    return {world.app("echo", replica=number).get("/who").json() for number in BOTH}


def answering(world: World) -> set[Any]:
    """Which replicas answer calls to the app-id."""
    caller = world.sidecar("caller")
    return {caller.invoke("echo", "who", verb="GET").json() for _ in range(CALLS)}


def handled(world: World) -> list[list[str]]:
    return [world.app("echo", replica=number).get("/seen").json() for number in BOTH]


def test_calls_reach_both_replicas(world: World) -> None:
    """They are two processes of one app-id, each with a sidecar of its own."""
    assert 2 == len(ids(world))
    assert ids(world) == answering(world)
    for number in BOTH:
        assert "echo" == world.sidecar("echo", replica=number).metadata().app_id


def test_each_event_is_handled_by_one_replica(world: World) -> None:
    """As soon as both have partitions of the topic."""
    caller = world.sidecar("caller")

    def both_take_part() -> None:
        caller.publish("bus", "t", "first")
        assert all(handled(world))

    world.eventually(both_take_part, timeout=120)
    sent = [f"event {number}" for number in range(40)]
    for each in sent:
        caller.publish("bus", "t", each)

    def all_handled() -> None:
        first, second = ([each for each in seen if each != "first"] for seen in handled(world))
        assert sorted(sent) == sorted(first + second)
        assert first
        assert second

    world.eventually(all_handled, timeout=60)


def test_each_replica_handles_every_event_in_a_group_of_its_own(world: World) -> None:
    """As in a cluster, `{podName}` differs; both are subscribed as soon as they are ready."""
    world.sidecar("caller").publish("bus", "u", "to all")

    def both_are_told() -> None:
        for number in BOTH:
            assert ["to all"] == world.app("echo", replica=number).get("/told").json()

    world.eventually(both_are_told, timeout=60)


def test_the_other_replica_answers_when_one_is_killed(world: World) -> None:
    """Once the name of the killed sidecar has expired (30 s); restarted, it takes part again."""
    names = ("echo-2", "echo-2-daprd")
    first = world.app("echo").get("/who").json()
    for name in names:
        world.stack.instances[name].kill()  # type: ignore[attr-defined]  # what is started here can

    def only_the_first_answers() -> None:
        try:
            assert {first} == answering(world)
        except DaprError as error:
            raise AssertionError(error) from None

    world.eventually(only_the_first_answers, timeout=180)

    for name in names:
        world.stack.restart(name)
    assert 2 == len(ids(world))
    assert ids(world) == answering(world)
