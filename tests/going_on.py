"""Commands that go on while a test reads what they print. No wait here is without a limit."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.core.deadline import Deadline
from tests.support import CLI, environment

LIMIT = 60.0
"""Seconds within which a line must come, unless a test says otherwise."""


class GoingOn:
    """A command that goes on.

    Args:
        process: its process.
        stream: its standard output unless another one is given; nobody else reads it.
    """

    def __init__(self, process: subprocess.Popen[str], stream: IO[str] | None = None) -> None:
        found = stream or process.stdout
        assert found is not None
        self.process = process
        self._stream = found
        self._read = b""

    def line(self, within: float = LIMIT) -> str:
        """The next line of its output.

        Args:
            within: seconds.
        """
        return self._line(Deadline(within))

    def lines(self, within: float = LIMIT) -> Iterator[str]:
        """The next lines of its output.

        Args:
            within: seconds for all of them.
        """
        deadline = Deadline(within)
        while True:
            yield self._line(deadline)

    def ended(self, within: float = LIMIT) -> str:
        """What it has printed on standard error, once it has ended.

        Args:
            within: seconds.
        """
        return self.process.communicate(timeout=within)[1]

    def rest(self) -> str:
        """What else it has printed, once it has ended."""
        return self._read.decode() + self._stream.read()

    def _line(self, deadline: Deadline) -> str:
        command = " ".join(map(str, self.process.args[3:]))  # type: ignore[index]  # a list
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._stream], [], [], deadline.remaining)
            assert ready, f"`{command}` has printed no such line in {deadline.budget:g} s"
            part = os.read(self._stream.fileno(), 65536)
            assert part, f"the output of `{command}` has ended: {self.ended()}"
            self._read += part
        found, _, self._read = self._read.partition(b"\n")
        return found.decode()


@contextmanager
def going_on(folder: Path, *arguments: str) -> Iterator[GoingOn]:
    """The command line in a project's folder; it is killed at the end of the block."""
    with subprocess.Popen(
        [*CLI, *arguments], cwd=folder, env=environment(folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield GoingOn(process)
        finally:
            process.kill()
