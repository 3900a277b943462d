"""Why a Kafka broker refuses a component, which daprd's log does not always tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.core.kafka_access import KafkaAccess
from harness.core.node import Resource
from harness.dapr.kafka_component import MECHANISMS, connection_of
from harness.ready.kafka import refusal_of

UNTOLD = "kafka: client has run out of available brokers to talk to"
"""The end of daprd's last message, with or without a cause behind it."""


def refused_component(resources: Sequence[Resource], env: Mapping[str, str], log: str) -> str:
    """What the broker tells the harness with the credentials of the component that failed.

    Args:
        resources: what the sidecar loads, with placeholders filled.
        env: the variables that are set for the sidecar, filled.
        log: the end of the sidecar's log.
    """
    if UNTOLD not in log:
        return ""
    for each in resources:
        if f"for {each.name} ({each.type}/" not in log:
            continue
        brokers, unknown = connection_of(each, resources, env)
        if isinstance(brokers, KafkaAccess) and not unknown:
            return _told(each.name, brokers)
    return ""


def _told(component: str, access: KafkaAccess) -> str:
    names = {kafka: dapr for dapr, kafka in MECHANISMS.items()}
    if not (said := refusal_of(access)):
        return ""
    return (
        f"the broker at {access} refuses component {component!r}, which uses saslMechanism "
        f"{names[access.mechanism]} and {'TLS' if access.tls else 'no TLS'}: {said}"
    )
