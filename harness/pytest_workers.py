"""pytest-xdist: its workers share stacks, and take turns if a test needs one exclusively.

There are no more of them than the memory allows.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_lines import Lines
from harness.pytest_reports import tell_of_worker
from harness.pytest_time_limit import without_time_limit

if TYPE_CHECKING:
    from harness.core.journal import Entry
    from harness.core.settings import Settings
    from harness.core.topology import Topology
    from harness.stack.stack import Stack

MEETING = "dapr_harness_meeting"
"""The key under which a worker finds the folder that it shares with the others, and its owner."""

WORKER = 90e6
"""Bytes of memory that a worker is taken to need: 60 to 85 MB were measured, without worlds."""

STACK = 0.5e9
"""Bytes of memory that are left for the stack which the workers share."""

_LIMITED: pytest.StashKey[str] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Before xdist counts its workers: limit their number."""
    if config.getoption("numprocesses", None):
        from harness.runtime.usage import free_memory

        limit_workers(config, free_memory())
    return (yield)


def limit_workers(config: pytest.Config, free: int | None) -> None:
    """Let xdist start no more workers than there is memory for, but one.

    Args:
        config: with the options of xdist, which asks for workers.
        free: bytes of memory; None if unknown.
    """
    option = config.option
    wanted = option.numprocesses
    if not isinstance(wanted, int):  # auto, logical
        wanted = config.hook.pytest_xdist_auto_num_workers(config=config) or 0
    wanted = min(wanted, option.maxprocesses or wanted)
    if free is None or wanted <= (most := max(1, int((free - STACK) // WORKER))):
        return
    option.maxprocesses = most
    config.stash[_LIMITED] = (
        f"{most} worker{'s' * (most > 1)} instead of {wanted}: {free / 1e9:.1f} GB of memory are "
        f"free, and {wanted} with a stack need about {(STACK + wanted * WORKER) / 1e9:.1f} GB"
    )


class Controller:
    """Tells each worker of this machine the same folder, and removes it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: Path | None = None

    def pytest_sessionstart(self) -> None:
        """Say if there are fewer workers than were asked for."""
        if limited := self._config.stash.get(_LIMITED, ""):
            Lines(self._config).say(limited)

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
    watch: Callable[[Entry], None],
) -> Iterator[Stack]:
    """The stack that this worker shares with all others of the same topology and settings.

    Args:
        config: of a worker that shares, see `shares`.
        make: the stack to start if no worker has.
        watch: called with each journal entry.

    Raises:
        Unavailable: the folder that the workers share cannot be used.
    """
    from harness.stack.shared_stack import SharedStack

    folder, worker = _meeting(config), _given(config)["workerid"]
    shared = SharedStack(topology, settings, make, folder=folder, who=worker, watch=watch)
    with closing(shared):
        stack = shared.open(lambda: without_time_limit(config))
        tell_of_worker(config, stack, shared.how)
        yield stack


def shares(config: pytest.Config) -> bool:
    """Whether this process is a worker of xdist that shares its stacks with others."""
    return MEETING in _given(config)


def _given(config: pytest.Config) -> dict[str, Any]:
    """What the controller tells this worker; nothing if this is not a worker."""
    return getattr(config, "workerinput", {})


def _meeting(config: pytest.Config) -> Path:
    from harness.runtime.folder import open_meeting_folder

    path, owner = _given(config)[MEETING]
    return open_meeting_folder(Path(path), owner)


@contextmanager
def turn(config: pytest.Config, stack: Stack, *, exclusive: bool) -> Iterator[None]:
    """A test's turn at a stack that other processes may use as well; nothing if none can.

    Args:
        config: of this process.
        stack: a started stack.
        exclusive: whether no other test may use the stack meanwhile.

    Raises:
        Unavailable: the folder of the run cannot be written.
    """
    folder = _folder_of_turns(config, stack)
    if folder is None or not folder.is_dir():  # an attached stack may have ended
        yield
        return
    from harness.core.locks import Turns

    with ExitStack() as held:
        with without_time_limit(config):
            held.enter_context(Turns(folder, "tests").taken(exclusive=exclusive))
        stack.catch_up()
        yield


def _folder_of_turns(config: pytest.Config, stack: Stack) -> Path | None:
    if stack.runtime == "attached":  # to a compose project, where each client has its own folder
        return _meeting(config) if shares(config) else None
    if _given(config) or config.getoption("--dapr-attach"):
        return stack.folder
    return None
