"""One node of a stack that is up: what was started, and with which variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.core.as_json import AsJson
from harness.core.masking import MASK, is_secret, masked_value
from harness.inspection.looking import Looking
from harness.inspection.model import NodeRow
from harness.inspection.nodes import require_instance


@dataclass(frozen=True)
class Variable(AsJson):
    """A variable of a node's environment.

    Attributes:
        value: without secrets.
        masked: whether something in it was replaced.
    """

    name: str
    value: str
    masked: bool


@dataclass(frozen=True)
class NodeDetail(AsJson):
    """What is known of a node.

    Attributes:
        pid: of its process; 0 if there is none.
        command: program and arguments, without secrets; empty if an image has its own.
        variables: those that the stack gives it, by name; it may inherit others from whoever has
            started the stack.
        log: the file of its log.
    """

    row: NodeRow
    pid: int
    command: Sequence[str]
    variables: Sequence[Variable]
    log: str


class Describing(Looking):
    """What may be seen of the nodes of a stack that is up."""

    def node(self, name: str) -> NodeDetail:
        """What is known of a node, with secrets masked.

        Args:
            name: the node's.

        Raises:
            ConfigError: there is no such node.
        """
        rows = {each.name: each for each in self.nodes()}
        instance = require_instance(self._stack, name)
        launch = self._stack.launch(name)
        given = {**launch.env, **launch.prepended}
        return NodeDetail(
            rows[name],
            instance.pid,
            arguments(launch.argv, self.clean),
            variables(given, self.clean),
            str(instance.log),
        )


def variables(given: Mapping[str, str], clean: Callable[[str], str]) -> list[Variable]:
    """Variables by name, without secrets: those of the stack, and those whose names tell.

    Args:
        given: the values.
        clean: masks the secrets of the stack.
    """
    shown = {name: masked_value(name, clean(value)) for name, value in given.items()}
    return [
        Variable(name, shown[name], shown[name] != value) for name, value in sorted(given.items())
    ]


def arguments(argv: Sequence[str], clean: Callable[[str], str]) -> list[str]:
    """A command without secrets: also the value after ``--password``, or in ``--token=...``."""
    found: list[str] = []
    for each in map(clean, argv):
        name, equals, value = each.partition("=")
        before = found[-1] if found else ""
        if before.startswith("-") and "=" not in before and is_secret(before.lstrip("-")):
            found.append(MASK)
        elif each.startswith("-") and equals:
            found.append(f"{name}={masked_value(name.lstrip('-'), value)}")
        else:
            found.append(masked_value("", each))
    return found
