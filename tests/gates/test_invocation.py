"""Routes for an app's own sidecar cannot be invoked by other apps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from harness import World
from harness.ready.loopback import client
from tests.gates.ways import UNMARKED, WAYS, Invocation, Way, by_url
from tests.unit.test_gates import PROTECTED

pytestmark = pytest.mark.real

HARMLESS = {
    # What an invocation without marks still reaches: none of it does what time would not do.
    "backend-service GET /dapr/subscribe": "words that no sidecar has subscribed with",
    "notification-service GET /dapr/subscribe": "likewise",
    "frontend GET /dapr/subscribe": "likewise",
    "backend-service POST /job/{name}": "fires only what is due",
    "recurring-task-service POST /job/repair-series": "does what its job does each minute",
    "backend-service POST /reminder-cron": "does what its binding does each minute",
    "backend-service POST /daily-cleanup": "removes what its binding removes each day",
    "notification-service POST /daily-cleanup": "likewise",
    "recurring-task-service POST /events/completed": "drops what has no proof",
}
EVENTS = {
    "backend-service": "imports",
    "notification-service": "task",
    "frontend": "update",
}


def invocations(headers: dict[str, str]) -> Iterator[tuple[str, Invocation]]:
    """Every protected operation of every service, invoked by another app."""
    for case in PROTECTED:
        service, method, path = (str(value) for value in case.values)
        callee = service.replace("_", "-")
        caller = "frontend" if callee == "notification-service" else "notification-service"
        filled = path.replace("{", "").replace("}", "")
        body: dict[str, str] | None = {} if method == "POST" else None
        call = Invocation(caller, callee, filled, method, headers, body)
        yield f"{callee} {method} {path}", call


@pytest.mark.parametrize("way", WAYS)
def test_an_app_cannot_invoke_what_is_for_the_sidecar(dapr_sync: World, way: Way) -> None:
    """Of any service: the app refuses it, by 403."""
    told = {name: way(dapr_sync, call) for name, call in invocations({})}

    assert len(told) >= 12
    assert dict.fromkeys(told, 403) == told


@pytest.mark.parametrize("way", [each for each in WAYS if each.__name__ != "by_grpc"])
def test_an_app_without_marks_can_invoke_only_harmless_routes(dapr_sync: World, way: Way) -> None:
    """Except for routes that are listed as harmless."""
    told = {name: way(dapr_sync, call) for name, call in invocations(UNMARKED)}

    assert {name: 403 for name in told if name not in HARMLESS} == {
        name: status for name, status in told.items() if name not in HARMLESS
    }


def routes_of(subscription: Mapping[str, Any]) -> list[str]:
    """The routes of one subscription, in either of the forms that daprd reads."""
    if "route" in subscription:
        return [str(subscription["route"])]
    routes = subscription["routes"]
    return [*(str(rule["path"]) for rule in routes["rules"]), str(routes["default"])]


@pytest.mark.parametrize("app", EVENTS)
def test_subscribe_routes_told_to_other_callers_are_rejected(dapr_sync: World, app: str) -> None:
    """Every caller gets routes, but only those given to the sidecar are accepted."""
    caller = "frontend" if app == "notification-service" else "notification-service"
    endpoint, token = dapr_sync.sidecar_address(caller)
    with client(endpoint.http, token=token, timeout=30) as http:
        where = f"/v1.0/invoke/{app}/method"
        named = http.get(f"{where}/dapr/subscribe", headers=UNMARKED).raise_for_status().json()
    routes = [route for each in named for route in routes_of(each)]

    told = [
        by_url(dapr_sync, Invocation(caller, app, route, "POST", UNMARKED, {})) for route in routes
    ]

    own = {path for each in dapr_sync.sidecar(app).metadata().subscriptions for path in each.routes}
    assert any(EVENTS[app] in route for route in routes)
    assert not own & set(routes)
    assert [403] * len(routes) == told


def test_a_forged_completion_event_creates_no_task(dapr_sync: World) -> None:
    """Its route is in a file that everybody can read; the event has no proof."""
    user, backend = dapr_sync.name("user"), dapr_sync.app("backend-service")
    body = {
        "title": "x", "due_at": "2030-01-31T09:00:00Z", "recurrence": {"frequency": "daily"},
    }  # fmt: skip
    task = backend.post(f"/api/{user}/tasks", json=body).raise_for_status().json()
    done = {**task, "completed": True, "completed_at": "2030-01-31T09:00:00Z"}
    event = {"id": user, "type": "com.taskmanager.task.completed", "data": {"task": done}}
    caller, callee, path = "notification-service", "recurring-task-service", "/events/completed"

    by_url(dapr_sync, Invocation(caller, callee, path, "POST", UNMARKED, event))

    delivery = dapr_sync.inbox(callee).next(path=path, where=lambda each: user in str(each.data))
    assert '{"status":"DROP"}' == delivery.answer
    assert not dapr_sync.inbox("backend-service").all(path=f"/api/{user}/tasks/{task['id']}/next")


def test_metrics_do_not_contain_delivery_routes(dapr_sync: World) -> None:
    """Metrics are open to all who reach their port; deliveries are counted without their path."""
    app, user = "notification-service", dapr_sync.name("user")
    body = {"title": "Counted"}
    dapr_sync.app("backend-service").post(f"/api/{user}/tasks", json=body).raise_for_status()
    dapr_sync.inbox(app).next(where=lambda each: user in str(each.data))
    own = {path for each in dapr_sync.sidecar(app).metadata().subscriptions for path in each.routes}

    with client(dapr_sync.stack.book.endpoint(f"{app}-daprd", "metrics").http, token="") as http:
        text = http.get("/metrics").raise_for_status().text

    assert "dapr_http_client" in text
    assert not [path for path in own if path.rpartition("/")[2] in text]
