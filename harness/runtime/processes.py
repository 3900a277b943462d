"""The processes runtime: every launch is a child of one supervisor process."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.core import ports
from harness.core.closing import Closing
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.errors import HarnessError, LaunchError, PortTaken
from harness.core.files import write_home
from harness.core.journal import Entry
from harness.core.launch import Launch
from harness.core.private import open_private, private_folder
from harness.runtime.external import ExternalInstance
from harness.runtime.folder import new_run_folder, sockets_folder
from harness.runtime.instance import ProcessInstance
from harness.runtime.own_tools import path_without_our_tools
from harness.runtime.proc import owner_of
from harness.runtime.sharing import shared
from harness.runtime.supervisor_client import SupervisorClient
from harness.runtime.tree import send
from harness.runtime.turns import turn

GONE = "the supervisor of the stack has ended, and with it everything that it had started"

UNPRIVILEGED = "nobody"
"""The account for programs that refuse to run as root; it exists on every Unix."""


class ProcessRuntime(Closing):
    """Starts processes through its own supervisor.

    Args:
        environment: the variables that every process inherits.
        told: called with each line that a helper of the supervisor prints (op ``listen``).
        heard: called with each entry of the run's journal, by whichever client.
        whole: the environment that a launch with ``inherits`` inherits instead.

    Raises:
        Unavailable: a folder in which it must write does not belong to this user.
    """

    name = "processes"
    borrowed = False
    gateway: str | None = None

    def __init__(
        self,
        environment: Mapping[str, str],
        told: Callable[[str], None] = lambda _: None,
        heard: Callable[[Mapping[str, Any]], None] = lambda _: None,
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self._told, self._heard = told, heard
        self._lock = threading.Lock()
        self._instances: dict[str, ProcessInstance] = {}
        self._sources: dict[str, str] = {}
        self._closed = False
        self._others: int | None = None
        # Checked here: a supervisor that finds out can only die.
        private_folder(ports.LEASES)
        sockets_folder()
        self._open(environment, environment if whole is None else whole)

    def _open(self, environment: Mapping[str, str], whole: Mapping[str, str]) -> None:
        self.folder = new_run_folder()
        self._supervisor = SupervisorClient.start(self.folder, self)
        self.owner = self._supervisor.pid
        try:
            self._inherit(environment, whole, self.folder / "path")
        except BaseException:
            self._supervisor.finish()
            raise

    def _inherit(
        self, environment: Mapping[str, str], whole: Mapping[str, str], folder: Path
    ) -> None:
        """Keep what processes inherit, without our own tools on PATH; links are in a new folder."""
        own = {"PATH": path_without_our_tools(environment.get("PATH", os.defpath), folder)}
        self._environment, self._inherited = {**environment, **own}, {**whole, **own}

    def log(self, name: str) -> Path:
        """The log file of a node."""
        return self.folder / "logs" / f"{name}.log"

    def home(self, name: str) -> Path:
        """The folder of a node."""
        return self.folder / "nodes" / name

    def turn(
        self, guard: Callable[[], None], waits: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """A turn among the starts of this user."""
        return turn(guard, waits)

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Start the processes of which launches with the same imports are forked."""
        for number, group in enumerate(shared(launches, self._environment_of)):
            name = f"imports-{number}"
            self.request("source", **group.request(name, self.folder))
            self._sources |= {each.name: name for each in group.launches}

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """Reserve a port of 127.0.0.1 until a launch that lists it is executed.

        Raises:
            PortTaken: the wanted port is already in use; the message names the owner.
        """
        try:
            answer = self.request("reserve", wanted=wanted)
        except LaunchError as error:
            raise PortTaken(
                f"port {wanted} cannot be used",
                port=wanted or 0,
                expected="a free port",
                last=(wanted and owner_of(wanted)) or error.last,
                hint="stop that process, or let the harness choose the port",
            ) from None
        return Endpoint(LOOPBACK, answer["port"])

    def start(self, launch: Launch) -> ProcessInstance:
        """Write the launch's files, copy its folders and start it.

        Raises:
            LaunchError: the program is missing or cannot be executed.
        """
        folder = private_folder(self.home(launch.name))
        write_home(folder, launch.folders, launch.files)
        for name in launch.files:
            # Some of them contain credentials.
            (folder / name).chmod(0o600)
        if (account := self._account(launch)) is not None:
            self._require_passable(launch.name)
            # Prepared folders keep their owner; the rest is the node's folder itself.
            for path in (folder, *(folder / name for name in launch.files)):
                os.chown(path, *account)
        instance = self.made(launch)
        if launch.under_test and not launch.process.inherits:
            self._tell_what_is_left_out(launch)
        if launch.at_end:
            self.request("at_end", argv=[*launch.at_end])
        self._spawn(instance, account)
        return instance

    def made(self, launch: Launch) -> ProcessInstance:
        """An instance of a launch, without a process."""
        return ProcessInstance(self, launch)

    def spawn(self, instance: ProcessInstance) -> None:
        """Start the process of an instance whose process has ended."""
        self._spawn(instance, self._account(instance.launch))

    def external(self, launch: Launch) -> ExternalInstance:
        """Let go of the ports of a launch that somebody else executes."""
        with open_private(log := self.log(launch.name), "a", encoding="utf-8") as file:
            file.write("dapr-harness: external; its output is where it was started\n")
        self.request("release", ports=list(launch.ports.values()))
        return ExternalInstance(launch, log)

    def _spawn(self, instance: ProcessInstance, account: tuple[int, int] | None) -> None:
        launch, (uid, gid) = instance.launch, account or (None, None)
        program = self._program(launch)
        with self._lock:
            self._instances[launch.name] = instance
        self._supervisor.operate(
            "spawn",
            launch.name,
            argv=[program, *launch.argv[1:]],
            env=self._environment_of(launch),
            cwd=str(launch.process.cwd or self.home(launch.name)),
            log=str(instance.log),
            ports=list(launch.ports.values()),
            stop_signal=int(launch.stop_signal),
            end_signal=int(launch.end_signal or launch.stop_signal),
            ends_last=launch.ends_last,
            grace=launch.grace,
            uid=uid,
            gid=gid,
            source=self._sources.get(launch.name, ""),
            module=launch.process.imports,
        )

    def _environment_of(self, launch: Launch) -> dict[str, str]:
        return launch.environment(self._inherited if launch.process.inherits else self._environment)

    @property
    def inherited(self) -> Mapping[str, str]:
        """The environment that a non-hermetic process inherits."""
        return self._inherited

    def request(self, op: str, **facts: Any) -> dict[str, Any]:
        """Send a request to the supervisor and wait for its response."""
        return self._supervisor.request(op, **facts)

    def operate(self, op: str, name: str, **facts: Any) -> dict[str, Any]:
        """Have the supervisor carry out an operation on a node, and wait until it is done."""
        return self._supervisor.operate(op, name, **facts)

    @contextmanager
    def operation(self, act: str, name: str) -> Iterator[dict[str, Any]]:
        """Act on a node that is not a process of this machine, while other clients wait.

        Yields:
            What the other clients will be told of the result.
        """
        result: dict[str, Any] = {}
        self._supervisor.operate("hold", name, act=act)
        try:
            yield result
        finally:
            with suppress(HarnessError):
                self.request("free", name=name, result=result)

    @property
    def number(self) -> int:
        """The number of this client in the run."""
        return self._supervisor.number

    def note(self, entry: Entry) -> None:
        """Add an entry to the run's journal."""
        self._supervisor.note(entry.kind, entry.node, entry.at, entry.facts)

    def catch_up(self) -> None:
        """Wait for an answer, which arrives behind every entry of the journal."""
        with suppress(HarnessError):  # a run that has ended is reported by whoever uses it
            self.request("state")

    def leave(self) -> int:
        """The number of other clients that keep the run alive; -1 if it stays without any.

        Unless it is 0, closing this leaves the run running.
        """
        if self._others is None:
            send(self.owner, signal.SIGCONT)  # someone may have stopped it
            self._others = self._supervisor.leave()
        return self._others

    def share(self) -> None:
        """Nothing of the run depends on this process but its lease."""

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Let the run outlive this process; the supervisor ends it on SIGTERM."""
        self._closed, self._others = True, -1
        self._supervisor.detach([str(path) for path in leftovers])

    def close(self) -> None:
        """Stop everything and remove the run's folder, unless others keep the run alive.

        Raises:
            TeardownError: the supervisor did not exit in time.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self.leave():
            self._supervisor.abandon()
        else:
            self._supervisor.finish()

    def entry(self, entry: Mapping[str, Any]) -> None:
        """Keep the instances up to date, whichever client caused it."""
        with self._lock:
            instance = self._instances.get(entry["node"])
        if instance is not None:
            _apply(entry, instance, own=entry.get("client") == self._supervisor.number)
        self._heard(entry)

    def line(self, line: str) -> None:
        """Pass on what a helper has printed."""
        self._told(line)

    def lost(self, by: str) -> None:
        """The supervisor is gone, and so is everything it started, unless we have left the run."""
        with self._lock:
            living = [] if self._others else list(self._instances.values())
        reason = f"the stack was ended by {by}" if by else GONE
        for instance in living:
            if instance.exit_code is None:
                instance.exit_reason = reason
                instance.ended(-int(signal.SIGKILL))
        if not (self._others or self._closed):
            # Its helpers have ended with it.
            self._told("")

    def _tell_what_is_left_out(self, launch: Launch) -> None:
        """Write the names, but never the values, at the start of its log."""
        missing = sorted({*self._inherited} - {*self._environment} - {*launch.env})
        if missing:
            with open_private(self.log(launch.name), "a", encoding="utf-8") as log:
                log.write(f"dapr-harness: hermetic, so not inherited: {' '.join(missing)}\n")

    def _program(self, launch: Launch) -> str:
        path = self._environment.get("PATH", os.defpath)
        if found := shutil.which(launch.argv[0], path=launch.env.get("PATH", path)):
            # Absolute, otherwise a relative one would be searched in the node's folder. Not
            # resolved, otherwise a virtual environment's python would become its base interpreter.
            return str(Path(found).absolute())
        there = Path(launch.argv[0]).exists()
        raise LaunchError(
            f"{launch.name}: {launch.argv[0]!r} cannot be started",
            expected="an executable file",
            last="the file is there but not executable" if there else "no such file on PATH",
            hint=f"chmod +x {launch.argv[0]}" if there else "install it, or fix the command",
        )

    @staticmethod
    def _account(launch: Launch) -> tuple[int, int] | None:
        if not launch.process.unprivileged or os.geteuid() != 0:
            return None
        entry = pwd.getpwnam(UNPRIVILEGED)
        return entry.pw_uid, entry.pw_gid

    def _require_passable(self, name: str) -> None:
        """Check that an unprivileged process can reach its folder.

        Raises:
            LaunchError: it cannot traverse a parent folder.
        """
        for parent in self.folder.parents:
            if not parent.stat().st_mode & stat.S_IXOTH:
                raise LaunchError(
                    f"{name} runs as {UNPRIVILEGED!r} and cannot reach {self.folder}",
                    last=f"{parent} is closed to other accounts",
                    hint="set TMPDIR to a folder that others can pass through, such as /tmp",
                )


def _apply(entry: Mapping[str, Any], instance: ProcessInstance, *, own: bool) -> None:
    """Record in an instance what has happened to its process."""
    match entry["kind"]:
        case "process.started":
            instance.begun(entry["pid"])
        case "process.exited":
            instance.ended(entry["code"])
        case "node.ready":
            instance.mark_running()
        case "operation.begun":
            instance.announce(entry["act"], entry["by"], own=own)
