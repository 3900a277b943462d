"""What reads topics of Redis and RabbitMQ, and how their servers are asked for it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from harness.core.endpoint import LOOPBACK, Endpoint
from harness.dapr.resources import DaprResource
from harness.nodes.other_groups import OtherGroup, other_groups
from harness.ready.amqp import AmqpAccess, QueueCheck
from harness.ready.redis_groups import RedisGroupCheck
from harness.ready.resp import RedisAccess, Rejected


def group(kind: str, env: dict[str, str] | None = None, **values: str) -> OtherGroup:
    items = [{"name": name, "value": value} for name, value in values.items()]
    spec = {"type": kind, "metadata": items}
    body = {"kind": "Component", "metadata": {"name": "bus"}, "spec": spec}
    return other_groups([DaprResource(Path("bus.yaml"), 1, body)], "shop", env or {})["bus"]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "shop"),
        ({"consumerID": "everybody"}, "everybody"),
        ({"consumerID": "{appID}-{podName}"}, "shop-shop-2"),
    ],
)
def test_the_group_on_redis_is_the_consumer_id(values: dict[str, str], name: str) -> None:
    found = group("pubsub.redis", {"POD_NAME": "shop-2"}, redisHost="r:1", **values)

    check: Any = found.check(["orders"])
    assert (name, ["orders"]) == (check.group, check.topics)
    assert Endpoint("r", 1) == check.access.endpoint


def test_a_queue_of_rabbitmq_has_the_name_of_group_and_topic() -> None:
    found = group("pubsub.rabbitmq", connectionString="amqp://u:p%2F@r:1/vh")

    check: Any = found.check(["orders"])
    assert ["shop-orders"] == check.queues
    assert AmqpAccess(Endpoint("r", 1), "u", "p/", "vh") == check.access


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        ("pubsub.redis", {"redisHost": "r:1", "enableTLS": "true"}, "uses enabletls"),
        ("pubsub.redis", {"redisHost": "r:1", "redisType": "cluster"}, "is a cluster"),
        ("pubsub.redis", {"redisHost": "r:1,s:1"}, "is not one address"),
        ("pubsub.redis", {"redisHost": "r:1", "consumerID": "{uuid}"}, "consumerID, *"),
        ("pubsub.redis", {"redisHost": "r:1", "consumerID": "{namespace}"}, "NAMESPACE"),
        ("pubsub.rabbitmq", {"connectionString": "amqps://r"}, "uses amqps"),
        ("pubsub.rabbitmq", {}, "no connectionString"),
    ],
)
def test_what_cannot_be_asked_says_why(kind: str, values: dict[str, str], why: str) -> None:
    assert why in group(kind, None, **values).hidden


def test_a_password_that_only_the_sidecar_reads_hides_its_group() -> None:
    """Without it, the server would reject the question for as long as the start may take."""
    items = [
        {"name": "redisHost", "value": "r:1"},
        {"name": "redisPassword", "secretKeyRef": {"name": "x", "key": "x"}},
    ]
    body = {"kind": "Component", "metadata": {"name": "bus"}}
    spec = {"type": "pubsub.redis", "metadata": items}
    bus = DaprResource(Path("bus.yaml"), 1, {**body, "spec": spec})

    assert "only its sidecar knows redisPassword" == other_groups([bus], "shop", {})["bus"].hidden


Serve = Callable[[BinaryIO, BinaryIO], None]


@contextmanager
def serving(serve: Serve) -> Iterator[Endpoint]:
    """A server of one connection."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def run() -> None:
            opened, _ = listener.accept()
            with opened, opened.makefile("rb") as asked, opened.makefile("wb", 0) as answers:
                serve(asked, answers)  # type: ignore[arg-type]  # unbuffered

        thread = threading.Thread(target=run)
        thread.start()
        yield Endpoint(LOOPBACK, listener.getsockname()[1])
        thread.join()


GROUPS = b"*1\r\n*4\r\n$4\r\nname\r\n$4\r\nshop\r\n$9\r\nconsumers\r\n:0\r\n"


@pytest.mark.parametrize(
    ("reply", "ok", "fact"),
    [
        (GROUPS, True, "group shop is on 1 streams, missing none"),
        (GROUPS.replace(b"shop", b"mine"), False, "missing ['orders']"),
        (b"-ERR no such key\r\n", False, "missing ['orders']"),
        (b"", False, "group shop: 127.0.0.1:"),
    ],
)
def test_a_group_reads_a_stream_that_has_it(reply: bytes, ok: bool, fact: str) -> None:
    """Before Redis 7 its consumer is not known yet."""

    def serve(_asked: BinaryIO, answers: BinaryIO) -> None:
        answers.write(b"+OK\r\n+OK\r\n" + reply)

    with serving(serve) as endpoint:
        seen = RedisGroupCheck(RedisAccess(endpoint, "word"), "shop", ["orders"]).observe()

    assert (ok, True) == (seen.ok, fact in seen.fact)


def test_a_password_that_redis_rejects_is_told() -> None:
    def serve(_asked: BinaryIO, answers: BinaryIO) -> None:
        answers.write(b"-WRONGPASS invalid\r\n+OK\r\n$-1\r\n")

    with serving(serve) as endpoint, pytest.raises(Rejected, match="WRONGPASS"):
        RedisAccess(endpoint, "wrong").ask(("GET", "x"))


def frame(channel: int, method: tuple[int, int], arguments: bytes) -> bytes:
    payload = struct.pack(">HH", *method) + arguments
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


def taken(asked: BinaryIO) -> tuple[int, ...]:
    """The method of the next frame."""
    _, _, size = struct.unpack(">BHI", asked.read(7))
    return struct.unpack(">HH", asked.read(size + 1)[:4])


def amqp(consumers: int | None) -> Serve:
    """A server with the queue ``shop-orders``, or without it."""

    def serve(asked: BinaryIO, answers: BinaryIO) -> None:
        assert b"AMQP\x00\x00\x09\x01" == asked.read(8)
        answers.write(frame(0, (10, 10), b"\0\x09" + bytes(12)))
        assert (10, 11) == taken(asked)
        answers.write(frame(0, (10, 30), struct.pack(">HIH", 9, 4096, 60)))
        assert [(10, 31), (10, 40)] == [taken(asked), taken(asked)]
        answers.write(frame(0, (10, 41), b"\0"))
        assert (20, 10) == taken(asked)
        answers.write(frame(1, (20, 11), bytes(4)))
        assert (50, 10) == taken(asked)
        if consumers is None:
            told = b"NOT_FOUND - no queue"
            closed = struct.pack(">HB", 404, len(told)) + told + bytes(4)
            answers.write(frame(1, (20, 40), closed))
        else:
            name = b"\x0bshop-orders"
            answers.write(frame(1, (50, 11), name + struct.pack(">II", 5, consumers)))
        assert (10, 50) == taken(asked)

    return serve


@pytest.mark.parametrize(
    ("consumers", "ok", "missing"),
    [(1, True, "none"), (0, False, "['shop-orders']"), (None, False, "['shop-orders']")],
)
def test_a_queue_is_read_if_it_has_a_consumer(
    consumers: int | None, ok: bool, missing: str
) -> None:
    """The messages that wait in it do not count."""
    with serving(amqp(consumers)) as endpoint:
        seen = QueueCheck(AmqpAccess(endpoint), ["shop-orders"]).observe()

    assert (ok, True) == (seen.ok, f"missing {missing}" in seen.fact)


def test_a_server_that_refuses_the_user_says_so() -> None:
    def serve(asked: BinaryIO, answers: BinaryIO) -> None:
        asked.read(8)
        answers.write(frame(0, (10, 10), b"\0\x09" + bytes(12)))
        taken(asked)
        told = b"ACCESS_REFUSED"
        answers.write(frame(0, (10, 50), struct.pack(">HB", 403, len(told)) + told + bytes(4)))

    with serving(serve) as endpoint:
        seen = QueueCheck(AmqpAccess(endpoint), ()).observe()

    assert (False, True) == (seen.ok, "ACCESS_REFUSED" in seen.fact)
