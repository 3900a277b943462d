"""Claims about how events reach an app."""

from __future__ import annotations

from typing import Any

import pytest

from harness import World

pytestmark = pytest.mark.real

APP, TOPIC, ROUTE = "frontend", "task-updates", "/events/update"
"""A subscription without a dead-letter topic."""


def publish(dapr: World, mark: str, data: dict[str, Any] | None = None) -> None:
    """One event, in the order of its world's others."""
    dapr.sidecar("notification-service").publish(
        "pubsub", TOPIC, data or {"user_id": mark, "mark": mark}, metadata={"partitionKey": dapr.id}
    )


def attempts(dapr: World, mark: str) -> int:
    """How often an event has been delivered when the next one of its key has."""
    publish(dapr, mark)
    publish(dapr, f"after-{mark}")
    inbox = dapr.inbox(APP)
    inbox.next(data={"mark": f"after-{mark}"})
    return len(inbox.all(data={"mark": mark}))


def test_a_delivery_is_a_cloud_event(dapr_sync: World) -> None:
    """With a content type of its own, and the data one level down."""
    publish(dapr_sync, dapr_sync.name("m"))

    found = dapr_sync.inbox(APP).next(data={"mark": dapr_sync.name("m")})

    assert found.headers["content-type"].startswith("application/cloudevents+json")
    assert {"specversion", "id", "type", "source", "data", "topic", "pubsubname"} <= set(
        found.event
    )
    assert "user_id" not in found.event


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, 1), (201, 1), (404, 1), (422, 3), (500, 3)],
    ids=["200", "any 2xx", "404 drops", "422 is tried again", "500 is tried again"],
)
def test_a_status_decides(dapr_sync: World, status: int, expected: int) -> None:
    """Twice this answer, and then the app's own."""
    mark = dapr_sync.name("mark")
    dapr_sync.inbox(APP).fail_next(ROUTE, contains=f'"{mark}"', times=2, status=status, answer="")

    assert expected == attempts(dapr_sync, mark)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"status": "SUCCESS"}', 1),
        ('{"status": "DROP"}', 1),
        ('{"status": "RETRY"}', 3),
        ('{"status": "processed"}', 3),
        ('{"status": "success"}', 3),
        ('{"status": ""}', 1),
        ("{}", 1),
        ("", 1),
        ("fine", 1),
    ],
)
def test_a_word_decides(dapr_sync: World, answer: str, expected: int) -> None:
    """With the status 200: a word that daprd does not know is a retry."""
    mark = dapr_sync.name("mark")
    dapr_sync.inbox(APP).fail_next(ROUTE, contains=f'"{mark}"', times=2, status=200, answer=answer)

    assert expected == attempts(dapr_sync, mark)


@pytest.mark.dapr(exclusive=True)
def test_subscriptions_are_asked_for_once(dapr_sync: World) -> None:
    """The app restarts, gets events again, and was not asked what it subscribes to."""
    dapr_sync.stack.restart(APP)
    publish(dapr_sync, dapr_sync.name("m"))

    inbox = dapr_sync.inbox(APP)
    inbox.next(data={"mark": dapr_sync.name("m")}, status=200)

    assert [] == inbox.all(path="/dapr/subscribe")
