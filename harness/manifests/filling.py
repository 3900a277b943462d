"""What takes the place of placeholders in a cluster, where the nodes of a topology do not run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.errors import ConfigError
from harness.core.node import Node
from harness.manifests.values import Values
from harness.nodes.broker import KafkaProtocol
from harness.nodes.kafka_security import SASL

DEFAULTS: Mapping[str, str] = {
    "brokers": "{node}:9092",
    "address": "{node}:6379",
    "host": "{node}",
    "port": "80",
    "smtp": "25",
    "url": "http://{node}",
}
"""The value of a placeholder's key in a cluster, unless the user configures another."""

_PLACEHOLDER = re.compile(r"\$\{([^}.]+)\.([^}]+)\}")
_NO_LETTER = re.compile(r"[^A-Z0-9]")


class Filling:
    """Replaces placeholders: addresses by values of the chart, credentials by keys of the Secret.

    Args:
        nodes: the nodes of the topology.
        values: where values come from.
    """

    def __init__(self, nodes: Sequence[Node], values: Values) -> None:
        self._values = values
        self._mechanisms = {
            node.name: node.sasl for node in nodes if isinstance(node, KafkaProtocol) and node.sasl
        }

    def fill(self, value: Any) -> Any:
        """The same, with each placeholder replaced.

        Raises:
            ConfigError: only the stack knows the value of one.
        """
        if isinstance(value, dict):
            return {key: self.fill(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, str):
            return _PLACEHOLDER.sub(self._value, value)
        return value

    def secret_key(self, item: Mapping[str, Any]) -> str:
        """The key of the Secret with the value of a component's field; "" if it is not there.

        Args:
            item: the field, as the component has it.
        """
        reference, found = item.get("secretKeyRef"), _PLACEHOLDER.fullmatch(str(item.get("value")))
        if isinstance(reference, dict):
            # Colons, which separate levels in a file, are not allowed.
            return str(reference["key"]).replace(":", ".")
        if found is None or self._default(*_names(found)) is not None:
            return ""
        return _NO_LETTER.sub("_", "_".join(_names(found)).upper())

    def _value(self, match: re.Match[str]) -> str:
        node, key = _names(match)
        default = self._default(node, key)
        if default is None:
            raise ConfigError(
                f"{match[0]} has no value in a cluster",
                expected=f"one of the keys {', '.join(DEFAULTS)}",
                hint="a field of a component may consist of it: it is then a key of the Secret",
            )
        return str(self._values.get(node, key, default=default))

    def _default(self, node: str, key: str) -> str | None:
        """The value that a broker is expected to have; None if only the installation knows it."""
        if mechanism := self._mechanisms.get(node):
            known = {"mechanism": mechanism, "saslMechanism": SASL[mechanism]}
            if key in known:
                return known[key]
        return DEFAULTS[key].format(node=node) if key in DEFAULTS else None


def _names(match: re.Match[str]) -> tuple[str, str]:
    return match[1].strip(), match[2].strip()
