"""Calls are built and read without a network; both clients send the same ones."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from harness import AsyncDaprClient, DaprClient, DaprError
from harness.core.endpoint import Endpoint
from harness.dapr import calls
from harness.dapr.model import BulkEntry, Metadata, StateItem, StateOperation

CLIENT = httpx.Client(base_url="http://d")


def request(call: calls.Call[Any]) -> tuple[str, str, Any]:
    """Method, path with query, and decoded body."""
    built = call.request(CLIENT)
    body = json.loads(built.content) if built.content else None
    return built.method, built.url.raw_path.decode(), body


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    """What daprd might say."""
    if body is None:
        return httpx.Response(status, headers=headers)
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            calls.publish("p", "a/b", {"x": 1}, content_type="c", metadata={"partitionKey": "k"}),
            ("POST", "/v1.0/publish/p/a/b?metadata.partitionKey=k", {"x": 1}),
        ),
        (
            calls.publish_bulk("p", "t", [BulkEntry("1", {"x": 1})]),
            (
                "POST",
                "/v1.0/publish/bulk/p/t",
                [
                    {
                        "entryId": "1",
                        "event": {"x": 1},
                        "contentType": "application/json",
                        "metadata": {},
                    }
                ],
            ),
        ),
        (calls.get_state("s", "a+b/c", {}), ("GET", "/v1.0/state/s/a%2Bb%2Fc", None)),
        (
            calls.save_state("s", "k", 0, etag="7", concurrency=None, ttl=5),
            (
                "POST",
                "/v1.0/state/s",
                [
                    {
                        "key": "k",
                        "value": 0,
                        "etag": "7",
                        "options": {"concurrency": "first-write"},
                        "metadata": {"ttlInSeconds": "5"},
                    }
                ],
            ),
        ),
        (
            calls.get_state("s", "k", {"a": "b"}, consistency="strong"),
            ("GET", "/v1.0/state/s/k?metadata.a=b&consistency=strong", None),
        ),
        (
            calls.save_state(
                "s", "k", 0, etag=None, concurrency=None, ttl=None, consistency="eventual"
            ),
            (
                "POST",
                "/v1.0/state/s",
                [{"key": "k", "value": 0, "options": {"consistency": "eventual"}}],
            ),
        ),
        (
            calls.delete_state("s", "k", etag="7", consistency="strong"),
            ("DELETE", "/v1.0/state/s/k?concurrency=first-write&consistency=strong", None),
        ),
        (
            calls.transact_state(
                "s", [StateOperation("upsert", "a", 1, etag="7", consistency="strong")]
            ),
            (
                "POST",
                "/v1.0/state/s/transaction",
                {
                    "operations": [
                        {
                            "operation": "upsert",
                            "request": {
                                "key": "a",
                                "value": 1,
                                "etag": "7",
                                "options": {
                                    "concurrency": "first-write",
                                    "consistency": "strong",
                                },
                            },
                        }
                    ]
                },
            ),
        ),
        (
            calls.save_state("s", "k", None, etag=None, concurrency=None, ttl=None),
            ("POST", "/v1.0/state/s", [{"key": "k", "value": None}]),
        ),
        (
            calls.delete_state("s", "k", etag="7"),
            ("DELETE", "/v1.0/state/s/k?concurrency=first-write", None),
        ),
        (
            calls.transact_state(
                "s", [StateOperation("upsert", "a", 1, ttl=2), StateOperation("delete", "b")]
            ),
            (
                "POST",
                "/v1.0/state/s/transaction",
                {
                    "operations": [
                        {
                            "operation": "upsert",
                            "request": {
                                "key": "a",
                                "value": 1,
                                "metadata": {"ttlInSeconds": "2"},
                            },
                        },
                        {"operation": "delete", "request": {"key": "b"}},
                    ]
                },
            ),
        ),
        (
            calls.schedule_job(
                "j",
                due="1s",
                schedule=None,
                repeats=None,
                data={"a": 1},
                overwrite=True,
                failure_policy=None,
            ),
            ("POST", "/v1.0/jobs/j", {"dueTime": "1s", "data": {"a": 1}, "overwrite": True}),
        ),
        (
            calls.schedule_job(
                "j",
                due=None,
                schedule="@every 1s",
                repeats=3,
                data=None,
                overwrite=False,
                failure_policy={"constant": {"interval": "1s", "maxRetries": 30}},
            ),
            (
                "POST",
                "/v1.0/jobs/j",
                {
                    "schedule": "@every 1s",
                    "repeats": 3,
                    "data": None,
                    "failurePolicy": {"constant": {"interval": "1s", "maxRetries": 30}},
                },
            ),
        ),
        (calls.delete_job("a b"), ("DELETE", "/v1.0/jobs/a%20b", None)),
        (calls.get_secret("s", "n", {}), ("GET", "/v1.0/secrets/s/n", None)),
        (
            calls.invoke_binding("b", "create", None, {"k": "v"}),
            (
                "POST",
                "/v1.0/bindings/b",
                {"operation": "create", "data": None, "metadata": {"k": "v"}},
            ),
        ),
        (calls.health(outbound=True), ("GET", "/v1.0/healthz/outbound", None)),
    ],
)
def test_a_call_is_the_request_that_dapr_documents(
    call: calls.Call[Any], expected: tuple[str, str, Any]
) -> None:
    """Method, path, query and body."""
    assert request(call) == expected


def test_a_missing_key_is_an_item_that_does_not_exist() -> None:
    """daprd says 204, not 404."""
    item = calls.get_state("s", "k", {}).parse(answer(204))

    assert (item, item.exists) == (StateItem("k", None), False)


def test_a_value_comes_with_etag_and_metadata() -> None:
    """As headers."""
    headers = {"etag": "9", "metadata.ttlExpireTime": "t"}

    item = calls.get_state("s", "k", {}).parse(answer(200, {"x": 1}, **headers))

    assert item == StateItem("k", {"x": 1}, "9", {"ttlexpiretime": "t"})


def test_bulk_state_keeps_the_order_and_the_missing() -> None:
    """daprd may answer in any order."""
    rows = [{"key": "b", "data": 2, "etag": "1"}, {"key": "a"}]

    items = calls.get_bulk_state("s", ["a", "b"]).parse(answer(200, rows))

    assert [(each.key, each.value, each.exists) for each in items] == [
        ("a", None, False),
        ("b", 2, True),
    ]


def test_an_error_carries_status_and_code() -> None:
    """From Dapr's JSON, or the text when it is none."""
    body = {"errorCode": "ERR_X", "message": "no"}

    with pytest.raises(DaprError) as coded:
        calls.metadata().parse(answer(500, body))
    with pytest.raises(DaprError, match="-> 502 : oops"):
        calls.metadata().parse(httpx.Response(502, text="oops"))

    assert (500, "ERR_X", "no") == (
        coded.value.status,
        coded.value.error_code,
        coded.value.message,
    )


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "/v1.0/invoke/a/method/m?x=1&x=2&empty="),
        ({"y": "a b"}, "/v1.0/invoke/a/method/m?x=1&x=2&empty=&y=a+b"),
    ],
)
def test_a_query_in_the_path_of_a_method_is_kept(params: dict[str, str], expected: str) -> None:
    """With all its values, and with the parameters that are given apart from it."""
    call = calls.invoke("a", "m?x=1&x=2&empty=", verb="GET", json=None, content=None,
                        params=params, headers={})  # fmt: skip

    assert ("GET", expected, None) == request(call)


def test_an_invoked_apps_own_error_is_passed_through() -> None:
    """Only what daprd itself says is raised."""
    call = calls.invoke("a", "/m", verb="GET", json=None, content=None, params={}, headers={})

    assert call.parse(answer(500, {"detail": "x"})).status_code == 500
    with pytest.raises(DaprError):
        call.parse(answer(500, {"errorCode": "ERR_DIRECT_INVOKE", "message": "x"}))


def test_metadata_are_typed() -> None:
    """Absent parts are empty, not errors."""
    raw = {
        "id": "a",
        "runtimeVersion": "1",
        "components": [{"name": "c", "type": "t", "version": "v1", "capabilities": ["X"]}],
        "subscriptions": [
            {"pubsubname": "p", "topic": "t", "type": "PROGRAMMATIC", "rules": [{"path": "/r"}]}
        ],
    }

    seen = Metadata.parse(raw)

    assert ("c", ("X",)) == (seen.components[0].name, seen.components[0].capabilities)
    assert ("/r",) == seen.subscriptions[0].routes
    assert ((), "") == (seen.schedulers, seen.placement)


def test_both_clients_have_the_same_methods() -> None:
    """With the same parameters and documentation."""

    def surface(kind: type) -> dict[str, tuple[str, str | None]]:
        return {
            name: (str(inspect.signature(method)), inspect.getdoc(method))
            for name, method in vars(kind).items()
            if not name.startswith("_") and name not in ("close", "aclose")
        }

    assert surface(DaprClient) == surface(AsyncDaprClient)


async def test_both_clients_pass_the_consistency_of_each_state_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A read, a save and a delete; what is sent is kept and not sent."""
    kept: list[calls.Call[Any]] = []
    nowhere = Endpoint("127.0.0.1", 9)

    async def keep(_client: AsyncDaprClient, call: calls.Call[Any]) -> None:
        kept.append(call)

    monkeypatch.setattr(AsyncDaprClient, "run", keep)
    monkeypatch.setattr(DaprClient, "run", lambda _client, call: kept.append(call))
    async with AsyncDaprClient(nowhere) as client:
        await client.get_state("s", "k", consistency="strong")
        await client.save_state("s", "k", 1, consistency="strong")
        await client.delete_state("s", "k", consistency="strong")
    with DaprClient(nowhere) as twin:
        twin.get_state("s", "k", consistency="strong")
        twin.save_state("s", "k", 1, consistency="strong")
        twin.delete_state("s", "k", consistency="strong")

    options = [call.json[0]["options"] if call.json else dict(call.params) for call in kept]
    assert [{"consistency": "strong"}] * 6 == options


@pytest.fixture
def old() -> Iterator[tuple[Endpoint, list[str]]]:
    """A server with jobs where Dapr before 1.18.0 has them, and the job "stable" everywhere; and
    what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            asked.append(self.path)
            there = self.path.startswith("/v1.0-alpha1/jobs/") or self.path.endswith("/stable")
            self.send_response(204 if there else 404)
            self.end_headers()

        do_POST = do_DELETE  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Endpoint("127.0.0.1", server.server_port), asked
        server.shutdown()
        thread.join()


async def test_jobs_use_the_alpha_path_on_an_earlier_dapr(
    old: tuple[Endpoint, list[str]],
) -> None:
    """By both clients, once the stable path is not there."""
    endpoint, asked = old

    with DaprClient(endpoint) as client:
        client.delete_job("a b")
    async with AsyncDaprClient(endpoint) as aclient:
        await aclient.delete_job("a b")

    assert 2 * ["/v1.0/jobs/a%20b", "/v1.0-alpha1/jobs/a%20b"] == asked


def test_jobs_use_only_the_stable_path_where_it_exists(old: tuple[Endpoint, list[str]]) -> None:
    """If the stable path exists, the earlier one is not tried."""
    endpoint, asked = old

    with DaprClient(endpoint) as client:
        client.delete_job("stable")

    assert ["/v1.0/jobs/stable"] == asked


async def test_a_404_from_both_paths_reports_the_stable_path(
    old: tuple[Endpoint, list[str]],
) -> None:
    """With the path of today: an earlier one in the message would mislead."""
    endpoint, asked = old
    entries = [BulkEntry("1", {})]

    with (
        DaprClient(endpoint) as client,
        pytest.raises(DaprError, match=r"POST /v1.0/publish/bulk/p/t -> 404"),
    ):
        client.publish_bulk("p", "t", entries)
    async with AsyncDaprClient(endpoint) as aclient:
        with pytest.raises(DaprError, match=r"POST /v1.0/publish/bulk/p/t -> 404"):
            await aclient.publish_bulk("p", "t", entries)

    assert 2 * ["/v1.0/publish/bulk/p/t", "/v1.0-alpha1/publish/bulk/p/t"] == asked


def test_a_404_of_a_call_without_an_earlier_path_is_an_error(
    old: tuple[Endpoint, list[str]],
) -> None:
    """A call without an earlier path is sent once."""
    endpoint, asked = old

    with DaprClient(endpoint) as client, pytest.raises(DaprError, match="-> 404"):
        client.delete_state("store", "key")

    assert ["/v1.0/state/store/key"] == asked
