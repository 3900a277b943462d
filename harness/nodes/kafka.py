"""An Apache Kafka broker: one KRaft node."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.deadline import Check
from harness.errors import ConfigError, LaunchError
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.provision.kafka import broker_command, properties
from harness.ready.kafka import BrokerCheck, TopicsCheck, admin_of
from harness.topology import Book


@dataclass(frozen=True, init=False)
class Kafka(Plain):
    """A broker with its topics.

    Args:
        topics: names of the topics to create before anything publishes, each with the default
            number of partitions, or ``name:partitions``.
        partitions: the default number of partitions.
        name: the node's name; it exports ``<name>.brokers``.
    """

    tools = ("java", "kafka")

    name: str
    topics: tuple[tuple[str, int], ...]
    port: int | None

    def __init__(
        self,
        topics: Sequence[str] = (),
        *,
        partitions: int = 1,
        name: str = "kafka",
        port: int | None = None,
    ) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "port", port)
        object.__setattr__(self, "topics", tuple(_topic(each, partitions) for each in topics))

    def plan(self, book: Book) -> Launch:
        """The broker on a copy of a formatted data folder."""
        client = book.endpoint(self.name, wanted=self.port)
        controller = book.endpoint(self.name, "controller")
        folder = book.folder(self.name)
        kafka = book.tools.path("kafka")
        config = properties(client.port, controller.port, folder / "data")
        command = broker_command(book.tools.path("java"), kafka, folder / "server.properties")
        return Launch(
            name=self.name,
            argv=tuple(command),
            ports=(client.port, controller.port),
            folders={"data": kafka / "data"},
            files={"server.properties": config},
            end_signal=signal.SIGKILL,
            grace=10.0,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """It answers a metadata request."""
        return (BrokerCheck(str(book.endpoint(self.name))),)

    def provide(self, book: Book) -> None:
        """Create the topics, so that nobody waits for auto-creation.

        Raises:
            LaunchError: the broker refused one.
        """
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        if not self.topics:
            return
        wanted = [NewTopic(name, parts, 1) for name, parts in self.topics]
        admin = admin_of(str(book.endpoint(self.name)))  # a name: the futures die with it
        for name, future in admin.create_topics(wanted).items():
            try:
                future.result(20)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise LaunchError(f"topic {name} was refused", last=str(error)) from None

    def confirms(self, book: Book) -> Sequence[Check]:
        """Each partition has its leader."""
        names = [name for name, _ in self.topics]
        return (TopicsCheck(str(book.endpoint(self.name)), names),)

    def exports(self, book: Book) -> Mapping[str, str]:
        """``brokers``."""
        return {"brokers": str(book.endpoint(self.name))}


def _topic(text: str, default: int) -> tuple[str, int]:
    name, _, count = text.partition(":")
    if not name or (count and not count.isdigit()):
        raise ConfigError(
            f"{text!r} is not a topic", expected="`name` or `name:partitions`", hint="fix topics="
        )
    return name, int(count or default)
