"""Placeholders in the texts of a topology: ``${node.key}``, and ``${secret.key}``.

The latter is a random secret of the stack, the same wherever it is referred to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from harness.core.errors import ConfigError, did_you_mean

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
RESERVED = "secret"
"""The name that no node may have, because it stands for the secrets of the stack."""


def placeholders(text: str) -> Iterator[tuple[str, str]]:
    """The ``(node, key)`` pairs of the ``${node.key}`` placeholders in a text."""
    for match in _PLACEHOLDER.finditer(text):
        node, _, key = match.group(1).partition(".")
        yield node.strip(), key.strip()


def nodes_in(text: str) -> Iterator[str]:
    """The nodes that the placeholders in a text refer to."""
    return (node for node, _ in placeholders(text) if node != RESERVED)


def purpose_of(key: str) -> str:
    """The purpose of the token for which ``${secret.key}`` stands."""
    return f"{key}-{RESERVED}"


def fill(text: str, exports: Mapping[str, Mapping[str, str]], where: str) -> str:
    """Replace each ``${node.key}`` in a text.

    Raises:
        ConfigError: a placeholder names an unknown node or key.
    """

    def value(match: re.Match[str]) -> str:
        node, _, key = match.group(1).partition(".")
        known = [f"{name}.{each}" for name, values in exports.items() for each in values]
        try:
            return exports[node.strip()][key.strip()]
        except KeyError:
            raise ConfigError(
                f"{where}: the placeholder {match.group(0)} names nothing in this topology",
                hint=did_you_mean(match.group(1), known),
            ) from None

    return _PLACEHOLDER.sub(value, text)
