"""Opens a stack that is up: one that `up` has started, or the one of a compose file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from harness.core.journal import Entry
from harness.core.settings import Settings
from harness.render.compose.given import compose_file, with_packages
from harness.stack.loading import load_topology
from harness.stack.registry import Registry, UpStack
from harness.stack.stack import Stack


class Opening(NamedTuple):
    """A stack that is up, in whatever state its nodes are.

    Attributes:
        stack: not entered yet.
        record: what is known of it once it was entered.
    """

    stack: Stack
    record: Callable[[], UpStack]


def opening(
    name: str = "default",
    settings: Settings | None = None,
    *,
    force: bool = True,
    watch: Callable[[Entry], None] = lambda _: None,
) -> Opening:
    """A stack that is up.

    Args:
        name: its name, or a compose file whose project is up.
        settings: loaded from the environment and pyproject.toml if None.
        force: accept a stack that was started with another topology. A compose file must be the
            one that the topology renders in any case: its addresses are known from there.
        watch: called with each journal entry as it is recorded.

    Raises:
        ConfigError: no stack of this name is up, the file does not exist, or it has another
            topology.
        Unavailable: packages for a compose project are missing.
    """
    settings = settings or Settings.load()
    if file := compose_file(name, Path.cwd()):
        with with_packages("looking at a stack"):
            from harness.render.compose.attach import looked_at
        return Opening(*looked_at(name, file, load_topology(settings), settings, watch=watch))
    up = Registry(settings.state_dir).require(name)
    stack = Stack.attach(name, settings=settings, force=force, all_running=False, watch=watch)
    return Opening(stack, lambda: up)


@contextmanager
def recorded(name: str, settings: Settings) -> Iterator[UpStack]:
    """What is known of a stack that is up; to know it of a compose project, it is entered.

    Args:
        name: its name, or a compose file whose project is up.
        settings: the project's.

    Raises:
        ConfigError, Unavailable: see `opening`; or no such project is up.
    """
    if compose_file(name, Path.cwd()) is None:
        yield Registry(settings.state_dir).require(name)
        return
    stack, record = opening(name, settings)
    with stack:
        yield record()
