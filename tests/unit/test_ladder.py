"""Each readiness check of a sidecar fails for the reason it exists for."""

from __future__ import annotations

from typing import Any

import pytest

from harness import DaprClient, LaunchError
from harness.core.endpoint import Endpoint
from harness.dapr import health
from harness.dapr.model import Metadata

CLIENT = DaprClient(Endpoint("127.0.0.1", 1))


def judged(check: health.MetadataCheck, **raw: Any) -> bool:
    """What the check makes of this metadata."""
    return check.judge(Metadata.parse(raw))[0]


def component(name: str, kind: str) -> dict[str, str]:
    return {"name": name, "type": kind, "version": "v1"}


def test_a_component_that_was_skipped_or_replaced_is_missing() -> None:
    """Name and type must be there; others do not harm."""
    check = health.components_check(CLIENT, {"a": "state.x"})

    assert judged(check, components=[component("a", "state.x"), component("b", "y")])
    assert not judged(check, components=[component("a", "state.other")])
    assert not judged(check)


def test_placement_and_scheduler_must_be_connected() -> None:
    """Addresses alone are not enough for placement, and none is too few for the scheduler."""
    assert judged(
        health.placement_check(CLIENT), actorRuntime={"placement": "placement: connected"}
    )
    assert not judged(
        health.placement_check(CLIENT), actorRuntime={"placement": "placement: disconnected"}
    )
    assert judged(health.scheduler_check(CLIENT), scheduler={"connected_addresses": ["x"]})
    assert not judged(health.scheduler_check(CLIENT), scheduler={})


def test_actors_without_a_state_store_are_a_warning() -> None:
    """One that is not said to keep them is none, nor is one that was not loaded or cannot."""
    able = {**component("s", "state.x"), "capabilities": ["ETAG", "TRANSACTIONAL", "ACTOR"]}
    unable = {**component("s", "state.x"), "capabilities": ["ETAG"]}

    def warning(stores: list[str], *components: dict[str, Any], actors: bool = True) -> str:
        hosted = [{"type": "counter"}] if actors else []
        check = health.placement_check(CLIENT, stores)
        return check.warn(Metadata.parse({"actors": hosted, "components": list(components)}))

    assert "" == warning(["s"], able)
    assert "" == warning([], able, actors=False)
    for stores, components in (([], [able]), (["s"], []), (["s"], [unable])):
        assert "the app hosts the actors counter" in warning(stores, *components)


def test_a_stranger_on_the_port_ends_the_wait() -> None:
    """Waiting would not change who answers."""
    check = health.identity_check(CLIENT, "me")

    assert judged(check, id="me")
    with pytest.raises(
        LaunchError, match=r"belongs to another stack\n  expected: app-id me\n.*app-id other"
    ):
        judged(check, id="other")


def test_a_sidecar_that_does_not_answer_is_not_ready() -> None:
    """An observation, not an exception."""
    for outbound in (True, False):
        seen = health.HealthCheck(CLIENT, outbound=outbound, name="x").observe()

        assert (False, True) == (seen.ok, "ConnectError" in seen.fact)
