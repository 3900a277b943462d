"""The harness's end of the line to its supervisor."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from harness.errors import InstanceDied, LaunchError, TeardownError
from harness.runtime import supervisor

STOPPING = 60.0
"""Seconds that a supervisor may take to end everything; it kills after one."""

LEFT_BEHIND = 3
"""Its exit code when something could not be removed; the run's folder is kept then."""


class Control:
    """Starts a supervisor, asks it, and hears from it.

    Args:
        folder: the run's folder, removed by the supervisor at the end.
        exited: called with process id and exit code, from a thread of its own.
        lost: called once when the supervisor is gone, from the same thread.
        told: called with each line that a helper prints, from the same thread.
    """

    def __init__(
        self,
        folder: Path,
        exited: Callable[[int, int], None],
        lost: Callable[[], None],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._exited = exited
        self._lost = lost
        self._told = told
        self._lock = threading.Lock()
        self._answers: dict[int, Future[dict[str, Any]]] = {}
        self._serial = 0
        self._ended = False
        self._unread = ""
        self._socket, theirs = socket.socketpair()
        # A log of its own: a detached supervisor that kept our standard output would keep whoever
        # reads it waiting for the end.
        with theirs, (folder / "logs" / "supervisor.log").open("ab") as log:
            program = [sys.executable, "-I", "-S", supervisor.__file__]
            self._process = subprocess.Popen(
                [*program, str(theirs.fileno()), str(folder)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        self._reader = threading.Thread(target=self._read, name="supervisor", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def request(self, op: str, **facts: Any) -> dict[str, Any]:
        """Ask and wait for the answer.

        Raises:
            LaunchError: the supervisor could not do it.
            InstanceDied: the supervisor is gone, or cannot be understood.
        """
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._ended:
                raise self._gone()
            self._serial += 1
            self._answers[self._serial] = future
            self._send({"id": self._serial, "op": op, **facts})
        answer = future.result()
        if "error" in answer:
            raise LaunchError(f"{op} failed for {facts.get('name', '')}", last=answer["error"])
        return answer

    def finish(self) -> None:
        """End everything and wait until the supervisor has gone.

        Raises:
            TeardownError: it did not go.
        """
        with self._lock:
            self._send({"id": 0, "op": "finish"})
        try:
            code = self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            raise TeardownError(
                f"the supervisor (pid {self.pid}) did not end",
                budget=STOPPING,
                hint=f"look below that pid, and at {self._folder}",
            ) from None
        finally:
            self._hang_up()
        if code == LEFT_BEHIND:
            raise TeardownError(
                "not everything that the run made could be removed",
                last=(self._folder / "logs" / "supervisor.log").read_text()[-1500:],
                hint="`dapr-harness down --stale` tries again",
            )

    def detach(self, leftovers: list[str]) -> None:
        """Let the supervisor go on without us."""
        self.request("detach", leftovers=leftovers)
        self._hang_up()
        # Not ours to wait for any more; without a code Popen would complain when collected.
        self._process.returncode = 0

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        # A supervisor that is gone is noticed by the reader, which answers whoever waits.
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        line = b""
        try:
            with contextlib.suppress(OSError), self._socket.makefile("rb") as stream:
                for line in stream:
                    self._receive(json.loads(line))
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            # A line without its end is the last word of a supervisor that was killed.
            if line.endswith(b"\n"):
                self._unread = f"{type(error).__name__}: {error}, at the line {line[:500]!r}"
        with self._lock:
            self._ended = True
            waiting, self._answers = list(self._answers.values()), {}
        for future in waiting:
            future.set_exception(self._gone())
        self._lost()

    def _receive(self, message: dict[str, Any]) -> None:
        if message.get("event") == "exited":
            self._exited(message["pid"], message["code"])
            return
        if message.get("event") == "told":
            self._told(message["line"])
            return
        with self._lock:
            future = self._answers.pop(message["id"], None)
        if future is not None:
            future.set_result(message)

    def _gone(self) -> InstanceDied:
        if self._unread:
            return InstanceDied(
                "what the stack's supervisor says cannot be understood",
                last=self._unread,
                hint="nothing is heard of it any more: end this stack",
            )
        return InstanceDied(
            "the stack's supervisor has ended, and with it everything it had started",
            last=f"exit code {self._process.poll()}",
            hint="somebody killed it, or the machine ran out of memory",
        )
