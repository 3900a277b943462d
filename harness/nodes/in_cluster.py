"""How an app runs in a Kubernetes cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.core.errors import ConfigError

_QUANTITIES = {
    "cpu": re.compile(r"\d+(\.\d+)?|\d+m"),
    "memory": re.compile(r"\d+(\.\d+)?([kMGT]|[KMGT]i)?"),
}
"""Dapr's injector drops all resources of a sidecar if it cannot read one of them."""

_EXAMPLES = {"cpu": "100m or 0.5", "memory": "128Mi or 1Gi"}
MOST_PERCENT = 100
AFTER_SIDECAR = 5
"""Seconds that an app listens longer than its sidecar serves."""


@dataclass(frozen=True)
class Kubernetes:
    """How an app runs in a cluster; only ``dapr-harness render k8s`` reads it.

    Resources become values of the chart, so that an installation can change them.

    Attributes:
        replicas: how many pods, or the least if it is scaled; the app's ``replicas`` if None.
        max_replicas: how many pods a HorizontalPodAutoscaler may start; 0 for none. Leave it at 0
            if another replica would do harm: a cron binding fires in every replica, and what is
            kept in memory is there in only one.
        cpu_target: how busy the pods are kept, in percent of the CPU that they request.
        lag_target: how many events may wait for each pod; KEDA scales the app by them, and not by
            its CPU. 0 for not at all.
        requests: what the app is guaranteed, by ``cpu`` and ``memory``.
        limits: what it may use at most.
        sidecar_requests: what its sidecar is guaranteed.
        sidecar_limits: what its sidecar may use at most.
        exposed: whether clients outside Dapr may connect to its port. If not, its NetworkPolicy
            lets only the apps through that refer to it in their ``env``.
        startup_seconds: how long it may take to listen before Kubernetes restarts it.
        block_shutdown_seconds: how long its sidecar continues to serve after its pod was told to
            end, without new events: others send it requests until they know; 0 for not at all.
        graceful_shutdown_seconds: how long its sidecar may then take to finish ongoing work.
        pre_stop_seconds: how long the app continues to listen after its pod was told to end; 0 for
            not at all. If None, a little longer than its sidecar serves: a sidecar whose app has
            ended first answers requests of other sidecars with errors.

    Raises:
        ConfigError: a quantity or a number is not valid.
    """

    replicas: int | None = None
    max_replicas: int = 0
    cpu_target: int = 75
    lag_target: int = 0
    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "50m", "memory": "128Mi"})
    limits: Mapping[str, str] = field(default_factory=lambda: {"memory": "512Mi"})
    sidecar_requests: Mapping[str, str] = field(
        default_factory=lambda: {"cpu": "100m", "memory": "128Mi"}
    )
    sidecar_limits: Mapping[str, str] = field(default_factory=lambda: {"memory": "512Mi"})
    exposed: bool = False
    startup_seconds: int = 120
    block_shutdown_seconds: int = 5
    graceful_shutdown_seconds: int = 10
    pre_stop_seconds: int | None = None

    def __post_init__(self) -> None:
        for name in ("requests", "limits", "sidecar_requests", "sidecar_limits"):
            _require_quantities(name, getattr(self, name))
        _require("startup_seconds", self.startup_seconds, 1)
        _require("graceful_shutdown_seconds", self.graceful_shutdown_seconds, 0)
        _require("block_shutdown_seconds", self.block_shutdown_seconds, 0)
        _require("pre_stop_seconds", self.listening_seconds(), 0)
        _require("cpu_target", self.cpu_target, 1, MOST_PERCENT)
        _require("lag_target", self.lag_target, 0)
        if self.replicas is not None:
            _require("replicas", self.replicas, 1)

    def listening_seconds(self) -> int:
        """How long the app continues to listen after its pod was told to end."""
        if self.pre_stop_seconds is not None:
            return self.pre_stop_seconds
        block = self.block_shutdown_seconds
        return block + AFTER_SIDECAR if block else 0

    def ending_seconds(self) -> int:
        """How long a pod may take to end: its app and its sidecar end at the same time."""
        serving = max(self.block_shutdown_seconds, self.listening_seconds())
        return serving + self.graceful_shutdown_seconds

    def require_scalable(self, app: str, replicas: int) -> None:
        """Check the numbers of replicas of an app.

        Args:
            app: its name.
            replicas: how often it runs outside a cluster.

        Raises:
            ConfigError: the autoscaler would have nothing to choose, or nothing to measure.
        """
        least = self.replicas or replicas
        if self.max_replicas and self.max_replicas <= least:
            raise ConfigError(
                f"app {app!r} has kubernetes.max_replicas={self.max_replicas}",
                expected=f"more than its {least} replicas",
                hint="leave out max_replicas= for an app that is not scaled",
            )
        if self.lag_target and not self.max_replicas:
            raise ConfigError(
                f"app {app!r} has kubernetes.lag_target={self.lag_target} and no max_replicas",
                expected="the number of pods that may be started",
            )
        requests = {"requests": self.requests, "sidecar_requests": self.sidecar_requests}
        for name, each in requests.items() if not self.lag_target else ():
            if self.max_replicas and "cpu" not in each:
                raise ConfigError(
                    f"app {app!r} is scaled by its CPU, and kubernetes.{name} does not contain cpu",
                    expected="a request of CPU, of which the autoscaler measures a percentage",
                    hint=f'for example {name}={{"cpu": "100m"}}',
                )


def _require_quantities(name: str, quantities: Mapping[str, str]) -> None:
    for resource, quantity in quantities.items():
        known = _QUANTITIES.get(resource)
        if known is None:
            raise ConfigError(
                f"kubernetes.{name} contains {resource!r}", expected=" and ".join(_QUANTITIES)
            )
        if not known.fullmatch(str(quantity)):
            raise ConfigError(
                f"kubernetes.{name} has {resource}={quantity!r}",
                expected=f"a quantity such as {_EXAMPLES[resource]}",
            )


def _require(name: str, number: int, least: int, most: int | None = None) -> None:
    if number < least or (most is not None and number > most):
        raise ConfigError(
            f"kubernetes.{name} is {number}",
            expected=f"{least} or more" if most is None else f"{least} to {most}",
        )
