"""The harness's side of a connection to a supervisor: its own, or that of a run that is up."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from harness.core.errors import ConfigError, HarnessError, InstanceDied, LaunchError, TeardownError
from harness.runtime import tree
from harness.runtime.folder import clear_run_folder, door_of, make_run_folder
from harness.runtime.proc import own_name, wait_gone
from harness.runtime.supervisor.clients import PROTOCOL
from harness.runtime.supervisor_process import STOPPING, SupervisorProcess

ANSWERING = 30.0
"""Seconds within which a supervisor must respond; it takes milliseconds."""

OPERATING = 120.0
"""Seconds within which an operation on a node must be done, including those of other clients that
were asked for earlier."""


class Listener(Protocol):
    """Who is informed of what happens in a run, in a separate thread."""

    def entry(self, entry: dict[str, Any]) -> None:
        """A new entry of the run's journal."""
        ...

    def line(self, line: str) -> None:
        """A line that a helper of the supervisor has printed; "" when it has ended."""
        ...

    def lost(self, by: str) -> None:
        """The supervisor is gone; "" if nobody has ended it."""
        ...


class SupervisorClient:
    """Sends requests to a supervisor, and receives its events; thread-safe.

    Args:
        folder: the run's folder.
        line: the connection.
        listener: informed of what happens.
        process: the supervisor, if this client has started it.

    Attributes:
        number: the client's number in the run.
        ending: why the run ends; "" while it does not.
    """

    def __init__(
        self,
        folder: Path,
        line: socket.socket,
        listener: Listener,
        process: SupervisorProcess | None,
    ) -> None:
        self._folder = folder
        self._socket = line
        self._listener = listener
        self._process = process
        self._lock = threading.Lock()
        self._answers: dict[int, Future[dict[str, Any]]] = {}
        self._serial = self.number = 0
        self._ended = False
        self._unread = self.ending = ""
        # For a supervisor that no longer reads; receiving has no limit.
        limit = struct.pack("ll", int(ANSWERING), 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._reader = threading.Thread(target=self._read, name="supervisor", daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, folder: Path, listener: Listener) -> SupervisorClient:
        """Start a supervisor for a new run, and make the run's folder.

        Whatever happens from then on, the supervisor removes it. It ends with this client unless
        others are there.

        Args:
            folder: a result of `new_run_folder`.
            listener: informed of what happens.

        Raises:
            Unavailable: the folder cannot be written.
            InstanceDied: the supervisor did not start.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = SupervisorProcess(folder, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        made = cls(folder, ours, listener, process)
        try:
            make_run_folder(folder, process.pid)
            made._introduce()
            made.request("begin")
            made.request("subscribe", after=0)
        except BaseException:
            made.hang_up()
            process.wait()
            clear_run_folder(folder)
            raise
        return made

    @classmethod
    def connect(
        cls, folder: Path, owner: int, listener: Listener, *, lease: bool = True
    ) -> SupervisorClient:
        """Become a client of a run that is up.

        Args:
            folder: the run's folder.
            owner: the process id of its supervisor, for messages.
            listener: informed of what happens.
            lease: whether to keep the run alive from now on.

        Raises:
            ConfigError: the supervisor does not respond, or speaks another protocol.
        """
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(str(door_of(folder)))
        except OSError as error:
            line.close()
            raise ConfigError(
                f"the supervisor of the stack (pid {owner}) cannot be reached",
                last=str(error),
                hint="`dapr-harness down`, then `dapr-harness up`: it may be of another version",
            ) from None
        made = cls(folder, line, listener, None)
        try:
            made._introduce()
            if lease:
                made.request("lease")
        except BaseException:
            made.hang_up()
            raise
        return made

    @property
    def pid(self) -> int:
        """The supervisor's process id; 0 if another process has started it."""
        return self._process.pid if self._process else 0

    def _introduce(self) -> None:
        try:
            answer = self.request("hello", protocol=PROTOCOL, who=own_name())
        except LaunchError as error:
            raise ConfigError(
                "the stack was started by another version of dapr-harness",
                last=error.last,
                hint="`dapr-harness down`, then `dapr-harness up`",
            ) from None
        self.number = answer["number"]

    def request(self, op: str, *, budget: float | None = None, **facts: Any) -> dict[str, Any]:
        """Send a request and wait for the response.

        Args:
            op: see ``supervisor/program.py``.
            budget: seconds within which the response must arrive; `ANSWERING` if None.

        Raises:
            LaunchError: the supervisor could not do it, or does not respond.
            InstanceDied: the supervisor is gone, or its response is invalid.
        """
        budget = ANSWERING if budget is None else budget
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._ended:
                raise self._gone()
            self._serial += 1
            self._answers[self._serial] = future
            self._send({"id": self._serial, "op": op, **facts})
        try:
            answer = future.result(budget)
        except TimeoutError:
            raise self._silent(op, budget) from None
        if "error" in answer:
            raise _refused(op, str(facts.get("name", "")), answer)
        return answer

    def operate(self, op: str, name: str, **facts: Any) -> dict[str, Any]:
        """Carry out an operation on a node, after those that were asked for earlier."""
        return self.request(op, budget=OPERATING, name=name, **facts)

    def note(self, kind: str, node: str, at: float, facts: dict[str, Any]) -> None:
        """Add an entry to the run's journal, without waiting for a response."""
        with self._lock:
            self._send({"id": 0, "op": "note", "kind": kind, "node": node, "at": at,
                        "facts": facts})  # fmt: skip

    def finish(self) -> None:
        """Stop everything and wait until the supervisor has exited.

        Raises:
            TeardownError: it did not exit.
        """
        if self._process is None:
            owner = self._owner()
            self.hang_up()
            if owner and not wait_gone(owner, STOPPING):
                raise TeardownError(
                    f"the supervisor (pid {owner}) did not end with its last client",
                    budget=STOPPING,
                    hint=f"look at {self._folder}/logs; `dapr-harness down --stale` removes it",
                )
            return
        with self._lock:
            self._send({"id": 0, "op": "finish"})
        try:
            self._process.wait()
        finally:
            self.hang_up()
        self._process.require_nothing_left()

    def leave(self) -> int:
        """Give the lease back. The number of clients that keep the run alive; -1 if it stays
        without any."""
        try:
            answer = self.request("leave")
        except HarnessError:
            return 0
        return -1 if answer["detached"] else int(answer["others"])

    def detach(self, leftovers: list[str]) -> None:
        """Let the supervisor continue without us."""
        self.request("detach", leftovers=leftovers)
        self.abandon()

    def abandon(self) -> None:
        """Disconnect from a run that goes on."""
        if self._process is not None:
            self._process.let_go()
        self.hang_up()

    def hang_up(self) -> None:
        """Disconnect."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._reader:
            self._reader.join(ANSWERING)
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        # The reader notices a supervisor that is gone, and responds to waiting requests.
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message, default=str).encode() + b"\n")

    def _read(self) -> None:
        line = b""
        try:
            with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
                for line in stream:
                    self._receive(json.loads(line))
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            # An incomplete line is the last output of a supervisor that was killed.
            if line.endswith(b"\n"):
                self._unread = f"{type(error).__name__}: {error}, at the line {line[:500]!r}"
        with self._lock:
            self._ended = True
            waiting, self._answers = list(self._answers.values()), {}
        for future in waiting:
            future.set_exception(self._gone())
        self._listener.lost(self.ending)

    def _receive(self, message: dict[str, Any]) -> None:
        event = message.get("event")
        if event == "entry":
            if message["kind"] == "run.ending":
                self.ending = str(message["by"])
            self._listener.entry(message)
        elif event == "line":
            self._listener.line(message["line"])
        elif event == "refused":
            self._unread = str(message["reason"])
        elif future := self._waiting(message["id"]):
            future.set_result(message)

    def _waiting(self, serial: int) -> Future[dict[str, Any]] | None:
        with self._lock:
            return self._answers.pop(serial, None)

    def _silent(self, op: str, budget: float) -> LaunchError:
        return LaunchError(
            f"the stack's supervisor (pid {self._owner()}) does not answer",
            expected=f"an answer to {op!r}",
            last=f"the state of its process: {tree.state_of(self._owner()) or 'gone'}",
            budget=budget,
            hint=f"kill -CONT {self._owner()} if it was stopped; its log is in {self._folder}/logs",
        )

    def _owner(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self.pid or int((self._folder / "owner").read_text().split(" ")[0])
        return self.pid

    def _gone(self) -> InstanceDied:
        if self._unread:
            return InstanceDied(
                "the stack's supervisor sent something that cannot be understood",
                last=self._unread,
                hint="it is no longer listened to: stop this stack",
            )
        if self.ending:
            return InstanceDied(
                "the stack has been ended",
                last=f"by {self.ending}",
                hint="start it again with `dapr-harness up`",
            )
        return InstanceDied(
            "the stack's supervisor has ended, and with it everything it had started",
            last=self._process.end if self._process else "",
            hint="it was killed, or the machine ran out of memory",
        )


def _refused(op: str, name: str, answer: dict[str, Any]) -> HarnessError:
    if answer["kind"] == "EBUSY":
        return TeardownError(
            f"{name} cannot be stopped",
            last=answer["error"],
            hint="look at its state in /proc; one in uninterruptible I/O cannot be killed",
        )
    if answer["kind"] == "ESRCH":
        return InstanceDied(f"{name} is not running", last=answer["error"])
    return LaunchError(f"{op} failed for {name}" if name else f"{op} failed", last=answer["error"])
