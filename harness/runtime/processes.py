"""The processes runtime: every launch is a child of one supervisor process."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.deadline import Deadline, Observation, poll
from harness.endpoint import LOOPBACK, Endpoint
from harness.errors import InstanceDied, LaunchError, PortTaken, TeardownError
from harness.files import copy_tree
from harness.launch import Launch
from harness.runtime import supervisor
from harness.runtime.base import State
from harness.runtime.owner import owner_of

UNPRIVILEGED = "nobody"
"""The account used for what refuses to run as root; it exists on every Unix."""


class ProcessInstance:
    """A launch that runs as a child of the supervisor. Killable, pausable, restartable."""

    def __init__(self, runtime: ProcessRuntime, launch: Launch) -> None:
        self._runtime = runtime
        self.launch = launch
        self.pid = 0
        self._ended = threading.Event()
        self._exit_code: int | None = None
        self._ready = False

    def __repr__(self) -> str:
        return f"<{self.name} {self.state.value} pid={self.pid}>"

    @property
    def name(self) -> str:
        """The node's name."""
        return self.launch.name

    @property
    def log(self) -> Path:
        """The file that holds both output streams from the first byte on."""
        return self._runtime.log(self.name)

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

    def begun(self, pid: int) -> None:
        """Called by the runtime when the process exists."""
        self.pid, self._exit_code, self._ready = pid, None, False
        self._ended.clear()

    def ended(self, code: int) -> None:
        """Called by the runtime when the process has ended."""
        self._exit_code = code
        self._ended.set()

    def stop(self, grace: float | None = None) -> None:
        """SIGTERM, then SIGKILL after the grace; waits until it is gone."""
        if self._ended.is_set():
            return
        # A stopped process does not act on SIGTERM before it is continued.
        self._signal(signal.SIGCONT)
        self._runtime.request("signal_one", pid=self.pid, signal=int(self.launch.stop_signal))
        if not self._ended.wait(self.launch.grace if grace is None else grace):
            self.kill()

    def kill(self) -> None:
        """SIGKILL for the process and its descendants; waits until it is gone."""
        if self._ended.is_set():
            return
        self._signal(signal.SIGKILL)
        if not self._ended.wait(10):
            raise TeardownError(
                f"{self.name} (pid {self.pid}) survived SIGKILL",
                budget=10,
                hint="look at its state in /proc; one in uninterruptible I/O cannot be killed",
            )

    def pause(self) -> None:
        """SIGSTOP for the process and its descendants."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT for the process and its descendants."""
        self._signal(signal.SIGCONT)

    def restart(self, grace: float | None = None) -> None:
        """Stop and start the same launch again: same ports, same data."""
        self.stop(grace)
        self._runtime.spawn(self)

    def _signal(self, number: signal.Signals) -> None:
        self._runtime.request("signal", pid=self.pid, signal=int(number))


class ProcessRuntime:
    """Starts processes through a supervisor of its own.

    Args:
        environment: the variables that every process inherits.
        keep_folder: leave the run's folder (logs, data) behind when closed.
    """

    name = "processes"

    def __init__(self, environment: Mapping[str, str], *, keep_folder: bool = False) -> None:
        self._environment = dict(environment)
        self._keep = keep_folder
        self.folder = _run_folder()
        self._lock = threading.Lock()
        self._answers: dict[int, Future[dict[str, Any]]] = {}
        self._instances: dict[int, ProcessInstance] = {}
        self._early: dict[int, int] = {}
        self._serial = 0
        self._closed = False
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._supervisor = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", supervisor.__file__),
                    *(str(theirs.fileno()), str(self.folder)),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        self._reader = threading.Thread(target=self._read, name="supervisor", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def log(self, name: str) -> Path:
        """The log file of a node."""
        return self.folder / "logs" / f"{name}.log"

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
                last=owner_of(wanted) if wanted else error.last,
                hint="stop that process, or leave the port to the harness",
            ) from None
        return Endpoint(LOOPBACK, answer["port"])

    def start(self, launch: Launch) -> ProcessInstance:
        """Write the launch's files, copy its folders and start it.

        Raises:
            LaunchError: the program is missing or cannot be executed.
        """
        folder = self.folder / "nodes" / launch.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in launch.folders.items():
            copy_tree(source, folder / name)
        for name, text in launch.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        account = self._account(launch)
        if account is not None:
            # Prepared folders carry their owner with them; the rest is the node's folder itself.
            for path in (folder, *(folder / name for name in launch.files)):
                os.chown(path, *account)
        instance = ProcessInstance(self, launch)
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
            env={**self._environment, **launch.env},
            cwd=str(launch.cwd or folder),
            log=str(instance.log),
            ports=list(launch.ports),
            stop_signal=int(launch.stop_signal),
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
    def owner(self) -> int:
        """The supervisor."""
        return self._supervisor.pid

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Let the run outlive this process; the supervisor ends it on SIGTERM."""
        self.request("detach", leftovers=[str(path) for path in leftovers])
        with self._lock:
            self._closed = True
        self._socket.close()
        # Not ours to wait for any more; without a code Popen would complain when collected.
        self._supervisor.returncode = 0

    def close(self) -> None:
        """End everything and remove the run's folder.

        Raises:
            TeardownError: the supervisor did not end in time.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(OSError):
            self._send({"id": 0, "op": "finish", "keep": self._keep})
        try:
            self._supervisor.wait(30)
        except subprocess.TimeoutExpired:
            raise TeardownError(
                f"the supervisor (pid {self._supervisor.pid}) did not end",
                budget=30,
                hint=f"look below that pid, and at {self.folder}",
            ) from None
        finally:
            self._socket.close()

    def request(self, op: str, **facts: Any) -> dict[str, Any]:
        """Ask the supervisor and wait for its answer."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            self._serial += 1
            serial = self._serial
            self._answers[serial] = future
        try:
            self._send({"id": serial, "op": op, **facts})
        except OSError:
            raise self._gone() from None
        answer = future.result()
        if "error" in answer:
            raise LaunchError(f"{op} failed for {facts.get('name', '')}", last=answer["error"])
        return answer

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._lock if message["id"] else contextlib.nullcontext():
            self._socket.sendall(data)

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
            for line in stream:
                self._receive(json.loads(line))
        with self._lock:
            waiting, self._answers = list(self._answers.values()), {}
            living = list(self._instances.values())
        for future in waiting:
            future.set_exception(self._gone())
        for instance in living:
            if instance.exit_code is None and not self._closed:
                instance.ended(-int(signal.SIGKILL))

    def _receive(self, message: dict[str, Any]) -> None:
        if message.get("event") == "exited":
            with self._lock:
                instance = self._instances.pop(message["pid"], None)
                if instance is None:
                    # The exit overtook the answer to spawn.
                    self._early[message["pid"]] = message["code"]
            if instance is not None:
                instance.ended(message["code"])
            return
        with self._lock:
            future = self._answers.pop(message["id"], None)
        if future is not None:
            future.set_result(message)

    def _gone(self) -> InstanceDied:
        return InstanceDied(
            "the stack's supervisor has ended, and with it everything it had started",
            last=f"exit code {self._supervisor.poll()}",
            hint="somebody killed it, or the machine ran out of memory",
        )

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


def _run_folder() -> Path:
    """A new folder that others can pass through only as far as an unprivileged node must."""
    base = Path(tempfile.gettempdir()) / f"dapr-harness-{os.getuid()}"
    mode = 0o711 if os.geteuid() == 0 else 0o700
    base.mkdir(mode=mode, exist_ok=True)
    folder = base / secrets.token_hex(4)
    folder.mkdir(mode=mode)
    for room in ("logs", "nodes"):
        (folder / room).mkdir(mode=mode)
    return folder


def wait_gone(pid: int, seconds: float) -> bool:
    """Whether a process that need not be a child ended within that time."""

    def look() -> Observation:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return Observation(True)
        return Observation(_is_zombie(pid), f"pid {pid} is alive")

    return poll(look, Deadline(seconds)).ok


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False
