"""Follows the ends of log files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.console import out


class Tail:
    """The end of one log file, and the lines added later.

    Args:
        node: the node whose log it is.
        path: the file; it need not exist yet.
        lines: the number of last lines to start with.
    """

    def __init__(self, node: str, path: Path, lines: int) -> None:
        self.node = node
        self.path = path
        data = self.path.read_bytes() if self.path.is_file() else b""
        kept = data.splitlines(keepends=True)[-lines:] if lines else []
        self._position = len(data) - sum(len(line) for line in kept)

    def new_lines(self) -> list[str]:
        """Complete lines since the last call."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        return whole.decode("utf-8", "replace").splitlines()


def show(tails: Sequence[Tail], nodes: Sequence[str] = ()) -> None:
    """Print new lines, each after the name of its node.

    Args:
        tails: the logs to check.
        nodes: all nodes whose lines will be shown, if more are to come.
    """
    names = nodes or [tail.node for tail in tails]
    width = max(map(len, names), default=0)
    for tail in tails:
        for line in tail.new_lines():
            prefix = f"{tail.node:<{width}} | " if len(names) > 1 else ""
            out.print(prefix + line, soft_wrap=True, markup=False)
