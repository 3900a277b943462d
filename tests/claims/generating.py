"""Component files of many kinds, by Hypothesis: right, almost right, and wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from harness.dapr.known import pinned

POSTGRES = "host=127.0.0.1 port=9 user=x password=x dbname=x"

SOUND: Mapping[str, Mapping[str, str]] = {
    "bindings.cron": {"schedule": "@every 1h"},
    "bindings.graphql": {"endpoint": "http://127.0.0.1:9"},
    "bindings.http": {"url": "http://127.0.0.1:9"},
    "bindings.localstorage": {"rootPath": "files", "fileName": "f"},
    "bindings.postmark": {"accountToken": "x", "serverToken": "x"},
    "bindings.smtp": {"host": "127.0.0.1", "port": "25"},
    "configuration.postgresql": {"connectionString": POSTGRES, "table": "t"},
    "conversation.echo": {},
    "middleware.http.ratelimit": {"maxRequestsPerSecond": "10"},
    "pubsub.in-memory": {},
    "pubsub.pulsar": {"host": "127.0.0.1:9"},
    "pubsub.rabbitmq": {"connectionString": "amqp://127.0.0.1:9"},
    "secretstores.local.env": {},
    "secretstores.local.file": {"secretsFile": "secrets.json"},
    "state.in-memory": {},
    "state.memcached": {"hosts": "127.0.0.1:9"},
    "state.mysql": {"connectionString": "x:x@tcp(127.0.0.1:9)/"},
    "state.postgresql": {"connectionString": POSTGRES},
    "state.sqlite": {"connectionString": ":memory:"},
}
"""Types, each with what metadata.yaml or the code requires. Those with an address need a server,
and there is none: their metadata are read before."""

SLOW: Mapping[str, Mapping[str, str]] = {
    "pubsub.kafka": {"brokers": "127.0.0.1:9", "authType": "none"},
    "pubsub.mqtt3": {"url": "tcp://127.0.0.1:9", "consumerID": "c"},
    "state.redis": {"redisHost": "127.0.0.1:9"},
}
"""Types that ask for their server for up to a second."""

BEYOND_LINT = {
    "heartbeatInterval": "less than sessionTimeout",
    "saslExternal": "needs a certificate",
    "useAWSIAM": "needs a region", "useAzureAD": "needs an account",
    "useEntraID": "needs an account",
    "deliveryMode": "0, 1 or 2",
    "failover": "needs a master", "redisType": "a cluster is asked for at once",
    "<topic-name>.rawschema": "the field is named by a topic",
}  # fmt: skip
"""Fields whose value depends on another one, or on a range, which metadata.yaml does not say."""

RIGHT = {"number": ["1", "2", "9"], "duration": ["5s", "2m", "10", "1.5h", "6000ms"],
         "bool": ["true", "no", "1", "True"]}  # fmt: skip
WRONG: Mapping[str, list[str | None]] = {
    "number": ["many", "1.5", " 1", "", None],
    "duration": ["soon", "5 s", "P1D", "", None],
    "bool": ["maybe", "", None],
}


@dataclass(frozen=True)
class Sample:
    """One generated component.

    Attributes:
        fields: by name; None is null.
    """

    kind: str
    version: str
    fields: Mapping[str, str | None]

    def text(self, name: str) -> str:
        """The file; daprd goes on after an error in it, and waits for no server."""
        items = [{"name": key, "value": value} for key, value in self.fields.items()]
        return json.dumps({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": name},
            "spec": {
                "type": self.kind, "version": self.version, "metadata": items,
                "ignoreErrors": True, "initTimeout": "100ms",
            },
        })  # fmt: skip


@st.composite
def samples(draw: st.DrawFn, sound: Mapping[str, Mapping[str, str]]) -> Sample:
    """A component of one of these types, with at most one mistake."""
    kind = draw(st.sampled_from(sorted(sound)))
    version = draw(st.sampled_from(sorted(pinned().types[kind])))
    table, base = pinned().types[kind][version], dict(sound[kind])
    fields: dict[str, str | None] = {**base}
    checked = {**table["types"], **dict.fromkeys(table["values"], "words")}
    checked = {name: of for name, of in checked.items() if name not in {*base, *BEYOND_LINT}}
    for name in draw(st.lists(st.sampled_from(sorted(checked) or [""]), max_size=2, unique=True)):
        if name:
            fields[name] = draw(st.sampled_from(_right(table, name, checked[name])))
    mistake = draw(st.sampled_from(["none", "value", "required", "type", "version", "unknown"]))
    if mistake == "value" and checked:
        name = draw(st.sampled_from(sorted(checked)))
        fields[name] = draw(st.sampled_from(_wrong(table, name, checked[name])))
    elif mistake == "required" and base:
        name = draw(st.sampled_from(sorted(base)))
        fields[name] = draw(st.sampled_from(["", None, None]))
        if draw(st.booleans()):
            del fields[name]
    elif mistake == "unknown":
        fields["nobodyKnowsIt"] = "x"
    kind, version = _renamed(draw, mistake, kind, version)
    return Sample(kind, version, fields)


def _renamed(draw: st.DrawFn, mistake: str, kind: str, version: str) -> tuple[str, str]:
    if mistake == "type" and draw(st.integers(0, 3)) == 0:
        return f"{kind}x", version
    if mistake == "version" and draw(st.integers(0, 3)) == 0:
        return kind, "v9"
    return kind, version


def _right(table: Mapping[str, Any], name: str, kind: str) -> list[str]:
    return [*table["values"][name]] if name in table["values"] else RIGHT[kind]


def _wrong(table: Mapping[str, Any], name: str, kind: str) -> list[str | None]:
    if name not in table["values"]:
        return WRONG[kind]
    return ["strange", "", None, *(word.swapcase() for word in table["values"][name])]
