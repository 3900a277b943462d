"""Two sidecars with one app-id in different namespaces, on one scheduler with virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import App, Settings, Topology, World, running
from harness.ready import loopback

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"
JOB = "/v1.0/jobs/rent"


def app(namespace: str) -> App:
    """The app "shop" in a namespace."""
    return App(
        f"shop-{namespace}",
        app_id="shop",
        asgi="shop:app",
        cwd=APPS,
        inbox=True,
        sidecar_env={"NAMESPACE": namespace},
    )


@pytest.fixture
def world() -> Iterator[World]:
    """Both namespaces."""
    topology = Topology(app("blue"), app("green"), time="virtual")
    with running(topology, Settings.load(runtime="processes")) as stack, World(stack) as found:
        yield found


def asked(world: World, namespace: str, method: str, json: Any = None) -> Any:
    """What the sidecar of a namespace answers about the job."""
    endpoint, token = world.sidecar_address(f"shop-{namespace}")
    with loopback.client(endpoint.http, timeout=30, token=token) as daprd:
        return daprd.request(method, JOB, json=json)


def delivered(world: World) -> list[list[Any]]:
    """The data of the jobs that each namespace got."""
    inboxes = [world.inbox(f"shop-{namespace}") for namespace in ("blue", "green")]
    return [[each.data for each in inbox.seen if each.path == "/job/rent"] for inbox in inboxes]


def test_a_namespace_has_its_own_job_of_one_name(world: World) -> None:
    """It gets it, reads it and deletes it; that of the other namespace stays."""
    given = {"schedule": "@every 24h", "repeats": 5}
    asked(world, "blue", "POST", {"dueTime": "1h", **given, "data": "blue"}).raise_for_status()
    asked(world, "green", "POST", {"dueTime": "2h", **given, "data": "green"}).raise_for_status()

    assert (1, [["blue"], []]) == (world.clock.advance("1h").fired, delivered(world))
    assert (1, [["blue"], ["green"]]) == (world.clock.advance("1h").fired, delivered(world))

    read = [asked(world, namespace, "GET").json()["data"] for namespace in ("blue", "green")]
    assert ["blue", "green"] == [str(each.get("value", each)) if isinstance(each, dict) else each
                                 for each in read]  # fmt: skip
    assert asked(world, "blue", "DELETE").is_success
    assert (1, [["blue"], ["green", "green"]]) == (
        world.clock.advance("24h").fired,
        delivered(world),
    )


def test_a_job_waits_for_the_sidecar_of_its_namespace(world: World) -> None:
    """The one with the same app-id in another namespace does not get it."""
    asked(world, "blue", "POST", {"dueTime": "1h", "data": "blue"}).raise_for_status()
    world.kill("shop-blue-daprd")
    world.eventually(lambda: "blue" in str(world.clock.advance("1h").waiting))

    assert [[], []] == delivered(world)
    world.restart("shop-blue-daprd")
    assert "blue" == world.inbox("shop-blue").next(path="/job/rent", timeout=30).data
    assert [] == delivered(world)[1]
