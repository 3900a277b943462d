"""Shows output on a terminal, or as plain lines if there is none."""

from __future__ import annotations

import errno
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.core.journal import Entry

EVERY = 30.0
"""Seconds between two plain progress lines."""


class _Console(Console):
    """Rich's console would exit on a closed pipe; here, the end of the command handles it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "the reader has closed the pipe")


out = _Console(highlight=False)
err = _Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Machine-readable output on standard output, nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_row(row: dict[str, Any]) -> None:
    """One line of JSON, at once."""
    out.file.write(json.dumps(row, default=str) + "\n")
    out.file.flush()


def table(title: str, *columns: str) -> Table:
    """An empty table whose cells are never truncated."""
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def add_row(made: Table, *cells: str | Text) -> None:
    """Add a row of plain text: brackets are not markup."""
    made.add_row(*(Text(each) if isinstance(each, str) else each for each in cells))


class Steps:
    """Provisioning: one updated line on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._status: Any = None

    def begin(self, what: str) -> None:
        """A slow step begins."""
        with self._lock:
            self._began[what] = self._told[what] = time.monotonic()
            if err.is_terminal:
                self._status = self._status or err.status("")
                self._status.start()
            else:
                err.print(f"{what} ...")

    def advance(self, what: str, fact: str) -> None:
        """The step is still running; as plain lines, every half minute."""
        with self._lock:
            if what not in self._began:
                return
            elapsed = time.monotonic() - self._began[what]
            if self._status is not None:
                self._status.update(f"{what}: {elapsed:.0f} s, {fact}")
            elif time.monotonic() - self._told[what] > EVERY:
                self._told[what] = time.monotonic()
                err.print(f"{what}: {elapsed:.0f} s, {fact} ...".replace(",  ...", " ..."))

    def end(self, what: str, fact: str) -> None:
        """The step is done."""
        with self._lock:
            self._began.pop(what, None)
            if self._status is not None and not self._began:
                self._status.stop()
                self._status = None
            err.print(f"{what}: {fact}", soft_wrap=True)


class StartProgress:
    """The progress of a start: a live table on a terminal, a line per ready node elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = 0.0
        self._rows: dict[str, tuple[str, float]] = {}
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it inside the ``with`` block."""
        if not err.is_terminal:
            yield
            return
        with Live(console=err, refresh_per_second=20, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def __call__(self, entry: Entry) -> None:
        """Receive a journal entry."""
        with self._lock:
            if entry.kind == "start.begun":
                self._began = entry.at
            if entry.kind == "start.waits":
                err.print("another stack is being started on this machine; waiting for it")
            if entry.kind == "node.warned":
                err.print(f"warning: {entry.node}: {entry.facts['warning']}", markup=False)
            state = {
                "node.started": "started",
                "check.passed": f"check {entry.facts.get('check')} passed",
                "node.ready": "ready",
            }.get(entry.kind)
            if state is None:
                return
            self._rows[entry.node] = (state, entry.at - self._began)
            if self._live is not None:
                self._live.update(self._table())
            elif state == "ready":
                err.print(f"{entry.at - self._began:6.2f} s  {entry.node} is ready")

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2), show_header=False)
        for node, (state, at) in self._rows.items():
            mark = "[green]✓[/]" if state == "ready" else "[yellow]…[/]"
            table.add_row(mark, node, state, f"{at:.2f} s")
        return table
