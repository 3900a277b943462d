"""Reports the progress of provisioning."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

LEAST_PAUSE = 0.5
"""Seconds between two checks of a step's progress."""


class Progress(Protocol):
    """Receives the steps of provisioning; the CLI shows them, tests record them."""

    def begin(self, what: str) -> None:
        """A step that may take longer than two seconds begins."""
        ...

    def advance(self, what: str, fact: str) -> None:
        """The step is still running; the fact is a size or a substep."""
        ...

    def end(self, what: str, fact: str) -> None:
        """The step is done."""
        ...


class Quiet:
    """Reports nothing."""

    def begin(self, what: str) -> None:
        """Do nothing."""

    def advance(self, what: str, fact: str) -> None:
        """Do nothing."""

    def end(self, what: str, fact: str) -> None:
        """Do nothing."""


@contextlib.contextmanager
def step(progress: Progress, what: str, fact: Callable[[], str]) -> Iterator[None]:
    """Report the start, the growth, and the end of one step.

    The growth is reported at most twice a second, and checking it takes at most a twentieth of the
    time: the size of a build of gigabytes is that of a hundred thousand files.
    """
    began = time.monotonic()
    done = threading.Event()

    def report() -> None:
        pause = LEAST_PAUSE
        while not done.wait(pause):
            looked = time.monotonic()
            progress.advance(what, fact())
            pause = max(LEAST_PAUSE, 20 * (time.monotonic() - looked))

    reporter = threading.Thread(target=report, daemon=True)
    progress.begin(what)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()
    progress.end(what, f"{fact()}, {time.monotonic() - began:.1f} s".lstrip(", "))


def size_of(folder: Path) -> str:
    """The size of a possibly growing folder, in readable form."""
    total = 0
    with contextlib.suppress(OSError):
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                total += path.lstat().st_size
    return f"{total / 1e6:.0f} MB"
