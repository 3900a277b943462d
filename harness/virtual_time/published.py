"""The moment that it is, in a file that apps read whenever they ask for the time."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

from harness.core.private import PASSABLE
from harness.virtual_time.flow import Flow
from harness.virtual_time.hook.dapr_harness_clock import (
    RECORD,
    SECOND,
    SIZE,
    TEXT,
    moment_of,
    newest,
    packed,
)

AHEAD = 5_000_000
"""How far ahead time is stopped, in nanoseconds of the real one: writing takes a while."""

READABLE = 0o644
"""Apps may run as somebody else, and the time is no secret."""


BEAT = 0.02
"""Seconds of real time between two moments that libfaketime sees while time flows."""


class Published:
    """Writes the moment; see `harness.virtual_time.hook.dapr_harness_clock` for the format.

    Args:
        path: created if it is not there; its folder is opened for those who know the file's name.
    """

    def __init__(self, path: Path) -> None:
        path.parent.chmod(PASSABLE)
        self._text = _text_of(path)
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, READABLE)
        try:
            os.fchmod(opened, READABLE)
            os.ftruncate(opened, SIZE)
            self._file = mmap.mmap(opened, SIZE)
        finally:
            os.close(opened)

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def frozen(self, moment: int) -> None:
        """It is this moment until something else is published."""
        self._write(moment, 0, 0.0)

    def flowing(self, flow: Flow) -> None:
        """Time flows."""
        self._write(flow.since, flow.real, flow.speed)

    def stopped(self) -> int:
        """Time that flows stands still; returns the moment, which no reader has seen pass.

        Raises:
            ValueError: nothing was published yet.
        """
        content = self._file[:]
        while True:
            real = time.monotonic_ns() + AHEAD
            moment = int(moment_of(content, real))
            self.frozen(moment)
            if time.monotonic_ns() <= real:
                return moment

    def beat(self, moment: int) -> float | None:
        """Show flowing time to those who cannot compute it.

        Returns:
            Seconds of real time until it must be shown again; None if nobody reads it.
        """
        if not self._text.exists():
            return None
        _write_text(self._text, moment)
        return BEAT

    def _write(self, moment: int, since: int, speed: float) -> None:
        if self._text.exists():
            _write_text(self._text, moment)
        try:
            number = int(newest(self._file[:])[0]) + 1
        except ValueError:
            number = 1
        start = number % 2 * RECORD.size
        self._file[start : start + RECORD.size] = packed(number, moment, since, speed)


def show_as_text(path: Path) -> None:
    """Have a clock's file be followed by one for libfaketime, from now on."""
    _write_text(_text_of(path), shown(path))


def shown(path: Path) -> int:
    """The moment that a clock's file shows."""
    return moment_of(path.read_bytes(), time.monotonic_ns())


def _text_of(path: Path) -> Path:
    return path.with_name(path.name + TEXT)


def _write_text(path: Path, moment: int) -> None:
    """Seconds since 1970, and a fraction unless it is zero.

    libfaketime rounds down what it reads as a float: a nanosecond more keeps the microsecond.
    """
    seconds, rest = divmod(moment, SECOND)
    fraction = f".{min(rest + 1, SECOND - 1):09}" if rest else ""
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{seconds}{fraction}\n")
    fresh.chmod(READABLE)
    # A reader finds the old one or the new one.
    fresh.replace(path)
