"""Dapr's control plane on one machine: placement and scheduler."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from harness.deadline import Check
from harness.endpoint import LOOPBACK
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.ready.http import HttpCheck
from harness.topology import NETWORK, Book


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
                f"--healthz-port={health.port}",
                f"--healthz-listen-address={health.host}",
                f"--metrics-port={metrics.port}",
                f"--metrics-listen-address={metrics.host}",
            ),
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
        return Launch(
            name=self.name,
            # pflag without the rewriting of single dashes: every flag needs two.
            argv=(
                str(book.tools.path("scheduler")),
                "--id=s0",
                f"--etcd-initial-cluster=s0=http://{LOOPBACK}:{peer.port}",
                f"--etcd-client-port={client.port}",
                f"--etcd-data-dir={home / 'etcd'}",
                "--etcd-initial-election-tick-advance=true",
                f"--identity-directory-write={home / 'identity'}",
                f"--port={api.port}",
                f"--listen-address={api.host}",
                f"--override-broadcast-host-port={broadcast}",
                f"--healthz-port={health.port}",
                f"--healthz-listen-address={health.host}",
                f"--metrics-port={metrics.port}",
                f"--metrics-listen-address={metrics.host}",
            ),
            image="scheduler",
            ports=(api.port, peer.port, client.port, health.port, metrics.port),
            internal=(api.port, peer.port, client.port, metrics.port),
            # Its own way down can hang in 1.18.2; fixed in 1.18.3.
            end_signal=signal.SIGKILL,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """``/healthz`` is 200."""
        return (HttpCheck(f"{book.endpoint(self.name, 'health').http}/healthz", "health"),)
