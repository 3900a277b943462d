"""Dapr 1.17.2: "Bulk publish does not apply namespace prefix to topic"."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import App, Settings, Topology, World, running
from harness.dapr.model import BulkEntry


@pytest.fixture
def namespaced(dapr_settings: Settings) -> Iterator[World]:
    """The small app in the namespace ``ev``, which its topics begin with."""
    app = App(
        "clock",
        asgi="scenarios.escapes.clock_app:app",
        inbox=True,
        sidecar_env={"NAMESPACE": "ev"},
    )
    stack = running(Topology(app, resources="scenarios/escapes/namespaced"), dapr_settings)
    stack.provision()
    with stack, World(stack) as world:
        yield world


@pytest.mark.escape(fixed_in="1.17.2", shows="the bulk event went to the topic without a namespace")
def test_events_published_in_bulk_stay_in_their_namespace(namespaced: World) -> None:
    """Like one that is published alone."""
    daprd, inbox = namespaced.sidecar("clock"), namespaced.inbox("clock")
    daprd.publish("pubsub", "events", {"alone": True})
    assert {"alone": True} == inbox.next(path="/events", timeout=60).data

    daprd.publish_bulk("pubsub", "events", [BulkEntry("1", {"alone": False})])
    delivered = inbox.next(data={"alone": False}, timeout=60)

    assert delivered.path != "/astray", "the bulk event went to the topic without a namespace"
    assert "/events" == delivered.path
