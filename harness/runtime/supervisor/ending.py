"""Ends the processes of a run."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable

from harness.runtime.supervisor.nodes import Nodes
from harness.runtime.tree import descendants, quick_descendants

GRACE = 1.0
"""Seconds that processes have to end; those that end last have what they have asked for."""

KILLING = 5.0
"""Seconds within which what was killed must be gone."""


class Ending:
    """The end of everything below this process.

    Args:
        nodes: knows how each process ends.
        wakeup: can be read when a child has exited.
    """

    def __init__(self, nodes: Nodes, wakeup: int) -> None:
        self._nodes = nodes
        self._wakeup = wakeup
        self._spared: dict[int, float] = {}
        self._spares = True

    def end_all(self) -> None:
        """End every process, and then those that wait for the end of all others."""
        self._end(GRACE)
        if self._spared:
            self._spares = False
            self._end(max(self._spared.values()))

    def _end(self, grace: float) -> None:
        if not self._sweep(grace, self._signal_of, once=True):
            self._sweep(KILLING, lambda _pid: signal.SIGKILL, once=False)

    def _signal_of(self, pid: int) -> int:
        return int(self._nodes.spawned(pid).get("end_signal", signal.SIGTERM))

    def _sweep(self, grace: float, choose: Callable[[int], int], *, once: bool) -> bool:
        """Send signals to what lives, until nothing does. Returns whether that was in time."""
        ends = time.monotonic() + grace
        told: set[int] = set()
        while time.monotonic() < ends:
            living = self._living(quick_descendants) or self._living(descendants)
            if not living:
                return True
            for pid in living:
                if not once or pid not in told:
                    told.add(pid)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, choose(pid))
                        # A stopped process handles a signal only after it is continued.
                        os.kill(pid, signal.SIGCONT)
            # Woken by SIGCHLD; the limit is for grandchildren, whose exit sends no signal here.
            if select.select([self._wakeup], [], [], 0.02)[0]:
                os.read(self._wakeup, 512)
        return False

    def _living(self, below: Callable[[int], list[int]]) -> list[int]:
        found = (pid for pid in below(os.getpid()) if not self._ended(pid))
        return [pid for pid in found if not self._is_spared(pid)]

    def _is_spared(self, pid: int) -> bool:
        request = self._nodes.spawned(pid)
        if self._spares and request.get("ends_last"):
            self._spared[pid] = float(request["grace"])
            return True
        return False

    def _ended(self, pid: int) -> bool:
        try:
            child = self._nodes.children.get(pid)
            if child is not None:
                return child.poll() is not None
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            return False
