"""Claims about invocation, bindings, secrets, health and metrics."""

from __future__ import annotations

import httpx
import pytest

from harness import World
from harness.ready.loopback import ask, client
from scenarios.signing import sign

pytestmark = pytest.mark.real


def test_health_is_204(daprd: httpx.Client) -> None:
    """Never 200; and 500 for somebody else's app-id."""
    assert 204 == daprd.get("/v1.0/healthz").status_code
    assert 500 == daprd.get("/v1.0/healthz", params={"appid": "somebody"}).status_code


def test_an_unknown_secret_store_is_401(daprd: httpx.Client) -> None:
    """Not 404."""
    assert 401 == daprd.get("/v1.0/secrets/nowhere/x").status_code


def test_an_unknown_binding_is_500(daprd: httpx.Client) -> None:
    """Not 404."""
    answer = daprd.post("/v1.0/bindings/nowhere", json={"operation": "create", "data": {}})

    assert (500, "ERR_INVOKE_OUTPUT_BINDING") == (answer.status_code, answer.json()["errorCode"])


def test_a_sidecar_asks_subscriptions_by_get(dapr_sync: World) -> None:
    """An app that offers ``POST /dapr/subscribe`` only is subscribed to nothing."""
    app = dapr_sync.app("notification-service")
    token = {"dapr-api-token": dapr_sync.stack.book.token("app-api")}

    assert 405 == app.post("/dapr/subscribe", headers=token).status_code
    found = dapr_sync.sidecar("notification-service").metadata().subscriptions
    assert {"task-events", "reminders", "dead-letters"} == {each.topic for each in found}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("dapr_http_server_request_count", True),
        ("dapr_http_server_latency", True),
        ("dapr_http_server_request_duration_ms", False),
        ("dapr_runtime_component_loaded", True),
        ("dapr_component_loaded", False),
        ("dapr_component_pubsub_egress_count", True),
        ("dapr_pubsub_egress_count", False),
    ],
)
def test_the_names_of_metrics(
    daprd: httpx.Client, dapr_sync: World, name: str, there: bool
) -> None:
    """Egress is what the app has published, ingress what was delivered to it."""
    daprd.post("/v1.0/publish/pubsub/task-updates", json={"m": dapr_sync.id})
    metrics = dapr_sync.stack.book.endpoint("backend-service-daprd", "metrics").http

    text = ask("GET", f"{metrics}/").text

    assert there == any(line.startswith(name) for line in text.splitlines())


def test_an_apps_own_error_is_passed_through(daprd: httpx.Client, dapr_sync: World) -> None:
    """Status and body are the app's."""
    path = "/v1.0/invoke/backend-service/method/api/nobody/tasks/none"
    answer = daprd.get(path, headers=sign(path, dapr_sync.token))

    assert (404, "no such task") == (answer.status_code, answer.json()["detail"])


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("api/%01/tasks", "method contains control character"),
        ("api/100%25%20x/tasks", 'invalid URL escape "% x"'),
    ],
    ids=["a control character", "a percent sign, which is decoded once too often"],
)
def test_some_paths_cannot_be_invoked(daprd: httpx.Client, path: str, why: str) -> None:
    """It is daprd's own 500, whose code is the one of every failed invocation."""
    answer = daprd.get(f"/v1.0/invoke/backend-service/method/{path}")

    assert (500, "ERR_DIRECT_INVOKE") == (answer.status_code, answer.json()["errorCode"])
    assert why in answer.json()["message"]


def test_a_sidecar_has_no_cors(daprd: httpx.Client) -> None:
    """A page of another origin may not read what it answers, unless --allowed-origins says so."""
    answer = daprd.get("/v1.0/metadata", headers={"origin": "https://page.example.org"})

    assert 200 == answer.status_code
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_an_output_binding_may_answer_with_nothing(dapr_sync: World) -> None:
    """The receiver says 202 without a body: 200 from daprd, and no JSON in it."""
    endpoint, token = dapr_sync.sidecar_address("notification-service")
    with client(endpoint.http, token=token, timeout=30) as sidecar:
        answer = sidecar.post(
            "/v1.0/bindings/webhook",
            json={"operation": "create", "data": {}, "metadata": {"path": f"/{dapr_sync.id}"}},
        )
        unknown = sidecar.post("/v1.0/bindings/nowhere", json={"operation": "create"})

    assert (200, b"") == (answer.status_code, answer.content)
    assert "202" == answer.headers["metadata.statuscode"]
    assert 500 == unknown.status_code


def test_secret_stores_and_their_statuses(daprd: httpx.Client) -> None:
    """401 for a store that is not there, 403 for what is denied."""
    unknown = daprd.get("/v1.0/secrets/nowhere/x")
    denied = daprd.get("/v1.0/secrets/secrets/STATE_STORE_DSN")

    assert [401, 403] == [unknown.status_code, denied.status_code]
