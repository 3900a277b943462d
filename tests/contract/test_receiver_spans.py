"""Batches of spans as reporters send them: of any size, compressed, and what is none."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from harness import Receiver, Settings, Stack, Topology, World, running
from harness.probe.inbox_server import BODY_LIMIT

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(Topology(Receiver(mail=False)), Settings.load(runtime="processes")) as opened:
        yield opened


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    with World(stack) as opened:
        yield opened


def spans(trace: str, count: int, tag: str = "") -> list[dict[str, Any]]:
    """As Zipkin's API has them."""
    return [
        {
            "traceId": trace, "id": f"{number:016x}", "name": f"step {number}",
            "timestamp": 1_800_000_000_000_000 + number, "duration": 1,
            "localEndpoint": {"serviceName": "shop"}, "tags": {"of": tag},
        }
        for number in range(1, count + 1)
    ]  # fmt: skip


def post(world: World, body: bytes, **headers: str) -> None:
    """What a reporter does."""
    url = f"{world.stack.book.exports('receiver')['url']}/api/v2/spans"
    answer = httpx.post(url, content=body, headers=headers, trust_env=False)
    assert 202 == answer.status_code


def test_no_span_of_a_large_batch_is_lost(world: World) -> None:
    """Although the record of a request has a limit; a small batch before it and after it, too."""
    trace = "a" * 32
    body = json.dumps(spans(trace, 3000, "é" * 100), ensure_ascii=False).encode()
    assert len(body) > 2 * BODY_LIMIT
    post(world, json.dumps(spans("b" * 32, 1)).encode())
    post(world, body)
    post(world, json.dumps(spans("b" * 32, 2)[1:]).encode())

    found = world.trace(trace)

    assert [f"step {number}" for number in range(1, 3001)] == [each.name for each in found]
    assert {"é" * 100} == {each.tags["of"] for each in found}
    assert 2 == len(world.trace("b" * 32))
    assert 3002 == len([each for each in world.timeline() if each.source == "span"])


def test_a_span_of_a_megabyte_is_cut(world: World) -> None:
    """Its attributes are; those of its neighbours are whole."""
    trace = "c" * 32
    one, two, three = spans(trace, 3, "whole")
    two["tags"] = {"of": "x" * 1_000_000, "path": "/orders"}
    post(world, json.dumps([one, two, three]).encode())

    first, second, third = world.trace(trace)

    assert ["whole"] * 2 == [first.tags["of"], third.tags["of"]]
    assert "/orders" == second.tags["path"]
    assert 1000 < len(second.tags["of"]) < BODY_LIMIT
    assert second.tags["of"].endswith("...")


def test_a_compressed_batch_is_read(world: World) -> None:
    """Reporters of Zipkin's libraries for Java send gzip by default."""
    body = gzip.compress(json.dumps(spans("d" * 32, 2)).encode())
    post(world, body, **{"content-encoding": "gzip"})

    assert 2 == len(world.trace("d" * 32))


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"", b"null", b"{}", b'"text"', b"[1, null, []]", b'[{"id": 1}]', b"\xff\xfe",
        b"[" * 100_000, b'[{"traceId": "e", "id": "1", "timestamp": "soon", "tags": [1]}]',
        b'[{"traceId": "e", "id": "1", "timestamp": 1e999, "duration": -5, "name": {}}]',
        b" " * 300_000 + b"{",
    ],
    ids=range(12),
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_what_is_no_batch_of_spans_does_not_hide_the_others(
    world: World, body: bytes, encoding: str
) -> None:
    """Anybody can post anything to the receiver."""
    headers = {"content-encoding": encoding} if encoding else {}
    post(world, body, **headers)
    post(world, json.dumps(spans("f" * 32, 1)).encode())

    assert ["step 1"] == [each.name for each in world.trace("f" * 32)]
    assert "span" in {each.source for each in world.timeline()}


def test_a_small_batch_that_becomes_gigabytes_is_not_unpacked(world: World) -> None:
    """It is recorded as it came, and is no batch."""
    post(world, gzip.compress(b" " * 64_000_000), **{"content-encoding": "gzip"})
    post(world, json.dumps(spans("9" * 32, 1)).encode())

    (first, _) = world.inbox("receiver").seen
    assert len(str(first.data)) < 1_000_000
    assert 1 == len(world.trace("9" * 32))
