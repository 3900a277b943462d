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
"""The account used for what refuses to run as root; it exists on every Unix."""


class ProcessRuntime(Closing):
    """Starts processes through a supervisor of its own.

    Args:
        environment: the variables that every process inherits.
        told: called with each line that a helper of the supervisor prints (op ``listen``).
        whole: what a launch with ``inherits`` inherits instead.

    Raises:
        Unavailable: a folder in which it must write is not this user's own.
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
        # Said here: a supervisor that finds it out can only die of it.
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
            # A supervisor that was started ends with its line, and removes the folder too.
            clear_run_folder(self.folder)
            raise

    def log(self, name: str) -> Path:
        """The log file of a node."""
        return self.folder / "logs" / f"{name}.log"

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Nothing is shared."""

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """Hold a port of 127.0.0.1 until a launch that lists it is executed.

        Raises:
            PortTaken: the wanted port belongs to somebody else; the message names the owner.
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
            # Credentials are in some of them.
            (folder / name).chmod(0o600)
        account = self._account(launch)
        if account is not None:
            self._require_passable(launch.name)
            # Prepared folders carry their owner with them; the rest is the node's folder itself.
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
        """What a process that is not hermetic inherits."""
        return self._inherited

    @property
    def owner(self) -> int:
        """The supervisor."""
        return self._control.pid

    def request(self, op: str, **facts: Any) -> dict[str, Any]:
        """Ask the supervisor and wait for its answer."""
        return self._control.request(op, **facts)

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Let the run outlive this process; the supervisor ends it on SIGTERM."""
        self._closed = self._detached = True
        self._control.detach([str(path) for path in leftovers])

    def close(self) -> None:
        """End everything and remove the run's folder.

        Raises:
            TeardownError: the supervisor did not end in time.
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
                # The exit overtook the answer to spawn.
                self._early[pid] = code
        if instance is not None:
            instance.ended(code)

    def _lost(self) -> None:
        """The supervisor is gone; so is everything it had started, unless it was let go."""
        with self._lock:
            living = [] if self._detached else list(self._instances.values())
        for instance in living:
            instance.ended(-int(signal.SIGKILL))

    def _tell_what_is_left_out(self, launch: Launch) -> None:
        """The names, and never the values, at the head of its log."""
        missing = sorted({*self._inherited} - {*self._environment} - {*launch.env})
        if missing:
            with open_private(self.log(launch.name), "a", encoding="utf-8") as log:
                log.write(f"dapr-harness: hermetic, so not inherited: {' '.join(missing)}\n")

    def _program(self, launch: Launch) -> str:
        path = self._environment.get("PATH", os.defpath)
        found = shutil.which(launch.argv[0], path=launch.env.get("PATH", path))
        if found is not None:
            # Absolute, or the node's folder would be searched for a relative one; not resolved, or
            # a virtual environment's python would become the one it was made from.
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
        """An unprivileged process must be able to reach its folder.

        Raises:
            LaunchError: a folder on the way is closed to it.
        """
        for parent in self.folder.parents:
            if not parent.stat().st_mode & stat.S_IXOTH:
                raise LaunchError(
                    f"{name} runs as {UNPRIVILEGED!r} and cannot reach {self.folder}",
                    last=f"{parent} is closed to other accounts",
                    hint="set TMPDIR to a folder that others can pass through, such as /tmp",
                )
