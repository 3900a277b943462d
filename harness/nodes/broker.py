"""The common part of brokers with Kafka's protocol, and the target between them."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.deadline import Check
from harness.core.errors import ConfigError, LaunchError
from harness.core.launch import Launch
from harness.core.node import Node, Scope, Target
from harness.nodes.base import BaseNode, main_port
from harness.ready.kafka import BrokerCheck, TopicsCheck, admin_of

KINDS = ("auto", "kafka", "redpanda")


@dataclass(frozen=True, init=False)
class KafkaProtocol(BaseNode, ABC):
    """A broker with its topics.

    Args:
        topics: the topics to create before anything is published, each as ``name`` with the
            default number of partitions, or as ``name:partitions``.
        partitions: the default number of partitions.
        name: the node's name, by default its kind in lower case; it exports ``<name>.brokers``.
        port: a fixed port for clients on this machine.
        auto_create: whether topics are created when a client uses them; off, so that a misspelled
            name is an error. Always on where the harness does not create topics.
    """

    default_name: ClassVar[str]

    name: str
    topics: tuple[tuple[str, int], ...]
    port: int | None
    auto_create: bool

    def __init__(
        self,
        topics: Sequence[str] = (),
        *,
        partitions: int = 1,
        name: str = "",
        port: int | None = None,
        auto_create: bool = False,
    ) -> None:
        object.__setattr__(self, "name", name or self.default_name)
        object.__setattr__(self, "port", port)
        object.__setattr__(self, "topics", tuple(_topic(each, partitions) for each in topics))
        object.__setattr__(self, "auto_create", auto_create)

    @property
    def fixed_ports(self) -> Mapping[str, int]:  # type: ignore[override]  # derived, not stored
        """Its port, if it is fixed."""
        return main_port(self.port)

    @property
    def most_partitions(self) -> int:
        """The maximum over all topics; also used for automatically created ones."""
        return max((count for _, count in self.topics), default=1)

    def resolve(self, target: Target) -> Node:
        """Enables automatic topics if the system must run without the harness."""
        made = copy.copy(self)
        object.__setattr__(made, "auto_create", self.auto_create or target.alone)
        return made

    @property
    def properties(self) -> dict[str, str]:
        """Kafka's properties for the automatic creation of topics."""
        if not self.auto_create:
            return {}
        return {
            "auto.create.topics.enable": "true",
            "num.partitions": str(self.most_partitions),
        }

    @abstractmethod
    def plan(self, scope: Scope) -> Launch:
        """What to launch."""

    def checks(self, scope: Scope) -> Sequence[Check]:
        """It answers a metadata request."""
        return (BrokerCheck(str(scope.endpoint())),)

    def initialize(self, scope: Scope) -> None:
        """Create the topics, so that nothing depends on auto-creation.

        Raises:
            LaunchError: the broker rejected one.
        """
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        if not self.topics:
            return
        wanted = [NewTopic(name, parts, 1) for name, parts in self.topics]
        admin = admin_of(str(scope.endpoint()))  # a name: the futures die with it
        for name, future in admin.create_topics(wanted).items():
            try:
                future.result(20)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise LaunchError(f"topic {name} was refused", last=str(error)) from None

    def post_checks(self, scope: Scope) -> Sequence[Check]:
        """Each partition has its leader."""
        names = [name for name, _ in self.topics]
        return (TopicsCheck(str(scope.endpoint()), names),)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``brokers``: the bootstrap address that gives this viewer addresses it can reach."""
        port = "network" if scope.viewer_in_container else "main"
        return {"brokers": str(scope.endpoint(port))}


@dataclass(frozen=True, init=False)
class Broker(KafkaProtocol):
    """Kafka or Redpanda, depending on the runtime: Redpanda in containers, Kafka as a process.

    The setting ``broker`` (``kafka`` or ``redpanda``) overrides this; with ``redpanda``, the stack
    runs in containers. The arguments are those of `Kafka`; it exports ``broker.brokers``.
    """

    default_name = "broker"

    def resolve(self, target: Target) -> Node:
        """The chosen broker, under this node's name."""
        from harness.nodes.kafka import Kafka
        from harness.nodes.redpanda import Redpanda

        fitting = "redpanda" if target.runtime == "containers" else "kafka"
        wanted = fitting if target.broker == "auto" else target.broker
        kind = {"kafka": Kafka, "redpanda": Redpanda}[wanted]
        topics = [f"{name}:{count}" for name, count in self.topics]
        made = kind(topics, name=self.name, port=self.port, auto_create=self.auto_create)
        return made.resolve(target)

    def plan(self, scope: Scope) -> Launch:
        """Never called: `resolve` has replaced this node."""
        raise ConfigError(
            f"broker {self.name!r} was not resolved", hint="use harness.running(topology)"
        )


def _topic(text: str, default: int) -> tuple[str, int]:
    name, _, count = text.partition(":")
    if not name or (count and not count.isdigit()):
        raise ConfigError(
            f"{text!r} is not a topic", expected="`name` or `name:partitions`", hint="fix topics="
        )
    return name, int(count or default)
