"""Dapr 1.17.7: "Kafka in-flight pub/sub messages abandoned during graceful shutdown"."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from harness import App, Kafka, ProbeTimeout, Settings, Topology, World, running
from harness.dapr.model import BulkEntry
from harness.runtime.instance import ProcessInstance

EVENTS = ["hold", "b", "c", "d"]
"""One batch, which daprd fetches as a whole."""


@pytest.fixture
def subscribed(dapr_settings: Settings) -> Iterator[World]:
    """The small app on Kafka; its sidecar waits before it ends, as one in Kubernetes should."""
    app = App(
        "clock",
        asgi="scenarios.escapes.clock_app:app",
        inbox=True,
        sidecar_flags={"dapr-block-shutdown-duration": "120s"},
    )
    parts = Topology(app, Kafka(topics=["events"]), resources="scenarios/escapes/kafka")
    stack = running(parts, dapr_settings)
    stack.provision()
    with stack, World(stack) as world:
        yield world


@pytest.mark.escape(fixed_in="1.17.7", shows="were abandoned:.*subscription is closed")
def test_events_that_are_fetched_are_delivered_before_a_sidecar_ends(subscribed: World) -> None:
    """Also those that wait behind one that the app is busy with."""
    daprd, app = subscribed.instance("clock-daprd"), subscribed.app("clock")
    inbox = subscribed.inbox("clock")
    batch = [BulkEntry(each, each, metadata={"partitionKey": "one"}) for each in EVENTS]
    subscribed.sidecar("clock").publish_bulk("pubsub", "events", batch)
    subscribed.eventually(lambda: app.get("/running").json() == ["event"], timeout=60)

    assert isinstance(daprd, ProcessInstance)
    os.kill(daprd.pid, signal.SIGTERM)
    subscribed.eventually(lambda: "Blocking graceful shutdown" in daprd.log.read_text(), timeout=60)
    app.post("/release").raise_for_status()

    try:
        delivered = inbox.collect(len(EVENTS), timeout=45, path="/events")
    except ProbeTimeout as error:
        tail = daprd.log.read_text()[-8_000:]
        pytest.fail(f"events that were fetched were abandoned:\n{tail}\n{error}")
    assert EVENTS == [each.data for each in delivered]
