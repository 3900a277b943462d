"""An Apache Kafka broker: one KRaft node."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from harness.core.launch import InContainer, Launch
from harness.core.node import Scope
from harness.nodes.broker import KafkaProtocol
from harness.provision.kafka import Listeners, broker_command, properties, settings_of
from harness.provision.versions import KAFKA_DATA


@dataclass(frozen=True, init=False)
class Kafka(KafkaProtocol):
    """An Apache Kafka broker with its topics."""

    default_name = "kafka"
    tools = ("kafka",)

    def plan(self, scope: Scope) -> Launch:
        """The broker on a copy of a formatted data folder; in a container, on the image's own."""
        return scope.pick(self._process, self._container)(scope)

    def _container(self, scope: Scope) -> Launch:
        bind, network = (scope.listen(port) for port in ("main", "network"))
        controller = scope.listen("controller")
        told = scope.network("network")
        listeners = Listeners(bind.host, str(scope.published()), controller.port, network=str(told))
        rows = settings_of(listeners, KAFKA_DATA) | self.properties
        return Launch(
            name=self.name,
            argv=(),
            # Properties as variables, as in the official image; the local one reads them too.
            env={f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in rows.items()},
            ports={"main": bind.port, "network": network.port, "controller": controller.port},
            container=InContainer("kafka", internal=("network", "controller")),
            end_signal=signal.SIGKILL,
            grace=10.0,
        )

    def _process(self, scope: Scope) -> Launch:
        client, controller = scope.listen(), scope.listen("controller")
        kafka, home = scope.tool("kafka"), scope.home
        listeners = Listeners(client.host, str(client), controller.port)
        rows = settings_of(listeners, home / "data") | self.properties
        command = broker_command(scope.tool("java"), kafka, home / "server.properties")
        return Launch(
            name=self.name,
            argv=tuple(command),
            ports={"main": client.port, "controller": controller.port},
            folders={"data": kafka / "data"},
            files={"server.properties": properties(rows)},
            end_signal=signal.SIGKILL,
            grace=10.0,
        )
