"""With mTLS every sidecar is authenticated, and the backend accepts only known callers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import DaprError, Settings, Stack, World, running
from scenarios.test_frontend import AS_PAGE
from scenarios.topology import todo

pytestmark = pytest.mark.own_stack

BACKEND = "backend-service"
SECURED = ("components", "components/mtls")


@pytest.fixture(scope="module")
def stack(dapr_settings: Settings) -> Iterator[Stack]:
    """The application with a sentry."""
    with running(todo(resources=SECURED, mtls=True), dapr_settings) as started:
        yield started


@pytest.fixture
def dapr_sync(stack: Stack) -> Iterator[World]:
    """A world on that stack."""
    with World(stack) as world:
        yield world


def test_the_page_may_call_the_backend(dapr_sync: World) -> None:
    """Everything else works as without mTLS: event, notification."""
    user = dapr_sync.name("ada")

    answer = dapr_sync.app("frontend").post(f"/api/{user}/tasks", json={"title": "Secured"})

    assert 201 == answer.status_code
    dapr_sync.ledger.event(topic="task-updates", data={"user_id": user}).delivered_to("frontend")


def test_a_completed_task_of_a_series_is_followed_by_the_next(dapr_sync: World) -> None:
    """The recurring-task-service may call what it needs."""
    user = dapr_sync.name("ada")
    page = dapr_sync.app("frontend")
    task = {
        "title": "Water the plants",
        "due_at": "2030-01-31T08:00:00Z",
        "recurrence": {"frequency": "daily"},
    }

    made = page.post(f"/api/{user}/tasks", json=task).json()
    done = page.post(f"/api/{user}/tasks/{made['id']}/complete", headers=AS_PAGE)
    done.raise_for_status()

    dapr_sync.ledger.event(data={"task": {"follows": made["id"]}}).published_once()


@pytest.mark.parametrize(
    ("caller", "verb", "path"),
    [
        pytest.param("notification-service", "GET", "api/ada/tasks", id="an unknown caller"),
        pytest.param("frontend", "GET", "series/waiting", id="another path"),
        pytest.param("recurring-task-service", "GET", "api/ada/tasks", id="another verb"),
    ],
)
def test_a_call_that_nobody_has_allowed_is_refused(
    dapr_sync: World, caller: str, verb: str, path: str
) -> None:
    """The callee's sidecar rejects it, by the caller's certificate; the service is not called."""
    with pytest.raises(DaprError) as refused:
        dapr_sync.sidecar(caller).invoke(BACKEND, path, verb=verb)

    assert (403, "ERR_DIRECT_INVOKE") == (refused.value.status, refused.value.error_code)
    assert not dapr_sync.inbox(BACKEND).all(path=f"/{path}")


@pytest.mark.dapr(exclusive=True)
def test_without_mtls_nobody_is_known(dapr_isolated: Stack) -> None:
    """The same rules reject the page too: without a certificate, no caller can be allowed."""
    with World(dapr_isolated) as dapr:
        page = dapr.sidecar("frontend")
        allowed = page.invoke(BACKEND, "healthz", verb="GET")
        with dapr.resources("components/mtls"), pytest.raises(DaprError) as refused:
            page.invoke(BACKEND, "api/ada/tasks", verb="GET")

    assert 200 == allowed.status_code
    assert (403, "ERR_DIRECT_INVOKE") == (refused.value.status, refused.value.error_code)
