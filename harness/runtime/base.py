"""What a runtime can do, and what can be done to a running instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

from harness.core.endpoint import Endpoint
from harness.core.journal import Entry
from harness.core.launch import Launch

ENDING = ("stop", "kill", "restart")
"""The operations that end a process."""


class State(Enum):
    """The state of an instance."""

    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"


class BaseInstance:
    """The life cycle of an instance, the same for every runtime.

    Attributes:
        exit_reason: why it exited, if more than its exit code is known.
        exit_expected: whether it was stopped here, or its exit was announced.
        acted_on: how often a client of the run has stopped, paused or restarted it in some way.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._exit_code: int | None = None
        self._ready = False
        self.exit_reason = ""
        self.exit_expected = False
        self.acted_on = 0

    @property
    def name(self) -> str:
        """The node's name."""
        return self.launch.name

    @property
    def state(self) -> State:
        """Starting, running (its checks have passed) or exited."""
        if self._exit_code is not None:
            return State.EXITED
        return State.RUNNING if self._ready else State.STARTING

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._exit_code

    def mark_running(self) -> None:
        """Record that its readiness checks have passed."""
        self._ready = True

    def expect_exit(self) -> None:
        """Announce a deliberate exit, which then ends no wait."""
        self.exit_expected = True

    def announce(self, act: str, by: str, *, own: bool) -> None:
        """A client of the run is about to act on this instance.

        An exit that another client causes is no surprise if it restarts the node; otherwise it
        ends our waits, and the client is named as the cause.
        """
        self.acted_on += 1
        if act == "restart" or (own and act in ENDING):
            self.expect_exit()
        elif act in ENDING:
            self.exit_reason = f"{act} was requested by {by}"


class Instance(Protocol):
    """An executed launch."""

    @property
    def name(self) -> str:
        """The node's name."""
        ...

    @property
    def pid(self) -> int:
        """The process id on the host; 0 if there is none."""
        ...

    @property
    def state(self) -> State:
        """Starting until `mark_running` is called, exited once the process has exited."""
        ...

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal, as in `subprocess`."""
        ...

    @property
    def exit_reason(self) -> str:
        """Why it exited, if more than its exit code is known."""
        ...

    @property
    def exit_expected(self) -> bool:
        """Whether it was stopped here (stop, kill, restart), or its exit was announced."""
        ...

    @property
    def log(self) -> Path:
        """The file that receives both output streams from the first byte on."""
        ...

    @property
    def acted_on(self) -> int:
        """How often a client of the run has stopped, paused or restarted it in some way."""
        ...

    def mark_running(self) -> None:
        """Record that its readiness checks have passed."""
        ...

    def expect_exit(self) -> None:
        """Announce a deliberate exit, which then ends no wait."""
        ...

    def stop(self, grace: float | None = None) -> None:
        """Ask it to exit, wait ``grace`` seconds, then kill it. Stopping twice is allowed."""
        ...


@runtime_checkable
class Killable(Protocol):
    """Can be killed."""

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        ...


@runtime_checkable
class Pausable(Protocol):
    """Can be frozen."""

    def pause(self) -> None:
        """Freeze this instance (SIGSTOP)."""
        ...

    def resume(self) -> None:
        """Let it continue (SIGCONT)."""
        ...


@runtime_checkable
class Measurable(Protocol):
    """Knows of its processes what cannot be seen from here.

    Attributes:
        frozen: whether it is paused.
    """

    frozen: bool

    def memory(self) -> int:
        """Bytes of memory, without cached files; 0 if it does not run."""
        ...


@runtime_checkable
class Restartable(Protocol):
    """Can be started again with the same ports and the same data."""

    def restart(self, grace: float | None = None) -> None:
        """Stop it and start the same launch again; its data is kept."""
        ...


@runtime_checkable
class Changeable(Instance, Restartable, Protocol):
    """Has files that can be changed while it runs, and can be started in another way."""

    def change_files(self, removed: Iterable[str], written: Mapping[str, str]) -> None:
        """Remove files of its launch and write others, whether it runs or not.

        Args:
            removed: their names relative to the node's folder.
            written: texts by name.
        """
        ...

    def relaunch(self, launch: Launch) -> None:
        """Start another launch of the same node, which has been stopped: same ports, same data."""
        ...


class Runtime(Protocol):
    """Executes launches. Closing it leaves nothing running."""

    @property
    def name(self) -> str:
        """``processes``, ``containers`` or ``kubernetes``."""
        ...

    @property
    def borrowed(self) -> bool:
        """Whether the instances belong to somebody else, and keep running when this is closed."""
        ...

    @property
    def folder(self) -> Path:
        """The run's folder, which contains ``nodes/<name>/`` and ``logs/<name>.log``."""
        ...

    @property
    def inherited(self) -> Mapping[str, str]:
        """The environment inherited by a launch with ``inherits``; empty in a container."""
        ...

    @property
    def owner(self) -> int:
        """The process that ends the run on SIGTERM."""
        ...

    @property
    def gateway(self) -> str | None:
        """This machine's address as seen from containers; None if there are no containers."""
        ...

    def turn(
        self, guard: Callable[[], None], waits: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """A turn to start, if the machine cannot carry all starts at the same time.

        Args:
            guard: called while it waits; what it raises ends the wait.
            waits: called once if there is something to wait for.
        """
        ...

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Called with every launch of the stack before the first one starts.

        Raises:
            LaunchError: shared resources cannot be created.
        """
        ...

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """Reserve a port until a launch that lists it is executed.

        Raises:
            PortTaken: the wanted port is already in use.
        """
        ...

    def start(self, launch: Launch) -> Instance:
        """Execute a launch.

        Raises:
            LaunchError: the program is missing or cannot be executed.
        """
        ...

    def external(self, launch: Launch) -> Instance:
        """Let go of the ports of a launch that somebody else executes."""
        ...

    def note(self, entry: Entry) -> None:
        """Add an entry to the run's journal, which other clients see too."""
        ...

    def catch_up(self) -> None:
        """Wait until the instances reflect what other clients have done so far."""
        ...

    def share(self) -> None:
        """Let other clients use the run, so that nothing of it may depend on this process."""
        ...

    def leave(self) -> int:
        """The number of other clients that keep the run alive; -1 if it stays without any.

        Unless it is 0, closing this leaves the run running.
        """
        ...

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Let the run outlive this process.

        Args:
            leftovers: files that are removed when the run ends.
        """
        ...

    def close(self) -> None:
        """Stop everything and remove the run's folder. Closing twice is allowed."""
        ...
