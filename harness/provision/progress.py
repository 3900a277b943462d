"""Telling a person how far provisioning is."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

LEAST_PAUSE = 0.5
"""Seconds between two looks at how far a step is."""


class Progress(Protocol):
    """Receives what provisioning does; the CLI shows it, tests record it."""

    def begin(self, what: str) -> None:
        """Something that may take longer than two seconds begins."""
        ...

    def advance(self, what: str, fact: str) -> None:
        """It is still going on; the fact is a size or a step."""
        ...

    def end(self, what: str, fact: str) -> None:
        """It is done."""
        ...


class Quiet:
    """Says nothing."""

    def begin(self, what: str) -> None:
        """Say nothing."""

    def advance(self, what: str, fact: str) -> None:
        """Say nothing."""

    def end(self, what: str, fact: str) -> None:
        """Say nothing."""


@contextlib.contextmanager
def step(progress: Progress, what: str, fact: Callable[[], str]) -> Iterator[None]:
    """Report the start, the growth, and the end of one step.

    The growth twice a second at most, and so that looking takes a twentieth of the time at most:
    the size of a build of gigabytes is that of a hundred thousand files.
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
    """The size of a folder that may be growing, for people."""
    total = 0
    with contextlib.suppress(OSError):
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                total += path.lstat().st_size
    return f"{total / 1e6:.0f} MB"
