"""The harness's side of the connection to its supervisor."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from harness.errors import InstanceDied, LaunchError, TeardownError
from harness.private import open_private
from harness.runtime import supervisor, tree
from harness.runtime.folder import clear_run_folder

ANSWERING = 30.0
"""Seconds within which a supervisor must respond; it takes milliseconds."""

STOPPING = 60.0
"""Seconds that a supervisor may take to stop everything; it kills after one."""

LEFT_BEHIND = 3
"""Its exit code if something could not be removed; the run's folder is then kept."""


class Control:
    """Starts a supervisor, sends it requests, and receives its events.

    Args:
        folder: the run's folder, removed by the supervisor at the end.
        exited: called with process id and exit code, in a separate thread.
        lost: called once when the supervisor is gone, in the same thread.
        told: called with each line that a helper prints, in the same thread.
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
        # For a supervisor that no longer reads; receiving has no limit.
        limit = struct.pack("ll", int(ANSWERING), 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        with theirs:
            try:
                self._process = self._begin(theirs.fileno())
            except BaseException:
                self._socket.close()
                raise
        tree.supervisors.add(self.pid)
        self._reader = threading.Thread(target=self._read, name="supervisor", daemon=True)
        self._reader.start()

    def _begin(self, line: int) -> subprocess.Popen[bytes]:
        # A separate log: a detached supervisor with our standard output would keep readers of it
        # waiting for the end.
        with open_private(self._folder / "logs" / "supervisor.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(line), str(self._folder)],
                pass_fds=[line],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def request(self, op: str, **facts: Any) -> dict[str, Any]:
        """Send a request and wait for the response.

        Raises:
            LaunchError: the supervisor could not do it, or does not respond.
            InstanceDied: the supervisor is gone, or its response is invalid.
        """
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._ended:
                raise self._gone()
            self._serial += 1
            self._answers[self._serial] = future
            self._send({"id": self._serial, "op": op, **facts})
        try:
            answer = future.result(ANSWERING)
        except TimeoutError:
            raise self._silent(op) from None
        if "error" in answer:
            raise LaunchError(f"{op} failed for {facts.get('name', '')}", last=answer["error"])
        return answer

    def finish(self) -> None:
        """Stop everything and wait until the supervisor has exited.

        Raises:
            TeardownError: it did not exit.
        """
        # Someone may have stopped it.
        self._process.send_signal(signal.SIGCONT)
        with self._lock:
            self._send({"id": 0, "op": "finish"})
        try:
            code = self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            raise self._killed() from None
        finally:
            self._hang_up()
        if code == LEFT_BEHIND:
            raise TeardownError(
                "not everything that the run made could be removed",
                last=(self._folder / "logs" / "supervisor.log").read_text()[-1500:],
                hint="`dapr-harness down --stale` tries again",
            )
        if code != 0 and (problem := clear_run_folder(self._folder)):
            raise TeardownError(
                "the supervisor was killed, and not everything of its run could be removed",
                last=problem,
                hint="`dapr-harness down --stale` tries again",
            )

    def detach(self, leftovers: list[str]) -> None:
        """Let the supervisor continue without us."""
        self.request("detach", leftovers=leftovers)
        tree.detached.add(self.pid)
        self._hang_up()
        # No longer ours to wait for; without a code, Popen would complain when garbage-collected.
        self._process.returncode = 0

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(ANSWERING)
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        # The reader notices a supervisor that is gone, and responds to waiting requests.
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

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

    def _silent(self, op: str) -> LaunchError:
        return LaunchError(
            f"the stack's supervisor (pid {self.pid}) does not answer",
            expected=f"an answer to {op!r}",
            last=f"the state of its process: {tree.state_of(self.pid) or 'gone'}",
            budget=ANSWERING,
            hint=f"kill -CONT {self.pid} if it was stopped; its log is in {self._folder}/logs",
        )

    def _killed(self) -> TeardownError:
        state = tree.state_of(self.pid)
        tree.kill_tree(self.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPPING)
        return TeardownError(
            f"the supervisor (pid {self.pid}) did not end, and was killed with all below it",
            last=f"the state of its process: {state}",
            budget=STOPPING,
            hint=f"look at {self._folder}/logs; `dapr-harness down --stale` removes it",
        )

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
