"""How a Kafka component of Dapr connects, for clients of the harness that read the same broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.core.kafka_access import Brokers, KafkaAccess
from harness.core.node import Resource
from harness.dapr.resources import plain_fields

MECHANISMS = {"SHA-256": "SCRAM-SHA-256", "SHA-512": "SCRAM-SHA-512", "PLAINTEXT": "PLAIN"}
"""Dapr's names of Kafka's mechanisms; any other value means PLAIN (components-contrib 1.18.3)."""

TRUE = ("y", "yes", "true", "t", "on", "1")


def connection_of(
    component: Resource, others: Sequence[Resource], env: Mapping[str, str]
) -> tuple[Brokers, str]:
    """How a component connects to its brokers, and why that is not known here; "" if it is.

    Args:
        component: a ``pubsub.kafka``, with placeholders filled.
        others: the resources that its sidecar loads, with its secret stores.
        env: the variables that are set for the sidecar, filled.
    """
    plain = plain_fields(component)
    brokers = plain.get("brokers", "")
    # The older authRequired is replaced by authType, which it must not contradict.
    kind = (plain.get("authtype") or plain.get("authrequired", "")).lower()
    if kind in ("", "none", "false"):
        return brokers, ""
    if kind != "password":
        return brokers, f"its broker requires authentication ({kind})"
    fields = readable_fields(component, others, env)
    if missing := [
        name for name in ("saslUsername", "saslPassword") if not fields.get(name.lower())
    ]:
        return brokers, f"only its sidecar knows {missing[0]}"
    return _access(brokers, fields), ""


def _access(brokers: str, fields: Mapping[str, str]) -> KafkaAccess:
    return KafkaAccess(
        brokers,
        MECHANISMS.get(fields.get("saslmechanism", ""), "PLAIN"),
        fields["saslusername"],
        fields["saslpassword"],
        fields.get("disabletls", "").lower() not in TRUE,
        fields.get("cacert", ""),
        fields.get("skipverify", "").lower() not in TRUE,
    )


def readable_fields(
    component: Resource, others: Sequence[Resource], env: Mapping[str, str]
) -> dict[str, str]:
    """A component's values by name in lower case, without those that only its sidecar can read.

    A secret of ``secretstores.local.env`` and an ``envRef`` are read from the sidecar's variables.

    Args:
        component: the component.
        others: the resources that its sidecar loads.
        env: the variables that are set for the sidecar, filled.
    """
    stores = {each.name: each for each in others if each.type == "secretstores.local.env"}
    found = plain_fields(component)
    for name, item in component.fields().items():
        variable = _variable(item, stores.get(component.secret_store))
        if variable:
            found[name.lower()] = env.get(variable, "")
    return found


def _variable(item: Mapping[str, object], store: Resource | None) -> str:
    """The variable of the sidecar that has an item's value; "" if none has."""
    if "envRef" in item:
        return str(item["envRef"])
    reference = item.get("secretKeyRef")
    if store is None or not isinstance(reference, Mapping):
        return ""
    return plain_fields(store).get("prefix", "") + str(reference.get("name", ""))
