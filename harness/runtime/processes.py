"""The processes runtime: every launch is a child of one supervisor process."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import ports
from harness.closing import Closing
from harness.endpoint import LOOPBACK, Endpoint
from harness.errors import LaunchError, PortTaken
from harness.files import write_home
from harness.launch import Launch
from harness.private import open_private, private_folder
from harness.runtime.control import Control
from harness.runtime.folder import clear_run_folder, give_run_folder, make_run_folder
from harness.runtime.instance import ProcessInstance
from harness.runtime.own_tools import path_without_our_tools
from harness.runtime.proc import owner_of

UNPRIVILEGED = "nobody"
"""The account for programs that refuse to run as root; it exists on every Unix."""


class ProcessRuntime(Closing):
    """Starts processes through its own supervisor.

    Args:
        environment: the variables that every process inherits.
        told: called with each line that a helper of the supervisor prints (op ``listen``).
        whole: the environment that a launch with ``inherits`` inherits instead.

    Raises:
        Unavailable: a folder in which it must write does not belong to this user.
    """

    name = "processes"
    borrowed = False
    gateway = None

    def __init__(
        self,
        environment: Mapping[str, str],
        told: Callable[[str], None] = lambda _: None,
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._instances: dict[int, ProcessInstance] = {}
        self._early: dict[int, int] = {}
        self._closed = self._detached = False
        # Checked here: a supervisor that finds out can only die.
        private_folder(ports.LEASES)
        self.folder = make_run_folder()
        path = environment.get("PATH", os.defpath)
        own = {"PATH": path_without_our_tools(path, self.folder / "path")}
        self._environment = {**environment, **own}
        self._inherited = {**(environment if whole is None else whole), **own}
        try:
            self._control = Control(self.folder, self._exited, self._lost, told)
            give_run_folder(self.folder, self._control.pid)
        except BaseException:
            # A started supervisor exits with its connection, and removes the folder too.
            clear_run_folder(self.folder)
            raise

    def log(self, name: str) -> Path:
        """The log file of a node."""
        return self.folder / "logs" / f"{name}.log"

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Nothing is shared."""

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
                expected="a free port",
                last=(wanted and owner_of(wanted)) or error.last,
                hint="stop that process, or leave the port to the harness",
            ) from None
        return Endpoint(LOOPBACK, answer["port"])

    def start(self, launch: Launch) -> ProcessInstance:
        """Write the launch's files, copy its folders and start it.

        Raises:
            LaunchError: the program is missing or cannot be executed.
        """
        folder = private_folder(self.folder / "nodes" / launch.name)
        write_home(folder, launch.folders, launch.files)
        for name in launch.files:
            # Some of them contain credentials.
            (folder / name).chmod(0o600)
        account = self._account(launch)
        if account is not None:
            self._require_passable(launch.name)
            # Prepared folders keep their owner; the rest is the node's folder itself.
            for path in (folder, *(folder / name for name in launch.files)):
                os.chown(path, *account)
        instance = ProcessInstance(self, launch)
        if launch.of_system and not launch.inherits:
            self._tell_what_is_left_out(launch)
        self.spawn(instance)
        return instance

    def spawn(self, instance: ProcessInstance) -> None:
        """Start (or start again) the process of an instance."""
        launch = instance.launch
        folder = self.folder / "nodes" / launch.name
        program = self._program(launch)
        uid, gid = self._account(launch) or (None, None)
        answer = self.request(
            "spawn",
            name=launch.name,
            argv=[program, *launch.argv[1:]],
            env={**(self._inherited if launch.inherits else self._environment), **launch.env},
            cwd=str(launch.cwd or folder),
            log=str(instance.log),
            ports=list(launch.ports),
            end_signal=int(launch.end_signal or launch.stop_signal),
            uid=uid,
            gid=gid,
        )
        with self._lock:
            instance.begun(answer["pid"])
            self._instances[answer["pid"]] = instance
            code = self._early.pop(answer["pid"], None)
        if code is not None:
            instance.ended(code)

    @property
    def inherited(self) -> Mapping[str, str]:
        """The environment that a non-hermetic process inherits."""
        return self._inherited

    @property
    def owner(self) -> int:
        """The supervisor."""
        return self._control.pid

    def request(self, op: str, **facts: Any) -> dict[str, Any]:
        """Send a request to the supervisor and wait for its response."""
        return self._control.request(op, **facts)

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Let the run outlive this process; the supervisor ends it on SIGTERM."""
        self._closed = self._detached = True
        self._control.detach([str(path) for path in leftovers])

    def close(self) -> None:
        """Stop everything and remove the run's folder.

        Raises:
            TeardownError: the supervisor did not exit in time.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._control.finish()

    def _exited(self, pid: int, code: int) -> None:
        with self._lock:
            instance = self._instances.pop(pid, None)
            if instance is None:
                # The exit event arrived before the response to spawn.
                self._early[pid] = code
        if instance is not None:
            instance.ended(code)

    def _lost(self) -> None:
        """The supervisor is gone, and so is everything it started, unless it was detached."""
        with self._lock:
            living = [] if self._detached else list(self._instances.values())
        for instance in living:
            instance.ended(-int(signal.SIGKILL))

    def _tell_what_is_left_out(self, launch: Launch) -> None:
        """Write the names, but never the values, at the start of its log."""
        missing = sorted({*self._inherited} - {*self._environment} - {*launch.env})
        if missing:
            with open_private(self.log(launch.name), "a", encoding="utf-8") as log:
                log.write(f"dapr-harness: hermetic, so not inherited: {' '.join(missing)}\n")

    def _program(self, launch: Launch) -> str:
        path = self._environment.get("PATH", os.defpath)
        found = shutil.which(launch.argv[0], path=launch.env.get("PATH", path))
        if found is not None:
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
        if not launch.unprivileged or os.geteuid() != 0:
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
