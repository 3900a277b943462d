"""What each process of a stack uses, second by second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping

import psutil

Samples = dict[str, list[tuple[float, float, int]]]
"""By node: seconds from the start, percent of a core, bytes of memory."""


class Sampler:
    """Looks once a second, for as long as it is entered.

    Args:
        pids: of the stack's processes, by node.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {}
        for name, pid in pids.items():
            with contextlib.suppress(psutil.Error):
                self._processes[name] = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.samples: Samples = {name: [] for name in self._processes}

    def __enter__(self) -> Sampler:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            for name, process in self._processes.items():
                with contextlib.suppress(psutil.Error):
                    percent, memory = process.cpu_percent(), process.memory_info().rss
                    self.samples[name].append((time.monotonic() - self._began, percent, memory))
            if self._over.wait(1.0):
                return
