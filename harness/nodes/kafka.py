"""An Apache Kafka broker: one KRaft node."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from harness.launch import Launch
from harness.nodes.broker import KafkaProtocol
from harness.provision.kafka import Listeners, broker_command, properties, settings_of
from harness.provision.versions import KAFKA_DATA
from harness.topology import NETWORK, Book


@dataclass(frozen=True, init=False)
class Kafka(KafkaProtocol):
    """An Apache Kafka broker with its topics."""

    default_name = "kafka"
    tools = ("kafka",)

    def plan(self, book: Book) -> Launch:
        """The broker on a copy of a formatted data folder; in a container, on the image's own."""
        return self._container(book) if book.inside(self.name) else self._process(book)

    def _container(self, book: Book) -> Launch:
        bind, network = (book.listen(self.name, port) for port in ("main", "network"))
        controller = book.listen(self.name, "controller")
        told = book.endpoint(self.name, "network", viewer=NETWORK)
        listeners = Listeners(
            bind.host, str(book.endpoint(self.name)), controller.port, network=str(told)
        )
        rows = settings_of(listeners, KAFKA_DATA) | self.properties
        return Launch(
            name=self.name,
            argv=(),
            # Properties as variables, as in the official image; the local one reads them too.
            env={f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in rows.items()},
            image="kafka",
            ports=(bind.port, network.port, controller.port),
            internal=(network.port, controller.port),
            end_signal=signal.SIGKILL,
            grace=10.0,
        )

    def _process(self, book: Book) -> Launch:
        client, controller = book.listen(self.name), book.listen(self.name, "controller")
        kafka, home = book.tools.path("kafka"), book.home(self.name)
        listeners = Listeners(client.host, str(client), controller.port)
        rows = settings_of(listeners, home / "data") | self.properties
        command = broker_command(book.tools.path("java"), kafka, home / "server.properties")
        return Launch(
            name=self.name,
            argv=tuple(command),
            ports=(client.port, controller.port),
            folders={"data": kafka / "data"},
            files={"server.properties": properties(rows)},
            end_signal=signal.SIGKILL,
            grace=10.0,
        )
