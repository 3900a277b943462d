"""What the docs show can be used as it stands there."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

import harness
from harness.cli.commands import app
from tests.support import ROOT

EXAMPLES = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "apps.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_docs_is_a_valid_description(text: str) -> None:
    """Every argument is there, and the nodes make a topology."""
    made = eval(text, {name: getattr(harness, name) for name in harness.__all__})

    assert isinstance(made if isinstance(made, harness.Topology) else harness.Topology(made),
                      harness.Topology)  # fmt: skip


COMMANDS = re.findall(r"^dapr-harness (.+)$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_docs_is_accepted(line: str) -> None:
    """The command is there, with these arguments and options."""
    command: Any = typer.main.get_command(app)
    name, *words = "dapr-harness", *shlex.split(line)
    while isinstance(command, TyperGroup):
        name, *words = words
        assert name in command.commands
        command = command.commands[name]

    assert command.make_context(name, list(words)).params


def test_the_docs_have_an_example_of_each() -> None:
    """Processes, protocols, health, order, reload, debugging."""
    shown = "\n".join(EXAMPLES)
    wanted = ("Process(", "app-protocol", "health=", "after_sidecar=", "--reload", "debugpy")

    assert [] == [word for word in wanted if word not in shown]
