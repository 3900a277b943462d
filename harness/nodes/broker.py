"""The common part of brokers with Kafka's protocol, and the target between them."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.deadline import Check
from harness.core.errors import ConfigError, LaunchError
from harness.core.kafka_access import Brokers, access_of
from harness.core.launch import Launch
from harness.core.node import Node, Scope, Target
from harness.core.roles import Part, SidecarRole
from harness.nodes.base import BaseNode, main_port
from harness.nodes.kafka_parts import delete_named
from harness.nodes.kafka_security import Security
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
        sasl: the mechanism with which clients must authenticate: ``PLAIN``, ``SCRAM-SHA-256`` or
            ``SCRAM-SHA-512``; "" for none. It then exports ``<name>.username``, ``.password``, and
            ``.saslMechanism`` as a Dapr component names it.
        tls: whether their connections are encrypted, with a certificate of the stack's own
            authority; ``<name>.authority`` is its root certificate. It needs ``sasl``.
    """

    default_name: ClassVar[str]

    name: str
    topics: tuple[tuple[str, int], ...]
    port: int | None
    auto_create: bool
    sasl: str
    tls: bool

    def __init__(
        self,
        topics: Sequence[str] = (),
        *,
        partitions: int = 1,
        name: str = "",
        port: int | None = None,
        auto_create: bool = False,
        sasl: str = "",
        tls: bool = False,
    ) -> None:
        object.__setattr__(self, "name", name or self.default_name)
        object.__setattr__(self, "port", port)
        object.__setattr__(self, "topics", tuple(_topic(each, partitions) for each in topics))
        object.__setattr__(self, "auto_create", auto_create)
        object.__setattr__(self, "sasl", sasl)
        object.__setattr__(self, "tls", tls)
        Security(self.name, sasl, tls)  # checks them

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
        if target.alone and (self.tls or self.security.scram):
            raise ConfigError(
                f"broker {self.name!r} with {'TLS' if self.tls else self.sasl} needs the harness, "
                "which creates its certificate and its users",
                expected='sasl="PLAIN" without TLS in a rendered system',
                hint="render a topology without them; `dapr-harness up` starts one with them",
            )
        made = copy.copy(self)
        object.__setattr__(made, "auto_create", self.auto_create or target.alone)
        return made

    def seen_in(self, namespace: str) -> Node:
        """With the topics as daprd names them for sidecars of a namespace."""
        made = copy.copy(self)
        topics = tuple((namespace + name, count) for name, count in self.topics)
        object.__setattr__(made, "topics", topics)
        return made

    def divides(self, user: Node, keys: Collection[str]) -> bool:
        """daprd puts the namespace before the names of topics; other clients do not."""
        return isinstance(user, SidecarRole)

    def leave(self, scope: Scope, part: Part) -> None:
        """Delete the topics and consumer groups whose names begin with the namespace."""
        delete_named(self.access(scope), part.namespace)

    @property
    def security(self) -> Security:
        """What it requires of its clients."""
        return Security(self.name, self.sasl, self.tls)

    def access(self, scope: Scope) -> Brokers:
        """How a viewer connects to it."""
        return access_of(self.exports(scope))

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
        if self.security.scram:
            return (BrokerCheck(self.security.own_access(scope)),)
        return (BrokerCheck(self.access(scope)),)

    def initialize(self, scope: Scope) -> None:
        """Create the user and the topics, so that nothing depends on auto-creation.

        Raises:
            LaunchError: the broker rejected one.
        """
        from confluent_kafka import KafkaException

        try:
            self.security.create_user(scope)
        except KafkaException as error:
            raise LaunchError(f"the user of {self.name} was refused", last=str(error)) from None
        if self.topics:
            self._create_topics(scope)

    def _create_topics(self, scope: Scope) -> None:
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        wanted = [NewTopic(name, parts, 1) for name, parts in self.topics]
        admin = admin_of(self.access(scope))  # a name: the futures die with it
        for name, future in admin.create_topics(wanted).items():
            try:
                future.result(20)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise LaunchError(f"topic {name} was refused", last=str(error)) from None

    def post_checks(self, scope: Scope) -> Sequence[Check]:
        """Each partition has its leader."""
        names = [name for name, _ in self.topics]
        return (TopicsCheck(self.access(scope), names),)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``brokers``: the bootstrap address that gives this viewer addresses it can reach; and
        what it requires of clients."""
        port = "network" if scope.viewer_in_container else "main"
        found = {"brokers": str(scope.endpoint(port))}
        return {**found, **self.security.exports(scope)} if self.sasl else found


@dataclass(frozen=True, init=False)
class Broker(KafkaProtocol):
    """Kafka or Redpanda, depending on the runtime: Redpanda in containers, Kafka as a process.

    The setting ``broker`` (``kafka`` or ``redpanda``) overrides this; with ``redpanda``, the stack
    runs in containers. With ``sasl``, it is Kafka everywhere. The arguments are those of `Kafka`;
    it exports ``broker.brokers``.
    """

    default_name = "broker"

    def resolve(self, target: Target) -> Node:
        """The chosen broker, under this node's name."""
        from harness.nodes.kafka import Kafka
        from harness.nodes.redpanda import Redpanda

        fitting = "redpanda" if target.runtime == "containers" and not self.sasl else "kafka"
        wanted = fitting if target.broker == "auto" or self._alone(target) else target.broker
        kind = {"kafka": Kafka, "redpanda": Redpanda}[wanted]
        topics = [f"{name}:{count}" for name, count in self.topics]
        made = kind(
            topics,
            name=self.name,
            port=self.port,
            auto_create=self.auto_create,
            sasl=self.sasl,
            tls=self.tls,
        )
        return made.resolve(target)

    def _alone(self, target: Target) -> bool:
        """Whether a rendered system has no variant with Redpanda."""
        return target.alone and bool(self.sasl)

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
