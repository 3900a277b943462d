"""pytest-xdist: its workers share stacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_reports import tell_of_worker

if TYPE_CHECKING:
    from harness.core.journal import Entry
    from harness.core.settings import Settings
    from harness.core.topology import Topology
    from harness.stack.sharing import Waiting
    from harness.stack.stack import Stack

MEETING = "dapr_harness_meeting"
"""The key under which a worker finds the folder that it shares with the others, and its owner."""


class Controller:
    """Tells each worker of this machine the same folder, and removes it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: Path | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Before a worker starts; a worker creates the folder when it needs one."""
        if node.gateway.spec.popen:
            node.workerinput[MEETING] = (str(self._meeting()), os.getpid())

    def _meeting(self) -> Path:
        from harness.runtime.folder import meeting_folder

        if self._folder is None:
            self._folder = made = meeting_folder()
            self._config.add_cleanup(lambda: shutil.rmtree(made, ignore_errors=True))
        return self._folder


@contextmanager
def shared_by_workers(
    config: pytest.Config,
    topology: Topology,
    settings: Settings,
    make: Callable[[], Stack],
    *,
    waiting: Waiting,
    watch: Callable[[Entry], None],
) -> Iterator[Stack]:
    """The stack that this worker shares with all others of the same topology and settings.

    Args:
        config: of a worker that shares, see `shares`.
        make: the stack to start if no worker has.
        waiting: entered for what may take minutes.
        watch: called with each journal entry.

    Raises:
        Unavailable: the folder that the workers share cannot be used.
    """
    from harness.runtime.folder import open_meeting_folder
    from harness.stack.sharing import SharedStack

    given: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]  # it is a worker
    path, owner = given[MEETING]
    folder = open_meeting_folder(Path(path), owner)
    worker = given["workerid"]
    shared = SharedStack(topology, settings, make, folder=folder, who=worker, watch=watch)
    with closing(shared):
        stack = shared.open(waiting)
        tell_of_worker(config, stack, shared.how)
        yield stack


def shares(config: pytest.Config) -> bool:
    """Whether this process is a worker of xdist that shares its stacks with others."""
    return MEETING in getattr(config, "workerinput", {})
