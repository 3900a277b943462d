"""pytest-xdist: its workers share stacks, and take turns if a test needs one exclusively.

There are no more of them than the memory allows.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
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


class Orphan:
    """Ends this worker when its controller was killed.

    Without it, xdist lets a test go on for 5 seconds, and kills a worker that it cannot interrupt
    after 15. The test is interrupted instead, so that fixtures take down what they have started.

    Args:
        controller: its process id.
    """

    def __init__(self, controller: int) -> None:
        self._lock = threading.Lock()
        self._tests = False
        self._gone = False
        if sys.platform == "linux":
            try:
                watched = os.pidfd_open(controller)
            except ProcessLookupError:
                self._gone = True
                return
            threading.Thread(target=self._wait, args=[watched], daemon=True).start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Let the test be interrupted. Nobody is left to whom pytest could show where."""
        with self._lock:
            self._tests = True
        try:
            return (yield)
        except KeyboardInterrupt:
            if not self._gone:
                raise
            item.session.shouldstop = "the controller is gone"
            return True
        finally:
            self._tests = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Let no further test begin."""
        if self._gone:
            raise KeyboardInterrupt

    def _wait(self, watched: int) -> None:
        select.select([watched], [], [])
        os.close(watched)
        with self._lock:
            self._gone = True
            if self._tests:
                signal.pthread_kill(threading.main_thread().ident or 0, _interruption())


def _interruption() -> signal.Signals:
    """A job in the background of a script ignores SIGINT."""
    return signal.SIGTERM if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else signal.SIGINT


def begin(config: pytest.Config) -> None:
    """What a controller and its workers do for each other from the beginning."""
    config.pluginmanager.register(Controller(config), "dapr-harness-controller")
    if shares(config):
        _, controller = _given(config)[MEETING]
        config.pluginmanager.register(Orphan(controller), "dapr-harness-orphan")


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
