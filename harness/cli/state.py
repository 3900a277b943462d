"""The running stacks, for a command; reports problems with their state files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import err
from harness.core.errors import ConfigError
from harness.core.settings import Settings
from harness.render.compose.given import compose_file
from harness.stack.registry import Registry, UpStack


def opened(settings: Settings) -> Registry:
    """The registry, after a warning for each state file that cannot be read."""
    registry = Registry(settings.state_dir)
    for each in registry.damaged():
        err.print(f"warning: {each}", soft_wrap=True, markup=False)
    return registry


InCluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="kube:[CONTEXT[/NAMESPACE]]",
        help="Start it in a cluster of your kubeconfig that has Dapr; without a namespace, one is "
        "created and removed.",
    ),
]


@contextmanager
def stack_up(name: str) -> Iterator[UpStack]:
    """What is known of a stack that is up, by its name or by a compose file.

    Raises:
        ConfigError: there is none.
    """
    from harness.inspection.opening import recorded  # only here: it takes a tenth of a second

    settings = Settings.load()
    opened(settings)
    with recorded(name, settings) as found:
        yield found


def started(registry: Registry, name: str, command: str, instead: str) -> UpStack:
    """A stack that `up` has started, for a command that no compose project can be given to.

    Args:
        registry: the running stacks.
        name: what the user has given.
        command: its name, for the message.
        instead: what to do with a compose project.

    Raises:
        ConfigError: it is a compose file, or no stack of this name is up.
    """
    if compose_file(name, Path.cwd()):
        raise ConfigError(
            f"`dapr-harness {command}` knows only stacks that `up` has started",
            last=f"{name} is a compose file",
            hint=instead,
        )
    return registry.require(name)
