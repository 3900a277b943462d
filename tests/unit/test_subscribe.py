"""The answer to GET /dapr/subscribe as daprd reads it; test_subscriptions.py asks a real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.dapr.subscribe import Subscribed, read_answer


def item(**fields: Any) -> dict[str, Any]:
    return {"pubsubname": "p", "topic": "t", "route": "/r"} | fields


@pytest.mark.parametrize(
    ("body", "topics"),
    [
        ([item()], [("p", "t")]),
        ([{"pubsubName": "p", "Topic": "t", "ROUTE": "/r"}], [("p", "t")]),
        ([{"pub\u017fubname": "p", "topic": "t", "route": "/r"}], [("p", "t")]),
        ([item(Topic="last")], [("p", "last")]),
        ([item(topic=None)], [("p", "")]),
        ([item(pubsubname=None, extra=[1, {}])], [("", "t")]),
        ([item(route="")], []),
        ([item(route="", routes={"default": "/d"})], [("p", "t")]),
        ([item(route="", routes={"Rules": [{"match": "", "path": "/x"}]})], [("p", "t")]),
        ([item(route="", routes={"rules": []}), item()], [("p", "t")]),
        ([item(metadata={"any": "text"}, bulkSubscribe={"enabled": True})], [("p", "t")]),
        ([None, item()], [("p", "t")]),
        (None, []),
        ([], []),
    ],
)  # fmt: skip
def test_subscriptions_are_read_as_daprd_reads_them(
    body: Any, topics: list[tuple[str, str]]
) -> None:
    """Keys in any case, the last of two alike; what has no route is dropped."""
    assert Subscribed(tuple(topics)) == read_answer(200, json.dumps(body).encode())


@pytest.mark.parametrize("body", [b"", b" \n", b"[]{", b"null and more"])
def test_an_empty_answer_and_what_follows_the_first_value(body: bytes) -> None:
    """Neither is an error."""
    assert Subscribed() == read_answer(200, body)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"no json", "not JSON"),
        (b"{}", "the answer is {}, but daprd requires a JSON array"),
        (b'["t"]', 'an item of the answer is "t", but daprd requires a JSON object'),
        (b'[{"topic": 5, "route": "/"}]', "topic is 5, but daprd requires a JSON string"),
        (b'[{"metadata": {"a": 1}}]', "a is 1, but daprd requires a JSON string"),
        (b'[{"metadata": []}]', "metadata is [], but daprd requires a JSON object"),
        (b'[{"routes": {"rules": {}}}]', "rules is {}, but daprd requires a JSON array"),
        (
            b'[{"bulkSubscribe": {"enabled": "yes"}}]',
            'enabled is "yes", but daprd requires a JSON b',
        ),
        (b'[{"bulkSubscribe": {"maxMessagesCount": 1.0}}]', "is 1.0, but daprd requires a JSON 32"),
        (
            b'[{"bulkSubscribe": {"maxMessagesCount": true}}]',
            "is true, but daprd requires a JSON 32",
        ),
        (
            b'[{"bulkSubscribe": {"maxMessagesCount": 3000000000}}]',
            "but daprd requires a JSON 32-bit",
        ),
        (b"[NaN]", "is not JSON"),
    ],
)
def test_an_unreadable_subscribe_response_is_quoted(body: bytes, problem: str) -> None:
    """It subscribes to nothing then, not even to what is in order."""
    found = read_answer(200, body)

    assert () == found.topics
    assert problem in found.complaint
    assert repr(body.decode()) in found.complaint


@pytest.mark.parametrize("status", [201, 204, 301, 400, 405, 500, 501])
def test_an_error_status_of_subscribe_is_reported(status: int) -> None:
    """daprd logs it and goes on."""
    found = read_answer(status, json.dumps([item()]).encode())

    assert () == found.topics
    assert f"status {status}" in found.complaint


def test_a_subscription_that_names_its_queue_is_known() -> None:
    """RabbitMQ has it under this name, and not under that of group and topic."""
    one = {"pubsubname": "p", "topic": "a", "route": "/a", "metadata": {"queueName": "q"}}
    body = [
        one,
        {"pubsubname": "p", "topic": "b", "route": "/b", "metadata": {"rawPayload": "true"}},
    ]

    found = read_answer(200, json.dumps(body).encode())

    assert ((("p", "a"), ("p", "b")), (("p", "a"),)) == (found.topics, found.own_queues)


def test_an_app_that_has_no_such_route_has_no_subscriptions() -> None:
    """404 is the way to say so."""
    assert Subscribed() == read_answer(404, b"not found")
