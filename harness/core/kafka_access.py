"""How clients of the harness connect to a broker with Kafka's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class KafkaAccess:
    """The addresses of a broker, and what it requires of its clients.

    Its text is the addresses, so that no message contains the password.

    Attributes:
        brokers: the bootstrap addresses, separated by commas.
        mechanism: ``PLAIN``, ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``; "" without credentials.
        username: the user's name.
        password: the user's password.
        tls: whether connections are encrypted.
        authority: the root certificate that signs the broker's, as PEM; "" for the machine's own.
        verify: whether the broker's certificate is checked.
    """

    brokers: str
    mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    authority: str = field(default="", repr=False)
    verify: bool = True

    def __str__(self) -> str:
        return self.brokers

    def settings(self) -> dict[str, str]:
        """The connection settings of librdkafka."""
        found = {"bootstrap.servers": self.brokers}
        if not self.mechanism:
            return found
        found |= {
            "security.protocol": "SASL_SSL" if self.tls else "SASL_PLAINTEXT",
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
        }
        if self.tls and self.authority:
            found["ssl.ca.pem"] = self.authority
        if self.tls and not self.verify:
            found["enable.ssl.certificate.verification"] = "false"
        return found


Brokers = str | KafkaAccess
"""Bootstrap addresses, with credentials where the broker requires them."""


def client_settings(brokers: Brokers) -> dict[str, str]:
    """The settings with which librdkafka connects."""
    access = brokers if isinstance(brokers, KafkaAccess) else KafkaAccess(brokers)
    return access.settings()


def access_of(exports: Mapping[str, str]) -> Brokers:
    """How to connect to a node, by the values that it exports; "" if it exports no ``brokers``."""
    brokers = exports.get("brokers", "")
    if not exports.get("mechanism"):
        return brokers
    authority = exports.get("authority", "")
    return KafkaAccess(
        brokers,
        exports["mechanism"],
        exports.get("username", ""),
        exports.get("password", ""),
        bool(authority),
        authority,
    )


def moved(brokers: Brokers, address: str) -> Brokers:
    """The same broker as it is seen from elsewhere."""
    if isinstance(brokers, str):
        return address
    return KafkaAccess(**{**vars(brokers), "brokers": address})
