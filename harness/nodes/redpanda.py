"""A Redpanda broker: one node in development mode. It runs in containers only."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from harness.core.errors import ConfigError
from harness.core.launch import InContainer, Launch
from harness.core.node import Node, Scope, Target
from harness.nodes.broker import KafkaProtocol

PORTS = ("main", "network", "rpc", "admin", "schemas", "proxy")


@dataclass(frozen=True, init=False)
class Redpanda(KafkaProtocol):
    """A Redpanda broker with its topics."""

    default_name = "redpanda"
    tools = ("redpanda",)
    container_only = True

    def resolve(self, target: Target) -> Node:
        """Itself.

        Raises:
            ConfigError: it was to require credentials.
        """
        if self.sasl:
            raise ConfigError(
                f"Redpanda {self.name!r} with sasl= is not supported",
                expected="Kafka where clients must authenticate",
                hint="use Kafka(sasl=...), or Broker(sasl=...) without the setting broker=redpanda",
            )
        return super().resolve(target)

    def plan(self, scope: Scope) -> Launch:
        """``redpanda start`` with two listeners: one for the machine, one for the network.

        ``--mode dev-container`` creates topics automatically, does not delay rebalances and does
        not sync; it also raises ``fetch_reads_debounce_timeout`` to 10 ms, by which every delivery
        would be delayed.

        Raises:
            ConfigError: it was to sync.
        """
        if scope.durable:
            raise ConfigError(
                f"Redpanda {self.name!r} does not write to the disk before it acknowledges",
                expected="Kafka in a topology with durable=True",
                hint="use Kafka(...), or Broker(...) with the setting broker=kafka",
            )
        bind, network, rpc, admin, schemas, proxy = (scope.listen(p) for p in PORTS)
        told = scope.network("network")
        return Launch(
            name=self.name,
            argv=(
                "redpanda",
                "start",
                "--mode=dev-container",
                "--smp=1",
                "--memory=512M",
                f"--kafka-addr=host://{bind},network://{network}",
                f"--advertise-kafka-addr=host://{scope.published()},network://{told}",
                f"--rpc-addr={rpc}",
                f"--advertise-rpc-addr={told.host}:{rpc.port}",
                f"--schema-registry-addr={schemas}",
                f"--pandaproxy-addr={proxy}",
                f"--advertise-pandaproxy-addr={told.host}:{proxy.port}",
                f"--set=redpanda.admin=[{{address: {admin.host}, port: {admin.port}}}]",
                "--set=redpanda.fetch_reads_debounce_timeout=1",
                # Its minimum is 6000 ms; a sidecar with a lower sessionTimeout could not join.
                "--set=redpanda.group_min_session_timeout_ms=500",
                f"--set=redpanda.auto_create_topics_enabled={str(self.auto_create).lower()}",
                f"--set=redpanda.default_topic_partitions={self.most_partitions}",
            ),
            ports={port: scope.listen(port).port for port in PORTS},
            container=InContainer("redpanda", internal=("network", "rpc", "schemas", "proxy")),
            end_signal=signal.SIGKILL,
            grace=10.0,
        )
