"""A request of the page is one trace, through every service to the notification's handler."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from harness import Settings, Span, Stack, World, running
from scenarios.topology import todo

pytestmark = pytest.mark.own_stack

TRACED = ("components", "components/tracing")
LATE = 20.0
"""Seconds: daprd sends spans in batches, one in 5 s."""


@pytest.fixture(scope="module")
def stack(dapr_settings: Settings) -> Iterator[Stack]:
    """The application with a trace collector."""
    with running(todo(resources=TRACED), dapr_settings) as started:
        yield started


@pytest.fixture
def dapr_sync(stack: Stack) -> Iterator[World]:
    """A world on that stack."""
    with World(stack) as world:
        yield world


def test_a_trace_goes_from_the_page_to_the_notification_and_back(dapr_sync: World) -> None:
    """Invocation, publications by two outboxes, deliveries: each below the one that caused it."""
    trace, root, user = secrets.token_hex(16), secrets.token_hex(8), dapr_sync.name("ada")
    headers = {"traceparent": f"00-{trace}-{root}-01"}
    call = f"calllocal/backend-service/api/{user}/tasks"

    answer = dapr_sync.app("frontend").post(
        f"/api/{user}/tasks", json={"title": "Follow me"}, headers=headers
    )

    assert 201 == answer.status_code
    assert [
        ("frontend", call, "CLIENT"),
        ("backend-service", call, "SERVER"),
        ("backend-service", "/v1.0/publish/pubsub/task-events", "CLIENT"),
        ("notification-service", "pubsub/task-events", "CLIENT"),
        ("notification-service", "/v1.0/publish/pubsub/task-updates", "CLIENT"),
        ("frontend", "pubsub/task-updates", "CLIENT"),
    ] == dapr_sync.eventually(lambda: whole_chain(dapr_sync, trace, root), timeout=LATE)


def whole_chain(dapr: World, trace: str, root: str) -> list[tuple[str, str, str]]:
    """From our own span down to the last, each the only child of the previous one."""
    below = {each.parent: each for each in dapr.trace(trace)}
    chain: list[Span] = []
    while (span := below.get(chain[-1].id if chain else root)) is not None:
        chain.append(span)
    assert chain, "no span has come"
    assert chain[-1].service == "frontend", "the last step has not come"
    assert len(chain) > 1, "only the first step has come"
    assert len(chain) == len(dapr.trace(trace)), "there are spans beside the chain"
    return [(each.service, each.name, each.kind) for each in chain]


def test_a_delivery_has_the_trace_of_its_publication(dapr_sync: World) -> None:
    """In the CloudEvent and in the header of the delivery."""
    trace, user = secrets.token_hex(16), dapr_sync.name("ada")
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}

    made = dapr_sync.app("frontend").post(
        f"/api/{user}/tasks", json={"title": "Mine"}, headers=headers
    )
    event = dapr_sync.ledger.event(topic="task-events", subject=made.json()["id"])

    assert (trace,) == event.delivered_to("notification-service").traces


def test_a_sidecar_logs_what_it_is_asked(dapr_sync: World) -> None:
    """API logging: the calls, but no health checks."""
    user = dapr_sync.name("ada")

    dapr_sync.app("frontend").get(f"/api/{user}/tasks")

    def logged() -> str:
        text = dapr_sync.logs().get("frontend-daprd", "")
        assert "HTTP API Called" in text
        return text

    text = dapr_sync.eventually(logged)
    assert "/v1.0/invoke/backend-service/method/api" in text
    assert "/v1.0/healthz" not in text
