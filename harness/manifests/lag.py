"""Scaling by lag: KEDA starts pods while events of an app wait in Kafka."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.core.errors import ConfigError
from harness.dapr.resources import DaprResource
from harness.manifests.filling import Filling
from harness.manifests.values import Object, Values
from harness.nodes.app import App

KAFKA = "pubsub.kafka"
OFFSETS = {"oldest": "earliest", "newest": "latest"}
"""What KEDA calls the offsets at which a new group begins."""


def triggers(
    app: App, resources: Sequence[DaprResource], filling: Filling, values: Values
) -> list[Object]:
    """A trigger for each consumer group of an app: its lag on all topics that it reads.

    Args:
        app: the app.
        resources: those that its sidecar loads.
        filling: what takes the place of placeholders.
        values: what an installation can configure.

    Raises:
        ConfigError: it has no group whose lag KEDA could read.
    """
    found = list(_triggers(app, resources, filling, values))
    if not found:
        raise ConfigError(
            f"app {app.name!r} is scaled by lag, and loads no component whose lag KEDA can read",
            expected=f"a component {KAFKA} without credentials, with one group for all pods",
            hint="leave out kubernetes.lag_target, and it is scaled by its CPU",
        )
    return found


def _triggers(
    app: App, resources: Sequence[DaprResource], filling: Filling, values: Values
) -> Iterator[Object]:
    path = ("autoscaling", app.name, "lagThreshold")
    for each in resources:
        fields = {name: item.get("value") for name, item in each.fields().items()}
        group = str(fields.get("consumerGroup") or fields.get("consumerID") or app.app_id)
        own = "{" in group  # of each pod: another pod would not shorten its lag
        if each.type != KAFKA or own or str(fields.get("authType", "none")) != "none":
            continue
        metadata: dict[str, Any] = {
            "bootstrapServers": filling.fill(str(fields.get("brokers") or "")),
            "consumerGroup": group,
            "lagThreshold": values.text(*path, default=app.kubernetes.lag_target),
            "offsetResetPolicy": OFFSETS.get(str(fields.get("initialOffset")), "latest"),
        }
        yield {"type": "kafka", "metadata": metadata}
