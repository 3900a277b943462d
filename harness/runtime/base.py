"""What a runtime can do, and what a running thing can have done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

from harness.endpoint import Endpoint
from harness.launch import Launch


class State(Enum):
    """The life of an instance."""

    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"


class Life:
    """The states of an instance, the same for every runtime.

    Attributes:
        fate: why it ended, as far as somebody knows more than its exit code.
        exit_expected: whether somebody here ended it, or has said that it will end.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._exit_code: int | None = None
        self._ready = False
        self.fate = ""
        self.exit_expected = False

    @property
    def name(self) -> str:
        """The node's name."""
        return self.launch.name

    @property
    def state(self) -> State:
        """Starting, running (its ladder was climbed) or exited."""
        if self._exit_code is not None:
            return State.EXITED
        return State.RUNNING if self._ready else State.STARTING

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._exit_code

    def mark_running(self) -> None:
        """Say that its ladder was climbed."""
        self._ready = True

    def expect_exit(self) -> None:
        """Say that this life of it ends on purpose: no wait is ended by that."""
        self.exit_expected = True


class Instance(Protocol):
    """A launch that was executed."""

    @property
    def name(self) -> str:
        """The node's name."""
        ...

    @property
    def pid(self) -> int:
        """The process id on the host, 0 when there is none."""
        ...

    @property
    def state(self) -> State:
        """Starting until `mark_running` is called, exited once the process has ended."""
        ...

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal, as in `subprocess`."""
        ...

    @property
    def fate(self) -> str:
        """Why it ended, as far as somebody knows more than its exit code."""
        ...

    @property
    def exit_expected(self) -> bool:
        """Whether somebody here ended it (stop, kill, restart), or has said that it will end."""
        ...

    @property
    def log(self) -> Path:
        """The file that holds both output streams from the first byte on."""
        ...

    def mark_running(self) -> None:
        """Say that its ladder was climbed."""
        ...

    def expect_exit(self) -> None:
        """Say that this life of it ends on purpose: no wait is ended by that."""
        ...

    def stop(self, grace: float | None = None) -> None:
        """Ask it to end, wait ``grace`` seconds, then kill it. Stopping twice is fine."""
        ...


@runtime_checkable
class Killable(Protocol):
    """Can be ended without being asked."""

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        ...


@runtime_checkable
class Pausable(Protocol):
    """Can be frozen."""

    def pause(self) -> None:
        """Stop the world for this instance (SIGSTOP)."""
        ...

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        ...


@runtime_checkable
class Restartable(Protocol):
    """Can be started again with the same ports and the same data."""

    def restart(self, grace: float | None = None) -> None:
        """Stop it and start the same launch again; its data are kept."""
        ...


class Runtime(Protocol):
    """Executes launches. Closing it leaves nothing running."""

    @property
    def name(self) -> str:
        """``processes`` or ``containers``."""
        ...

    @property
    def borrowed(self) -> bool:
        """Whether what runs belongs to somebody else, and stays when this is closed."""
        ...

    @property
    def folder(self) -> Path:
        """The run's folder: ``nodes/<name>/`` and ``logs/<name>.log`` lie in it."""
        ...

    @property
    def inherited(self) -> Mapping[str, str]:
        """What a launch with ``inherits`` finds in its environment; nothing in a container."""
        ...

    @property
    def owner(self) -> int:
        """The process that ends the run when it gets SIGTERM."""
        ...

    @property
    def gateway(self) -> str | None:
        """This machine's address as containers see it; None where there are no containers."""
        ...

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Hear of every launch of the stack before the first is started.

        Raises:
            LaunchError: what they share cannot be made.
        """
        ...

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """Hold a port until a launch that lists it is executed.

        Raises:
            PortTaken: the wanted port belongs to somebody else.
        """
        ...

    def start(self, launch: Launch) -> Instance:
        """Execute a launch.

        Raises:
            LaunchError: the program is missing or cannot be executed.
        """
        ...

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Let the run outlive this process.

        Args:
            leftovers: files that are removed when the run ends.
        """
        ...

    def close(self) -> None:
        """End everything and remove the run's folder. Closing twice is fine."""
        ...
