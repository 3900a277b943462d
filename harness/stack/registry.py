"""The running stacks, found through state files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

import platformdirs

from harness.core.errors import ConfigError, HarnessError, TeardownError, Unavailable, did_you_mean
from harness.core.files import nearest, try_writing, write_private
from harness.core.reading import read_text
from harness.core.topology import Topology
from harness.runtime.base import Instance
from harness.runtime.look import state_of_run
from harness.runtime.proc import born, wait_gone
from harness.runtime.tree import send, state_of

ENDING = 30.0
"""Seconds that a supervisor may take to end a stack; it kills remaining processes after one."""


class Recordable(Protocol):
    """A running stack, as far as its state file is concerned."""

    topology: Topology

    @property
    def folder(self) -> Path:
        """The run's folder."""
        ...

    @property
    def runtime(self) -> str:
        """``processes``, ``containers`` or ``kubernetes``."""
        ...

    @property
    def owner(self) -> int:
        """The process that ends the stack on SIGTERM."""
        ...

    @property
    def instances(self) -> Mapping[str, Instance]:
        """The running instances, by node name."""
        ...

    def addresses(self) -> dict[str, dict[str, str]]:
        """The addresses that this machine can connect to, by node and port."""
        ...

    def token(self) -> str:
        """The token of the sidecars' APIs."""
        ...

    def share(self) -> None:
        """Let other clients use the stack."""
        ...

    def detach(self, leftovers: tuple[Path, ...] = ()) -> None:
        """Let the stack outlive this process."""
        ...


@dataclass(frozen=True)
class UpNode:
    """One node of a running stack.

    Attributes:
        pid: its process.
        endpoints: its addresses by port name.
        log: its log file.
        app_id: the app-id, if it is a sidecar.
    """

    name: str
    pid: int
    endpoints: dict[str, str]
    log: str
    app_id: str = ""


@dataclass(frozen=True)
class UpStack:
    """A stack that outlives the process that started it.

    Attributes:
        supervisor: the process that ends the stack on SIGTERM.
        born: the supervisor's start time, so that a reused pid is not mistaken for it.
        since: when it was ready, in seconds since the epoch.
        token: the token of its sidecars' APIs; only the owner can read the file.
        runtime: where it runs.
        booted: when it was ready, in seconds since the machine booted, because clocks may be set.
    """

    name: str
    supervisor: int
    born: str
    since: float
    folder: str
    token: str
    nodes: list[UpNode] = field(default_factory=list)
    runtime: str = "processes"
    booted: float = 0.0

    @property
    def up_for(self) -> float:
        """Seconds since it was ready, unaffected by clock changes; never negative."""
        return max(0.0, since_boot() - self.booted if self.booted else time.time() - self.since)

    def now(self) -> UpStack:
        """The same with the process ids of now: any client may have restarted a node."""
        try:
            rows = state_of_run(Path(self.folder), self.supervisor)["nodes"]
        except HarnessError:
            return self
        nodes = [
            replace(node, pid=rows[node.name]["pid"]) if node.name in rows else node
            for node in self.nodes
        ]
        return replace(self, nodes=nodes)

    def resources_of(self, node: str) -> Path:
        """The folder with the Dapr resources of a sidecar."""
        return Path(self.folder) / "nodes" / node / "resources"

    @property
    def alive(self) -> bool:
        """Whether its supervisor is still the same process."""
        return born(self.supervisor) == self.born


class Registry:
    """State files, one per running stack.

    Args:
        folder: where they are; the platform's user state folder if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_state_path("dapr-harness", appauthor=False)

    def file(self, name: str) -> Path:
        """The state file of the stack with this name."""
        return self.folder / f"{name}.json"

    def __iter__(self) -> Iterator[UpStack]:
        for file in self._files():
            with contextlib.suppress(ConfigError):
                yield _read(file)

    def damaged(self) -> list[ConfigError]:
        """One error for each state file that cannot be read; the others are not affected."""
        found = []
        for file in self._files():
            try:
                _read(file)
            except ConfigError as error:
                found.append(error)
        return found

    def _files(self) -> list[Path]:
        with self._usable():
            return sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        """Turn errors of the operating system about the state folder into ours.

        Raises:
            Unavailable: it is unusable.
        """
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"the state folder {self.folder} cannot be used",
                last=str(error),
                hint="set DAPR_HARNESS_STATE_DIR to a folder that you own, on a disk with room",
            ) from None

    def require_usable(self) -> Path:
        """The folder in which a state file could be written; it need not exist yet.

        Raises:
            Unavailable: none could be written.
        """
        with self._usable():
            try_writing(nearest(self.folder))
        return self.folder

    def find(self, name: str) -> UpStack | None:
        """The running stack with this name; the state file of a dead one is removed."""
        for each in self:
            if each.name == name:
                if each.alive:
                    return each
                self.forget(name)
        return None

    def require(self, name: str) -> UpStack:
        """The running stack with this name.

        Raises:
            ConfigError: there is none.
        """
        found = self.find(name)
        if found is None:
            names = [each.name for each in self if each.alive]
            raise ConfigError(
                f"no stack named {name!r} is up",
                hint=did_you_mean(name, names) if names else "start one with `dapr-harness up`",
            )
        return found

    def require_free(self, name: str) -> None:
        """Check that a name can be used.

        Raises:
            ConfigError: it is malformed, or a stack with this name is running.
        """
        if not re.fullmatch(r"[\w-]+", name):
            raise ConfigError(f"{name!r} cannot be a stack's name", expected="letters, digits, - _")
        if self.find(name) is not None:
            raise ConfigError(
                f"a stack named {name!r} is up already",
                hint=f"`dapr-harness down --name {name}` first, or choose another --name",
            )

    @contextlib.contextmanager
    def starting(self, name: str) -> Iterator[None]:
        """Reserve the name while a stack starts, until its state file is written.

        Raises:
            ConfigError: another process is starting a stack with this name, or one is running.
        """
        import filelock  # only here: attaching to a stack does without it

        lock = filelock.FileLock(self.folder / f"{name}.lock")
        with self._usable():
            self.folder.mkdir(parents=True, exist_ok=True)
            try_writing(self.folder)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:  # also an OSError, but not about the folder
                raise ConfigError(
                    f"a stack named {name!r} is being started by another process",
                    hint="choose another --name",
                ) from None
        try:
            self.require_free(name)
            yield
        finally:
            lock.release()

    def adopt(self, stack: Recordable, name: str) -> UpStack:
        """Write a state file for a stack, and let the stack outlive this process."""
        found = self.record(stack, name)
        stack.detach((self.file(name),))
        return found

    def record(self, stack: Recordable, name: str) -> UpStack:
        """Write a state file for a stack, which other clients can use from now on."""
        stack.share()
        endpoints = stack.addresses()
        ids = {each.name: each.app_id for each in stack.topology.sidecars()}
        nodes = [
            UpNode(node, each.pid, endpoints.get(node, {}), str(each.log), ids.get(node, ""))
            # More nodes may be started later.
            for node, each in list(stack.instances.items())
        ]
        folder, token = str(stack.folder), stack.token()
        owner, now = stack.owner, time.time()
        made = name, owner, born(owner), now, folder, token, nodes, stack.runtime, since_boot()
        found = UpStack(*made)
        self._write(found)
        return found

    def take_down(self, name: str) -> UpStack:
        """End a stack and wait until it is gone.

        Raises:
            ConfigError: there is no stack with this name.
            TeardownError: it did not end.
        """
        found = self.require(name)
        os.kill(found.supervisor, signal.SIGTERM)
        # Someone may have stopped it.
        send(found.supervisor, signal.SIGCONT)
        if not wait_gone(found.supervisor, ENDING):
            raise TeardownError(
                f"the supervisor of {name!r} (pid {found.supervisor}) did not end",
                last=f"the state of its process: {state_of(found.supervisor)}",
                budget=ENDING,
                hint=f"look at {found.folder}/logs; kill -9 {found.supervisor} ends it, and "
                "`dapr-harness down --stale` removes what it leaves",
            )
        self.forget(name)
        return found

    def forget(self, name: str) -> None:
        """Remove the state file of a stack that has ended."""
        with self._usable():
            self.file(name).unlink(missing_ok=True)

    def _write(self, up: UpStack) -> None:
        with self._usable():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_private(self.file(up.name), json.dumps(asdict(up), indent=1))


# Not pydantic, here and in run_record.py: every test run that attaches reads these files, and its
# import takes half as long as pytest's. The harness itself writes them.
def _read(file: Path) -> UpStack:
    """Read a state file.

    Raises:
        ConfigError: its contents are invalid.
    """
    try:
        raw = json.loads(read_text(file))
        raw["nodes"] = [UpNode(**node) for node in raw["nodes"]]
        found = UpStack(**raw)
        _ = found.supervisor + found.since + found.booted
    except (ConfigError, ValueError, TypeError, KeyError, RecursionError) as error:
        told = error.last if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"the state file {file} is damaged",
            last=told,
            hint="if its stack may still run, see `ps`; then remove the file",
        ) from None
    return found


def since_boot() -> float:
    """Seconds since the machine booted, including sleep where the system counts it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def alive(pid: int) -> bool:
    """Whether a process is running; a zombie is not."""
    return not wait_gone(pid, 0)
