"""The ledger has every operation on state that an app has made, although its sidecar is killed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from harness import App, ProbeTimeout, Redis, Settings, Topology, World, running
from harness.core.deadline import Deadline, Observation, poll
from harness.dapr.model import StateOperation
from harness.ready.resp import RedisAccess
from tests.contract.test_calls import APP, ask
from tests.support import project

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]

STORES = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec:
  type: state.redis
  version: v1
  metadata:
  - {name: redisHost, value: "${redis.address}"}
  - {name: redisPassword, value: "${redis.password}"}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: shared}
spec:
  type: state.redis
  version: v1
  metadata:
  - {name: redisHost, value: "${redis.address}"}
  - {name: redisPassword, value: "${redis.password}"}
  - {name: keyPrefix, value: none}
"""

UNANSWERED = 599
"""What the app tells of a request without a response."""

Answer = tuple[str, str, int]
"""The kind of an operation, its key, and the status that the app has received."""


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    if request.param == "containers":
        request.getfixturevalue("images")
    folder = project(tmp_path_factory.mktemp("states"), r__stores_yaml=STORES)
    command = [sys.executable, "-c", APP]
    shop = App("shop", command=command, image="app", calls=True, replicas=2)
    topology = Topology(shop, App("mail", command=command, image="app"), Redis(), resources="r")
    settings = Settings.load(folder, runtime=request.param)
    with running(topology, settings) as stack, World(stack) as opened:
        yield opened


@pytest.fixture
def world(stack_world: World) -> Iterator[World]:
    with World(stack_world.stack) as opened:
        yield opened


def lose(world: World, key: str) -> None:
    """Remove a key of the app from the store itself."""
    access = RedisAccess(world.address("redis"), world.exports("redis")["password"])
    assert [1] == access.ask(("DEL", f"shop||{key}"))


def operations(key: str) -> Iterator[tuple[str, str, object]]:
    """Requests without end: the kind, the path, and the body."""
    while True:
        yield "write", "/v1.0/state/store", [{"key": key, "value": {"of": key}}]
        yield "read", f"/v1.0/state/store/{key}", None
        # No version of any key is this one.
        yield "write", "/v1.0/state/store", [{"key": key, "value": 0, "etag": "4711"}]
        yield "delete", f"/v1.0/state/store/{key}", None


def operate(world: World, over: Event, key: str, made: list[Answer]) -> None:
    """Have the app make operations until it is over, and add what it was answered."""
    verbs = {"write": "POST", "read": "GET", "delete": "DELETE"}
    for kind, path, body in operations(key):
        if over.is_set():
            return
        made.append((kind, key, ask(world, path, body, **{"x-method": verbs[kind]})))


def await_answers(made: list[Answer], more: int = 200) -> None:
    """Wait until the app was answered so many times more."""

    def count() -> int:
        return sum(each[2] != UNANSWERED for each in [*made])

    wanted = count() + more
    assert poll(lambda: Observation(count() >= wanted), Deadline(60)).ok


def test_no_operation_is_missing_although_the_sidecar_is_killed(world: World) -> None:
    """Four threads of an app work meanwhile; each answer that it got is in the ledger once.

    What a dying sidecar has not answered is there without a status. What was refused because no
    sidecar listened has reached nobody.
    """
    keys, over = [world.name(f"k{number}") for number in range(4)], Event()
    answers: list[Answer] = []
    world.app("shop")  # before threads share its connections
    with ThreadPoolExecutor(len(keys)) as pool:
        working = [pool.submit(operate, world, over, key, answers) for key in keys]
        try:
            for _ in range(2):
                await_answers(answers)
                world.kill("shop-daprd")
                world.restart("shop-daprd")
            await_answers(answers)
        finally:
            over.set()
        for each in working:
            each.result()

    made = Counter(answers)
    known = Counter(
        (each.kind, path.key, UNANSWERED if each.status is None else each.status)
        for path in world.ledger.keys(where=lambda each: each.key in keys)
        for each in path.operations
    )
    answered = {each: count for each, count in made.items() if each[2] != UNANSWERED}
    assert {("write", 204), ("write", 409), ("read", 200)} <= {
        (each[0], each[2]) for each in answered
    }
    assert answered == {each: count for each, count in known.items() if each[2] != UNANSWERED}
    assert all(known[each] <= made[each] for each in set(known) - set(answered))


def test_what_is_committed_is_what_the_store_has(world: World) -> None:
    """Refused writes are not; whoever changes the key behind the sidecars is found."""
    key, sidecar = world.name("key"), world.sidecar("shop")
    for value in (1, 2):
        ask(world, "/v1.0/state/store", [{"key": key, "value": value}])
    ask(world, "/v1.0/state/store", [{"key": key, "value": 3, "etag": "4711"}])

    path = world.ledger.state("store", key).committed(1, 2, by="shop")

    assert [204, 204, 409] == [each.status for each in path.operations]
    sidecar.transact_state("store", [StateOperation("upsert", key, 4)])
    world.ledger.state("store", key).committed(1, 2, 4)
    sidecar.delete_state("store", key)
    world.ledger.state("store", key).deleted(by="test")
    assert ["shop"] * 3 + ["test"] * 2 == [
        each.app for each in world.ledger.state("store", key).path().operations
    ]


def test_a_key_that_was_changed_behind_the_sidecars_is_not_committed(world: World) -> None:
    """Their answers alone would not tell."""
    key = world.name("key")
    world.sidecar("shop").save_state("store", key, 1)
    world.ledger.state("store", key).committed(1)

    lose(world, key)

    with pytest.raises(ProbeTimeout, match="the store does not have it"):
        world.ledger.state("store", key).committed(1, timeout=0)


def test_a_key_that_the_store_lost_before_its_time_has_not_expired(world: World) -> None:
    """Its time is an hour."""
    key = world.name("key")
    world.sidecar("shop").save_state("store", key, 1, ttl=3600)
    lose(world, key)

    with pytest.raises(ProbeTimeout, match=r"(?s)not expired after its time.*writes 1 for 3600 s"):
        world.ledger.state("store", key).expired(timeout=60)


def test_keys_belong_to_apps_or_to_their_store(world: World) -> None:
    """As the component says; a replica has those of its app."""
    key = world.name("key")
    for store in ("store", "shared"):
        ask(world, f"/v1.0/state/{store}", [{"key": key, "value": 1}])
        ask(world, f"/v1.0/state/{store}", [{"key": key, "value": 2}], app="shop-2")
        world.sidecar("mail").save_state(store, key, 3)

    world.ledger.state("shared", key).committed(1, 2, 3)
    world.ledger.state("store", key, app="shop").committed(1, 2, by="shop")
    world.ledger.state("store", key, app="mail").committed(3, by="test")


def test_reads_are_told_with_what_they_have_found(world: World) -> None:
    """Of several keys at once, too, by the test's client as by any other of httpx."""
    one, none = world.name("one"), world.name("none")
    sidecar = world.sidecar("shop")
    sidecar.save_state("store", one, {"n": 1})
    sidecar.get_bulk_state("store", [one, none])
    sidecar.http.get(f"/v1.0/state/store/{none}")

    found = [(each.kind, each.found, each.value)
             for key in (one, none) for path in world.ledger.keys(key=key)
             for each in path.operations]  # fmt: skip

    assert [("write", None, {"n": 1}), ("read", True, {"n": 1})] == found[:2]
    assert [("read", False, None)] * 2 == found[2:]
