"""Carries a plan out on a stack, and plays the orchestrator: what has ended is started again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import HarnessError, Stack
from harness.core.deadline import Deadline, ticks
from tests.faults.plan import SESSION, Fault

PAUSE = 0.5
"""Seconds after which what has ended by itself is started again."""

RECOVERY = 400.0
"""Seconds that the whole system gets to be ready again; a sidecar may have to try twice."""

DEAF = "did not pass the readiness check 'subscriptions'"
"""What a sidecar says that has no subscriptions. daprd 1.18.2 asks its app for them once, and notes
that it has asked before there is an answer (`initProgrammaticSubscriptions`): if the app is killed
just then, there are none until somebody starts the sidecar again."""


class Attacker:
    """Does things to the parts of a stack.

    Attributes:
        done: the faults that were carried out.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._parts = [name for name in stack.instances if name != "receiver"]
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._away: set[str] = set()
        self._over = threading.Event()
        self.done: list[Fault] = []

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Whatever ends is started again, for as long as inside."""
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._over.set()
            keeper.join()

    def carry_out(self, plan: Sequence[Fault], clock: Deadline) -> None:
        """Every fault at its time, each in a thread; those of one part one after the other.

        Args:
            clock: counts down from the attack's beginning.
        """
        with ThreadPoolExecutor(max(1, len(plan))) as threads:
            for each in [threads.submit(self._carry_out, fault, clock) for fault in plan]:
                each.result()

    def recover(self) -> None:
        """Wait until every part is ready.

        Raises:
            HarnessError: one of them is not, in the time that all get.
        """
        deadline = Deadline(RECOVERY)
        for name in self._parts:
            self._await_ready(name, deadline)

    def _await_ready(self, name: str, deadline: Deadline) -> None:
        for _ in ticks(deadline, PAUSE):
            try:
                self._stack.await_ready(name)
                return
            except HarnessError as error:
                # It, or something that it needs, has just ended and is started again.
                if deadline.passed:
                    raise
                if DEAF in str(error):
                    with self._lock_of(name):
                        self._instance(name).restart()

    def _carry_out(self, fault: Fault, clock: Deadline) -> None:
        wait_until(fault.at, clock)
        if fault.part == SESSION:
            kill_session(self._instance("postgres").pid)
        elif fault.how == "kill":
            self._kill(fault)
        else:
            self._stop(fault)
        self.done.append(fault)

    def _kill(self, fault: Fault) -> None:
        with self._lock_of(fault.part):
            self._instance(fault.part).kill()
            self._wait(fault.seconds)
            self._instance(fault.part).restart()

    def _stop(self, fault: Fault) -> None:
        # Without the lock: what is stopped can be killed meanwhile.
        instance, pid = self._instance(fault.part), self._instance(fault.part).pid
        with self._lock_of(fault.part):
            instance.pause()
        self._wait(fault.seconds)
        with self._lock_of(fault.part):
            if instance.pid == pid:
                instance.resume()

    def _keep(self) -> None:
        while not self._over.wait(PAUSE):
            for name in self._parts:
                lock = self._lock_of(name)
                # Held: somebody keeps it away on purpose.
                if lock.acquire(blocking=False):
                    try:
                        if self._instance(name).exit_code is not None:
                            self._instance(name).restart()
                    finally:
                        lock.release()

    def _lock_of(self, part: str) -> threading.Lock:
        return self._locks[part]

    def _instance(self, name: str) -> Any:
        return self._stack.instances[name]

    @staticmethod
    def _wait(seconds: float) -> None:
        wait_until(seconds, Deadline(seconds))


def wait_until(at: float, clock: Deadline) -> None:
    """Wait until so many seconds of a clock's budget are used up."""
    left = Deadline(max(0.0, at - (clock.budget - clock.remaining)))
    for _ in ticks(left, max(left.budget, 0.001)):
        pass


def kill_session(server: int) -> None:
    """SIGKILL for one process of a PostgreSQL server that serves a client."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            title = (entry / "cmdline").read_bytes()
            if parent == server and title.startswith(b"postgres: postgres todo"):
                os.kill(int(entry.name), signal.SIGKILL)
                return
