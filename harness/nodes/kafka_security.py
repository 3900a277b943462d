"""What makes a Kafka broker require credentials of its clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from harness.core.errors import ConfigError
from harness.core.kafka_access import KafkaAccess
from harness.core.node import Scope
from harness.ready.kafka import admin_of

SASL = {"PLAIN": "PLAINTEXT", "SCRAM-SHA-256": "SHA-256", "SCRAM-SHA-512": "SHA-512"}
"""Kafka's mechanisms, and how a Dapr component names them."""

USER = "dapr"
ADMIN = "admin"
"""The user and the port of the broker's own connections, and of the creation of other users."""

PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class Security:
    """The credentials of one broker.

    Attributes:
        node: its name.
        sasl: the mechanism that clients must use.
        tls: whether their connections are encrypted.
    """

    node: str
    sasl: str
    tls: bool

    def __post_init__(self) -> None:
        if self.sasl and self.sasl not in SASL:
            raise ConfigError(
                f"Kafka(sasl={self.sasl!r}) of {self.node!r} is not a mechanism",
                expected=" or ".join(SASL),
                hint="a component names them PLAINTEXT, SHA-256 and SHA-512",
            )
        if self.tls and not self.sasl:
            raise ConfigError(
                f"Kafka(tls=True) of {self.node!r} has no sasl=",
                last="daprd uses no TLS with a component whose authType is none",
                hint='use Kafka(sasl="SCRAM-SHA-512", tls=True)',
            )

    @property
    def scram(self) -> bool:
        """Whether its users are records of the broker, which a client creates."""
        return self.sasl.startswith("SCRAM")

    def password(self, scope: Scope) -> str:
        """The password of the clients."""
        return scope.token(self.node)

    def rows(self, scope: Scope, plain: Mapping[str, str], pem: PurePath) -> dict[str, str]:
        """The properties of a broker that requires credentials on every port.

        The broker's own connections, to itself and to its controller, have a password of their own.

        Args:
            scope: the broker's.
            plain: the properties of the same broker without credentials; with `ADMIN` as listener.
            pem: where its certificate and key are, if it uses TLS.
        """
        protocols = dict(row.split(":") for row in plain[PROTOCOLS].split(","))
        own, theirs = (ADMIN.upper(), "CONTROLLER"), "SASL_SSL" if self.tls else "SASL_PLAINTEXT"
        made = {name: "SASL_PLAINTEXT" if name in own else theirs for name in protocols}
        rows = {
            **plain,
            PROTOCOLS: ",".join(f"{name}:{protocol}" for name, protocol in made.items()),
            "inter.broker.listener.name": ADMIN.upper(),
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.mechanism.controller.protocol": "PLAIN",
        }
        for name in made:
            mechanism = "PLAIN" if name in own else self.sasl
            prefix = f"listener.name.{name.lower()}"
            rows[f"{prefix}.sasl.enabled.mechanisms"] = mechanism
            login = self._own_login(scope) if name in own else self._login(scope)
            rows[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = login
        if self.tls:
            rows |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(pem)}
        return rows

    def _own_login(self, scope: Scope) -> str:
        word = scope.token(f"{self.node}-admin")
        client = f'username="{ADMIN}" password="{word}"'
        return f'{PLAIN_LOGIN} required {client} user_{ADMIN}="{word}";'

    def _login(self, scope: Scope) -> str:
        if self.scram:
            return f"{SCRAM_LOGIN} required;"
        return f'{PLAIN_LOGIN} required user_{USER}="{self.password(scope)}";'

    def own_access(self, scope: Scope) -> KafkaAccess:
        """How the harness connects before there are users."""
        return KafkaAccess(
            str(scope.endpoint(ADMIN)), "PLAIN", ADMIN, scope.token(f"{self.node}-admin")
        )

    def create_user(self, scope: Scope) -> None:
        """Create the clients' user where users are records of the broker.

        Raises:
            KafkaException: the broker rejected it.
        """
        if not self.scram:
            return
        from confluent_kafka.admin import (
            ScramCredentialInfo,
            ScramMechanism,
            UserScramCredentialUpsertion,
        )

        admin = admin_of(self.own_access(scope))  # a name: the futures die with it
        mechanism = ScramMechanism[self.sasl.replace("-", "_")]
        made = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(mechanism, 4096), self.password(scope).encode()
        )
        admin.alter_user_scram_credentials([made])[USER].result(20)

    def exports(self, scope: Scope) -> dict[str, str]:
        """What clients need besides the addresses."""
        found = {
            "username": USER,
            "password": self.password(scope),
            "mechanism": self.sasl,
            "saslMechanism": SASL[self.sasl],
        }
        return {**found, "authority": scope.authority().anchors} if self.tls else found


PROTOCOLS = "listener.security.protocol.map"
