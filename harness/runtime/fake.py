"""A scripted runtime without I/O, for tests of the layers above. It runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.errors import InstanceDied, LaunchError
from harness.core.journal import Entry
from harness.core.launch import Launch
from harness.runtime.base import BaseInstance
from harness.runtime.external import ExternalInstance


@dataclass(frozen=True)
class Script:
    """How one launch behaves.

    Attributes:
        refuse: the error on start; "" to start.
        exit_code: the code with which it exits at once; None to keep running.
        output: the contents of its log.
    """

    refuse: str = ""
    exit_code: int | None = None
    output: str = ""


class FakeInstance(BaseInstance):
    """A launch that pretends to run."""

    def __init__(self, launch: Launch, script: Script, log: Path, events: list[str]) -> None:
        super().__init__(launch)
        self.log = log
        self.pid = 0
        self.paused = False
        self._script = script
        self._events = events
        self._begin()

    def stop(self, grace: float | None = None) -> None:
        """Exit with code 0."""
        self._end(0, "stopped")

    def kill(self) -> None:
        """Exit as if by SIGKILL."""
        self._end(-9, "killed")

    def pause(self) -> None:
        """Freeze."""
        self._require_life()
        self.paused = True

    def resume(self) -> None:
        """Continue."""
        self._require_life()
        self.paused = False

    def restart(self, grace: float | None = None) -> None:
        """Stop and start again."""
        self.stop(grace)
        self._begin()

    def _begin(self) -> None:
        self._events.append(f"started {self.name}")
        self._exit_code, self._ready = self._script.exit_code, False
        self.exit_expected = False
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as file:
            file.write(self._script.output)

    def _end(self, code: int, how: str) -> None:
        self.expect_exit()
        if self._exit_code is None:
            self._events.append(f"{how} {self.name}")
            self._exit_code = code

    def _require_life(self) -> None:
        if self._exit_code is not None:
            raise InstanceDied(f"{self.name} has ended")


class FakeRuntime:
    """Executes launches by their scripts and records the calls.

    Args:
        folder: the folder for fake logs.
        scripts: by launch name; launches without one start and keep running.

    Attributes:
        events: ``started x``, ``stopped x``, ``killed x``, ``closed``, in order.
        journal: the entries of the run's journal.
    """

    name = "fake"
    borrowed = False
    gateway = None
    owner = 0
    inherited: Mapping[str, str] = {}

    def __init__(self, folder: Path, scripts: Mapping[str, Script] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.events: list[str] = []
        self.journal: list[Entry] = []
        self._scripts = dict(scripts or {})
        self._port = 20000
        self._instances: list[FakeInstance] = []

    def turn(
        self, guard: Callable[[], None], waits: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Nothing is busy."""
        return nullcontext()

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Nothing is shared."""

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """The wanted port or the next number; nothing is reserved."""
        self._port += 1
        return Endpoint(LOOPBACK, wanted or self._port)

    def start(self, launch: Launch) -> FakeInstance:
        """Pretend to execute a launch.

        Raises:
            LaunchError: its script refuses.
        """
        script = self._scripts.get(launch.name, Script())
        if script.refuse:
            raise LaunchError(script.refuse)
        log = self.folder / "logs" / f"{launch.name}.log"
        instance = FakeInstance(launch, script, log, self.events)
        self._instances.append(instance)
        return instance

    def external(self, launch: Launch) -> ExternalInstance:
        """Somebody else executes it."""
        self.events.append(f"left {launch.name}")
        return ExternalInstance(launch, self.folder / "logs" / f"{launch.name}.log")

    def note(self, entry: Entry) -> None:
        """Keep an entry."""
        self.journal.append(entry)

    def catch_up(self) -> None:
        """Nobody else is there."""

    def share(self) -> None:
        """Nothing to do."""

    def leave(self) -> int:
        """Nobody else is there."""
        return 0

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Stop everything. Closing twice is allowed."""
        if "closed" not in self.events:
            for instance in self._instances:
                instance.kill()
            self.events.append("closed")
