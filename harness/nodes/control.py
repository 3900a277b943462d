"""Dapr's control plane on one machine: placement, scheduler, and sentry for mTLS."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from harness.core.deadline import Check
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.errors import ConfigError
from harness.core.launch import InContainer, Launch
from harness.core.node import Node, Scope, Target
from harness.core.roles import Part, SidecarRole
from harness.nodes.base import BaseNode
from harness.nodes.provided import ProvidedService
from harness.ready.http import HttpCheck

SCHEDULER_ID = "dapr-scheduler-server-0"
"""Sentry signs only for the names used in a cluster: with mTLS, no other id is accepted."""


@dataclass(frozen=True)
class Service(BaseNode):
    """A service of the control plane: the common part."""

    inner: ClassVar[Sequence[str]] = ()
    """Ports other than those for the API, health and metrics."""

    name: str

    @property
    def reached(self) -> Sequence[str]:
        """The ports to which this machine connects."""
        return ("health",)

    @property
    def service(self) -> str:
        """Its kind, whatever its name."""
        return self.tools[0]

    def resolve(self, target: Target) -> Node:
        """In a cluster, the one that the cluster has."""
        if target.runtime == "kubernetes":
            return ProvidedService(self.name, self.service)
        return self

    def plan(self, scope: Scope) -> Launch:
        """One server."""
        listens = {port: scope.listen(port) for port in ("main", *self.inner, "health", "metrics")}
        health, metrics = listens["health"], listens["metrics"]
        return Launch(
            name=self.name,
            # pflag without support for single dashes: every flag needs two.
            argv=(
                str(scope.tool(self.tools[0])),
                *self.flags(scope, listens),
                f"--port={listens['main'].port}",
                f"--listen-address={listens['main'].host}",
                f"--healthz-port={health.port}",
                f"--healthz-listen-address={health.host}",
                f"--metrics-port={metrics.port}",
                f"--metrics-listen-address={metrics.host}",
            ),
            files=self.files(scope),
            ports={port: each.port for port, each in listens.items()},
            container=InContainer(
                self.tools[0], internal=tuple(port for port in listens if port not in self.reached)
            ),
            # The scheduler's shutdown can hang in 1.18.2; this is fixed in 1.18.3.
            end_signal=signal.SIGKILL,
        )

    def flags(self, scope: Scope, listens: Mapping[str, Endpoint]) -> Sequence[str]:
        """The service's own flags."""
        raise NotImplementedError

    def files(self, scope: Scope) -> Mapping[str, str]:
        """The files in its folder."""
        return {ANCHORS: scope.authority().anchors} if scope.mtls else {}

    def checks(self, scope: Scope) -> Sequence[Check]:
        """``/healthz`` returns 200; for placement, once there is a leader."""
        return (HttpCheck(f"{scope.endpoint('health').http}/healthz", "health"),)

    def seen_in(self, namespace: str) -> Node:
        """The same: it keeps namespaces apart by itself."""
        return self

    def divides(self, user: Node, keys: Collection[str]) -> bool:
        """A sidecar tells it its namespace."""
        return isinstance(user, SidecarRole)

    def leave(self, scope: Scope, part: Part) -> None:
        """Nothing was made for it."""

    def _tls_flags(self, scope: Scope) -> Sequence[str]:
        if not scope.mtls:
            return ()
        return (
            "--tls-enabled",
            f"--trust-anchors-file={scope.home / ANCHORS}",
            f"--sentry-address={sentry_address(scope)}",
        )


@dataclass(frozen=True)
class Placement(Service):
    """The placement service, which knows where actors are. Its store is in memory."""

    tools = ("placement",)
    inner = ("raft",)

    name: str = "placement"

    def flags(self, scope: Scope, listens: Mapping[str, Endpoint]) -> Sequence[str]:
        """A single member, which talks to itself."""
        peers = f"--initial-cluster=p0={LOOPBACK}:{listens['raft'].port}"
        return ("--id=p0", peers, *self._tls_flags(scope))


@dataclass(frozen=True)
class Scheduler(Service):
    """The scheduler service, which fires jobs. Its etcd stores jobs in the node's folder.

    Args:
        name: the node's name; sidecars look for ``scheduler``.
        reachable: whether this machine, too, connects to it in a container, to delete jobs.
    """

    tools = ("scheduler",)
    inner = ("peer", "client")

    name: str = "scheduler"
    reachable: bool = False

    @property
    def reached(self) -> Sequence[str]:
        """The ports to which this machine connects."""
        return ("health", "main") if self.reachable else ("health",)

    def resolve(self, target: Target) -> Node:
        """The scheduler of the topology's time."""
        if target.runtime == "kubernetes":
            return super().resolve(target)
        if target.time == "virtual":
            from harness.nodes.virtual_scheduler import VirtualScheduler

            return VirtualScheduler(self.name).resolve(target)
        return replace(self, reachable=not target.alone)

    def flags(self, scope: Scope, listens: Mapping[str, Endpoint]) -> Sequence[str]:
        """With its own etcd."""
        home, broadcast = scope.home, scope.network()
        scheme = "https" if scope.mtls else "http"
        peer = f"{scheme}://{LOOPBACK}:{listens['peer'].port}"
        return (
            f"--id={SCHEDULER_ID}",
            f"--etcd-initial-cluster={SCHEDULER_ID}={peer}",
            f"--etcd-client-port={listens['client'].port}",
            f"--etcd-data-dir={home / 'etcd'}",
            "--etcd-initial-election-tick-advance=true",
            f"--identity-directory-write={home / 'identity'}",
            f"--override-broadcast-host-port={broadcast}",
            *self._tls_flags(scope),
        )

    def leave(self, scope: Scope, part: Part) -> None:
        """Delete the jobs; without gRPC for Python they stay, and no sidecar asks for them."""
        from harness.virtual_time.messages import has_grpc

        if has_grpc():
            self.clean(scope, part)

    def clean(self, scope: Scope, part: Part) -> None:
        """Delete the jobs and reminders of a namespace.

        Raises:
            ConfigError: it requires a certificate.
        """
        if scope.mtls:
            raise ConfigError(
                f"the jobs of {self.name!r} cannot be deleted: it requires a certificate",
                hint="leave out mtls=True",
            )
        from harness.virtual_time.removal import delete_jobs

        delete_jobs(scope.endpoint(), part)


ANCHORS = "anchors.pem"
CONFIGURATION = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: sentry}\n"


@dataclass(frozen=True)
class Sentry(Service):
    """The sentry service, which issues certificates. Added to a topology with ``mtls=True``.

    Outside Kubernetes, it accepts the identity that a sidecar claims (validator ``insecure``).
    """

    tools = ("sentry",)

    name: str = "sentry"

    def flags(self, scope: Scope, listens: Mapping[str, Endpoint]) -> Sequence[str]:
        """It signs with this stack's issuer."""
        home = scope.home
        return (f"--config={home / 'config.yaml'}", f"--issuer-credentials={home}")

    def files(self, scope: Scope) -> Mapping[str, str]:
        """A missing configuration is fatal, an empty one is not."""
        authority = scope.authority()
        return {
            "config.yaml": CONFIGURATION,
            "ca.crt": authority.anchors,
            "issuer.crt": authority.certificate,
            "issuer.key": authority.key,
        }

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``address``: where certificates are requested."""
        return {"address": str(scope.endpoint())}


def sentry_address(scope: Scope) -> str:
    """Where a node requests its certificate, which makes sentry a dependency of the node."""
    return scope.exports("sentry")["address"]
