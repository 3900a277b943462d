"""The harness's own sidecar, which subscribes on behalf of tests."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.deadline import Check
from harness.core.errors import ConfigError
from harness.core.node import Node, Resource, Scope
from harness.dapr.resources import DaprResource, mapping, sequence
from harness.dapr.status import SidecarStatus
from harness.nodes.sidecar import Sidecar

OWN = (
    "consumerid",
    "consumergroup",
    "publishingscopes",
    "subscriptionscopes",
    "protectedtopics",
    "allowedtopics",
)
"""Fields that would put the tap into an app's consumer group, or keep it from a topic."""

IN_ORDER = {
    "pubsub.aws.snssqs": {"concurrencyMode": "single"},
    "pubsub.jetstream": {"concurrency": "single"},
    "pubsub.pulsar": {"maxConcurrentHandlers": "1"},
    "pubsub.rabbitmq": {"concurrencyMode": "single"},
    "pubsub.redis": {"concurrency": "1"},
}
"""Settings that make a component deliver one event after the other. By default, Redis has ten
workers, and an event could overtake the marker that shows where a tap begins."""


Find = Callable[[str, str], Sequence[DaprResource]]


def _nothing(name: str, viewer: str) -> Sequence[DaprResource]:
    raise ConfigError(f"find= is missing: it looks up the pub/sub component {name!r}")


@dataclass(frozen=True)
class TapSidecar(Sidecar):
    """A sidecar with one pub/sub component, in its own consumer group.

    Attributes:
        app_id: unique, even if several stacks share one broker.
        pubsub: the component's name.
        find: returns the component and the secret stores next to it, for a viewer.
    """

    needs: tuple[str, ...] = ()
    pubsub: str = ""
    find: Find = _nothing

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """Nothing: it hosts neither actors nor jobs."""
        return ()

    def loaded(self, scope: Scope) -> Sequence[Resource]:
        """The component, the secret stores next to it, and its own policy."""
        component, *stores = self.find(self.pubsub, scope.viewer)
        return [self._own(component), *(self._own(each) for each in stores), retrying(self.pubsub)]

    def _ladder(self, scope: Scope, client: SidecarStatus) -> Sequence[Check]:
        kept = ("port", "outbound", "identity", "components")
        return [each for each in super()._ladder(scope, client) if each.name in kept]

    def _flags(self, scope: Scope) -> dict[str, str]:
        theirs = ("placement-host-address", "scheduler-host-address", "enable-mtls")
        # Otherwise daprd sends no event larger than 4 MiB, and ends the stream instead.
        flags = super()._flags(scope) | {"max-body-size": "1Gi"}
        return {key: value for key, value in flags.items() if key not in theirs}

    def _environment(self, scope: Scope) -> dict[str, str]:
        """The variables that the secret stores of other sidecars read from their environment."""
        where = f"env of {self.name}"
        given = {k: scope.fill(v, where) for k, v in scope.variables().items()}
        return given | super()._environment(scope)

    def _own(self, resource: DaprResource) -> DaprResource:
        body = copy.deepcopy(resource.body)
        body.pop("scopes", None)
        if resource.type.startswith("pubsub."):
            spec = mapping(body["spec"])
            own = {"consumerID": self.app_id, **IN_ORDER.get(resource.type, {})}
            left_out = {*OWN, *(name.lower() for name in own)}
            spec["metadata"] = [
                *(item for item in sequence(spec.get("metadata")) if _name(item) not in left_out),
                *({"name": name, "value": value} for name, value in own.items()),
            ]
        return replace(resource, body=body)


def _name(item: Any) -> str:
    return str(mapping(item).get("name", "")).lower()


def retrying(pubsub: str) -> DaprResource:
    """A policy that redelivers until the tap has accepted an event.

    daprd 1.18.2 subscribes at the broker before it knows the stream (`pkg/api/grpc/subscribe.go`):
    an event that arrives in between fails with "no streamer subscribed". Without a policy it is
    lost, or delayed for the minute of Redis' processingTimeout.
    """
    again: Mapping[str, object] = {"policy": "constant", "duration": "20ms", "maxRetries": -1}
    body = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Resiliency",
        "metadata": {"name": "tap"},
        "spec": {
            "policies": {"retries": {"again": again}},
            "targets": {"components": {pubsub: {"inbound": {"retry": "again"}}}},
        },
    }
    return DaprResource(Path("tap.yaml"), 1, body)
