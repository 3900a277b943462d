"""Which groups of Redis and which queues of RabbitMQ a sidecar reads, by its components."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from harness.core.deadline import Check
from harness.core.endpoint import Endpoint
from harness.core.node import Resource
from harness.dapr.kafka_component import TRUE, readable_fields
from harness.nodes.consumer_groups import named, topic_prefix

AMQP_PORT = 5672
REDIS_PORT = 6379
_ADDRESS = re.compile(r"([^\s,:\[\]]+)(?::(\d{1,5}))?")


@dataclass(frozen=True)
class OtherGroup:
    """What reads the topics of one pub/sub component.

    Attributes:
        name: the name of the group, or the first part of the names of queues.
        make: makes the check of the topics, under their names on the broker.
        prefix: what daprd puts before the name of each topic.
        hidden: why it cannot be looked at from here; "" if it can.
    """

    name: str
    make: Callable[[str, Sequence[str]], Check] | None
    prefix: str = ""
    hidden: str = ""

    def check(self, topics: Sequence[str]) -> Check:
        """The check that topics are read."""
        assert self.make is not None
        return self.make(self.name, topics)


def other_groups(
    resources: Sequence[Resource], app_id: str, env: Mapping[str, str]
) -> dict[str, OtherGroup]:
    """What reads the topics of every component on Redis or RabbitMQ, by component.

    Args:
        resources: what the sidecar loads, with placeholders filled.
        app_id: the sidecar's.
        env: the variables set for the sidecar, filled.
    """
    makers = {"pubsub.redis": _redis, "pubsub.rabbitmq": _rabbitmq}
    found = {}
    for each in resources:
        if each.type not in makers:
            continue
        fields = readable_fields(each, resources, env)
        name = named(fields.get("consumerid") or app_id, app_id, env)
        prefix, hidden = topic_prefix(fields, env)
        make = makers[each.type](fields)
        if unknown := _unknown(each, fields):
            hidden = f"only its sidecar knows {unknown}"
        elif "*" in name:
            hidden = f"only its sidecar knows its consumerID, {name}"
        elif isinstance(make, str):
            hidden = make
        found[each.name] = OtherGroup(name, None if isinstance(make, str) else make, prefix, hidden)
    return found


def _unknown(component: Resource, fields: Mapping[str, str]) -> str:
    """A field whose value is somewhere else, and could not be read."""
    items = component.fields().items()
    return next((n for n, item in items if "value" not in item and not fields[n.lower()]), "")


def _redis(fields: Mapping[str, str]) -> Callable[[str, Sequence[str]], Check] | str:
    for name in ("enabletls", "failover"):
        if fields.get(name, "").lower() in TRUE:
            return f"its Redis uses {name}"
    if fields.get("redistype", "node") == "cluster":
        return "its Redis is a cluster"
    address = _ADDRESS.fullmatch(fields.get("redishost", ""))
    if address is None:
        return "its redisHost is not one address"
    # Most stacks have neither Redis nor RabbitMQ, and each session that attaches imports this.
    from harness.ready.redis_groups import RedisGroupCheck
    from harness.ready.resp import RedisAccess

    access = RedisAccess(
        Endpoint(address[1], int(address[2] or REDIS_PORT)),
        fields.get("redispassword", ""),
        fields.get("redisusername", ""),
        fields.get("redisdb") or "0",
    )
    return lambda group, topics: RedisGroupCheck(access, group, topics)


def _rabbitmq(fields: Mapping[str, str]) -> Callable[[str, Sequence[str]], Check] | str:
    url = urlsplit(fields.get("connectionstring") or fields.get("host", ""))
    if not url.hostname:
        return "it has no connectionString"
    if url.scheme != "amqp":
        return f"its RabbitMQ uses {url.scheme}"
    from harness.ready.amqp import AmqpAccess, QueueCheck

    access = AmqpAccess(
        Endpoint(url.hostname, url.port or AMQP_PORT),
        unquote(url.username or "guest"),
        unquote(url.password or "guest"),
        unquote(url.path.removeprefix("/")) or "/",
    )
    return lambda name, topics: QueueCheck(access, [f"{name}-{topic}" for topic in topics])
