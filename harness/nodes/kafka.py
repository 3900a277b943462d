"""An Apache Kafka broker: one KRaft node."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from harness.core.launch import InContainer, Launch
from harness.core.node import Scope
from harness.nodes.broker import KafkaProtocol
from harness.nodes.certificates import TLS_FILE, hosts_of
from harness.nodes.kafka_security import ADMIN
from harness.provision.authority import server_pem
from harness.provision.kafka import Listeners, broker_command, properties, settings_of
from harness.provision.versions import KAFKA_DATA

DURABLE = {"log.flush.interval.messages": "1"}
"""With `Topology(durable=True)`; by default, Kafka leaves it to the kernel when to write."""


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
        own = self._own_port(scope)
        listeners = Listeners(
            bind.host, str(scope.published()), controller.port, network=str(told), admin=own.told
        )
        rows = self._rows(scope, listeners, KAFKA_DATA)
        hidden = ("network", "controller", *(() if self.security.scram else own.ports))
        return Launch(
            name=self.name,
            argv=(),
            # Properties as variables, as in the official image; the local one reads them too.
            env={_variable(key): value for key, value in rows.items()},
            ports={
                "main": bind.port,
                "network": network.port,
                "controller": controller.port,
                **own.ports,
            },
            files=self._files(scope, ("main", "network")),
            container=InContainer("kafka", internal=hidden),
            end_signal=signal.SIGKILL,
            grace=10.0,
        )

    def _process(self, scope: Scope) -> Launch:
        client, controller = scope.listen(), scope.listen("controller")
        kafka, home = scope.tool("kafka"), scope.home
        own = self._own_port(scope)
        listeners = Listeners(client.host, str(client), controller.port, admin=own.told)
        rows = self._rows(scope, listeners, home / "data")
        command = broker_command(scope.tool("java"), kafka, home / "server.properties")
        return Launch(
            name=self.name,
            argv=tuple(command),
            ports={"main": client.port, "controller": controller.port, **own.ports},
            folders={"data": kafka / "data"},
            files={"server.properties": properties(rows), **self._files(scope, ("main",))},
            end_signal=signal.SIGKILL,
            grace=10.0,
        )

    def _own_port(self, scope: Scope) -> _OwnPort:
        """The port of the broker's own connections; without credentials, it needs none."""
        if not self.sasl:
            return _OwnPort("", {})
        return _OwnPort(str(scope.published(ADMIN)), {ADMIN: scope.listen(ADMIN).port})

    def _rows(self, scope: Scope, listeners: Listeners, data: PurePath) -> dict[str, str]:
        rows = settings_of(listeners, data) | (DURABLE if scope.durable else {})
        if self.sasl:
            rows = self.security.rows(scope, rows, scope.home / TLS_FILE)
        return rows | self.properties

    def _files(self, scope: Scope, ports: Sequence[str]) -> dict[str, str]:
        if not self.tls:
            return {}
        return {TLS_FILE: server_pem(scope.authority(), hosts_of(scope, ports))}


@dataclass(frozen=True)
class _OwnPort:
    told: str
    ports: Mapping[str, int]


def _variable(key: str) -> str:
    """The variable of a property, as the official image reads it."""
    return f"KAFKA_{key.upper().replace('-', '___').replace('.', '_')}"
