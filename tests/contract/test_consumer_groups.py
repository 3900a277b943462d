"""The consumer groups that a start waits for are those that a real daprd joins."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from harness import App, Kafka, Settings, Stack, Topology, World, running
from harness.core.deadline import Deadline, Observation, poll
from harness.ready.kafka import admin_of, group_names
from tests.support import project

pytestmark = pytest.mark.real

APP = """
from fastapi import FastAPI

app = FastAPI()
came = []
NAMES = ("namespaced", "unique", "fixed", "referred")


@app.get("/dapr/subscribe")
async def subscribe() -> list:
    return [{"pubsubname": name, "topic": "t", "route": f"/on/{name}"} for name in NAMES]


@app.post("/on/{name}")
async def on(name: str) -> None:
    came.append(name)


@app.get("/came")
async def get_came() -> list:
    return came
"""

COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: {name}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
    - {{name: brokers, {brokers}}}
    - {{name: authType, value: none}}
    - {{name: {key}, value: "{group}"}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An app with four Kafka components, none of which uses the app-id as its group."""
    own = 'value: "${kafka.brokers}"'
    groups = {
        "namespaced": (own, "consumerID", "{namespace}"),
        "unique": (own, "consumerID", "{appID}-{uuid}"),
        "fixed": (own, "consumerGroup", "everybody"),
        "referred": ("envRef: BROKERS", "consumerGroup", "by-reference"),
    }
    files = {
        name: COMPONENT.format(name=name, brokers=brokers, key=key, group=group)
        for name, (brokers, key, group) in groups.items()
    }
    folder = project(
        tmp_path_factory.mktemp("groups"),
        app_py=APP,
        **{f"c__{name}_yaml": text for name, text in files.items()},
    )
    env = {"NAMESPACE": "prod", "BROKERS": "${kafka.brokers}"}
    app = App("a", asgi="app:app", sidecar_env=env, needs=["kafka"])
    topology = Topology(Kafka(topics=["t", "prodt"]), app, resources="c")
    with running(topology, Settings.load(folder)) as opened:
        yield opened


def test_the_groups_that_a_start_waits_for_are_those_of_the_broker(stack: Stack) -> None:
    (fact,) = (
        entry.facts["fact"]
        for entry in stack.journal
        if (entry.kind, entry.node, entry.facts.get("check"))
        == ("check.passed", "a-daprd", "group")
    )
    waited_for = {*re.findall(r"group (\S+) is STABLE", fact)}
    admin = admin_of(stack.book.exports("kafka")["brokers"])
    groups = {*group_names(admin, 30)}

    assert {"prod.a", "a-*", "everybody"} == waited_for
    assert "the group of referred is not checked: brokers is a reference" in fact
    assert {"prod.a", "everybody", "by-reference"} <= groups
    assert 1 == len([each for each in groups if re.fullmatch(r"a-[0-9a-f-]{36}", each)])


def test_an_event_published_once_the_stack_is_ready_reaches_every_group(stack: Stack) -> None:
    with World(stack) as world:
        for name in ("namespaced", "fixed"):
            world.sidecar("a").publish(name, "t", {"n": 1})

        def look() -> Observation:
            came = world.app("a").get("/came").json()
            return Observation({"namespaced", "unique", "fixed"} <= {*came}, str(came))

        assert poll(look, Deadline(30)).ok
