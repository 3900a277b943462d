"""Dapr's control plane on one machine: placement, scheduler, and sentry for mTLS."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.deadline import Check
from harness.endpoint import LOOPBACK, Endpoint
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.ready.http import HttpCheck
from harness.topology import HOST, NETWORK, Book

SCHEDULER_ID = "dapr-scheduler-server-0"
"""Sentry signs for the names of a cluster only: with mTLS no other id is accepted."""


@dataclass(frozen=True)
class Placement(Plain):
    """The placement service: where actors live."""

    tools = ("placement",)

    name: str = "placement"

    def plan(self, book: Book) -> Launch:
        """One server with an in-memory store."""
        api, raft, health, metrics = (
            book.listen(self.name, port) for port in ("main", "raft", "health", "metrics")
        )
        return Launch(
            name=self.name,
            argv=(
                str(book.tools.path("placement")),
                "--id=p0",
                # Its only member talks to itself.
                f"--initial-cluster=p0={LOOPBACK}:{raft.port}",
                f"--port={api.port}",
                f"--listen-address={api.host}",
                *_watched(health, metrics),
                *_tls_flags(book, self.name),
            ),
            files=_anchors(book),
            image="placement",
            ports=(api.port, raft.port, health.port, metrics.port),
            internal=(api.port, raft.port, metrics.port),
            end_signal=signal.SIGKILL,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """``/healthz`` is 200 once there is a leader."""
        return (HttpCheck(f"{book.endpoint(self.name, 'health').http}/healthz", "health"),)


@dataclass(frozen=True)
class Scheduler(Plain):
    """The scheduler service: when jobs fire. Its etcd keeps jobs in the node's folder."""

    tools = ("scheduler",)

    name: str = "scheduler"

    def plan(self, book: Book) -> Launch:
        """One server with its own etcd."""
        api, peer, client, health, metrics = (
            book.listen(self.name, port) for port in ("main", "peer", "client", "health", "metrics")
        )
        home, broadcast = book.home(self.name), book.endpoint(self.name, viewer=NETWORK)
        scheme = "https" if book.topology.mtls else "http"
        return Launch(
            name=self.name,
            # pflag without the rewriting of single dashes: every flag needs two.
            argv=(
                str(book.tools.path("scheduler")),
                f"--id={SCHEDULER_ID}",
                f"--etcd-initial-cluster={SCHEDULER_ID}={scheme}://{LOOPBACK}:{peer.port}",
                f"--etcd-client-port={client.port}",
                f"--etcd-data-dir={home / 'etcd'}",
                "--etcd-initial-election-tick-advance=true",
                f"--identity-directory-write={home / 'identity'}",
                f"--port={api.port}",
                f"--listen-address={api.host}",
                f"--override-broadcast-host-port={broadcast}",
                *_watched(health, metrics),
                *_tls_flags(book, self.name),
            ),
            files=_anchors(book),
            image="scheduler",
            ports=(api.port, peer.port, client.port, health.port, metrics.port),
            internal=(api.port, peer.port, client.port, metrics.port),
            # Its own way down can hang in 1.18.2; fixed in 1.18.3.
            end_signal=signal.SIGKILL,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """``/healthz`` is 200."""
        return (HttpCheck(f"{book.endpoint(self.name, 'health').http}/healthz", "health"),)


ANCHORS = "anchors.pem"
CONFIGURATION = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: sentry}\n"


@dataclass(frozen=True)
class Sentry(Plain):
    """The sentry service: who is who. It comes along in a topology with ``mtls=True``."""

    tools = ("sentry",)

    name: str = "sentry"

    def plan(self, book: Book) -> Launch:
        """One server that signs with this stack's issuer.

        Outside Kubernetes it believes what a sidecar says of itself (validator ``insecure``).
        """
        api, health, metrics = (book.listen(self.name, port) for port in SENTRY_PORTS)
        home, authority = book.home(self.name), book.authority()
        return Launch(
            name=self.name,
            argv=(
                str(book.tools.path("sentry")),
                f"--config={home / 'config.yaml'}",
                f"--issuer-credentials={home}",
                f"--port={api.port}",
                f"--listen-address={api.host}",
                *_watched(health, metrics),
            ),
            # A configuration that is not there is fatal, an empty one is not.
            files={
                "config.yaml": CONFIGURATION,
                "ca.crt": authority.anchors,
                "issuer.crt": authority.certificate,
                "issuer.key": authority.key,
            },
            image="sentry",
            ports=(api.port, health.port, metrics.port),
            internal=(api.port, metrics.port),
            end_signal=signal.SIGKILL,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """``/healthz`` is 200."""
        return (HttpCheck(f"{book.endpoint(self.name, 'health').http}/healthz", "health"),)

    def exports(self, book: Book, viewer: str = HOST) -> Mapping[str, str]:
        """``address``: where certificates are asked for."""
        return {"address": str(book.endpoint(self.name, viewer=viewer))}


SENTRY_PORTS = ("main", "health", "metrics")


def sentry_address(book: Book, viewer: str) -> str:
    """Where a node asks for its certificate, which makes sentry a need of it."""
    return book.fill("${sentry.address}", f"mTLS of {viewer}", viewer)


def _watched(health: Endpoint, metrics: Endpoint) -> tuple[str, ...]:
    """Where a service tells how it is."""
    return (
        f"--healthz-port={health.port}",
        f"--healthz-listen-address={health.host}",
        f"--metrics-port={metrics.port}",
        f"--metrics-listen-address={metrics.host}",
    )


def _tls_flags(book: Book, node: str) -> tuple[str, ...]:
    if not book.topology.mtls:
        return ()
    return (
        "--tls-enabled",
        f"--trust-anchors-file={book.home(node) / ANCHORS}",
        f"--sentry-address={sentry_address(book, node)}",
    )


def _anchors(book: Book) -> dict[str, str]:
    return {ANCHORS: book.authority().anchors} if book.topology.mtls else {}
