"""``up --external``: what a person needs to start an app by hand, in a debugger."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from harness.cli.console import err
from harness.core.errors import ConfigError
from harness.core.files import write_private
from harness.core.journal import Entry
from harness.core.launch import Launch

_PLAIN = re.compile(r"[\w./:@%+=,-]*", re.ASCII)

PATIENCE = 600.0
"""Seconds for which the stack waits for an app that is started by hand."""


class Announcing:
    """Shows how to start each external app when it is that app's turn.

    Args:
        others: also receives each journal entry.
        env_file: where the environment is written; if None, it is printed.
    """

    def __init__(self, others: Callable[[Entry], None], env_file: Path | None) -> None:
        self._others = others
        self._env_file = env_file
        self.launch: Callable[[str], Launch] | None = None

    def __call__(self, entry: Entry) -> None:
        """Receive a journal entry."""
        self._others(entry)
        if entry.kind == "node.awaited" and self.launch is not None:
            launch = self.launch(entry.node)
            # The control plane of an existing cluster is awaited, too.
            if launch.under_test:
                announce(launch, self._env_file)


def announce(launch: Launch, env_file: Path | None) -> None:
    """Show how to start an app.

    Raises:
        ConfigError: the file cannot be written.
    """
    say = [f"waiting for {launch.name}; start it with: {shlex.join(launch.argv)}"]
    say.append(f"  in the folder {launch.process.cwd}, listening on port {launch.ports['main']}")
    environment = launch.environment({})
    if env_file is None:
        say += ["  with this environment (--env-file writes it to a file):"]
        say += [f"    {name}={shlex.quote(value)}" for name, value in environment.items()]
    else:
        _write(
            env_file, "".join(f"{name}={quoted(value)}\n" for name, value in environment.items())
        )
        say += [f"  with the environment in {env_file}"]
    err.print("\n".join(say), markup=False, soft_wrap=True)


def quoted(value: str) -> str:
    """A value as ``.env`` files have it.

    Debuggers, python-dotenv and shells read the result alike, except that shells do not read a
    ``$`` or a backtick together with a single quote or a backslash.
    """
    # python-dotenv's own writer does not escape backslashes, so not even it reads them back.
    if _PLAIN.fullmatch(value):
        return value
    if not set("'\\") & set(value):
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\")
    if not set("$`") & set(value):
        return '"' + escaped.replace('"', '\\"') + '"'
    return "'" + escaped.replace("'", "\\'") + "'"


def _write(file: Path, text: str) -> None:
    try:
        write_private(file, text)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written", last=str(error), hint="choose another --env-file"
        ) from None
