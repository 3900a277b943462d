"""The output of a run file's apps from the first line on, and how the apps exit."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.cli.background import in_background
from harness.cli.console import err
from harness.cli.log_tail import Tail, show
from harness.core.deadline import Deadline, ticks
from harness.core.journal import Entry
from harness.core.names import sidecar_name
from harness.runfile.read import RunFile
from harness.runtime.base import State
from harness.stack.stack import Stack

EVERYTHING = 2**31
"""Larger than any requested number of lines."""


class Follower:
    """Shows the logs of a stack during its start and afterwards, in a separate thread.

    Args:
        stack: a running stack, or one that is about to start.
        file: the run file, which determines the apps and whose logs appear on the console.

    Attributes:
        failed: the apps that exited with a code other than 0, or could not be started.
    """

    def __init__(self, stack: Stack, file: RunFile) -> None:
        self._stack = stack
        self._nodes = list(_on_console(file))
        self._apps = [app.app_id for app in file.apps if app.command]
        self._tails: dict[str, Tail] = {}
        self._ended: set[str] = set()
        self._stop = threading.Event()
        self._closing = False
        self.failed: set[str] = set()

    def hear(self, entry: Entry) -> None:
        """Notice when the stack itself stops its nodes, which is not their failure."""
        if entry.kind in ("start.begun", "stop.begun"):
            self._closing = entry.kind == "stop.begun"

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow inside the ``with`` block; everything printed until its end is shown."""
        try:
            with in_background(self._follow, self._stop, "follower"):
                yield
        finally:
            self._look()

    def wait(self) -> None:
        """Wait until no app is running; forever if there is none.

        Call this when the start is over: apps that are not running by then will not start.
        """
        missing = {*self._apps} - {*self._stack.instances}
        self.failed |= missing
        self._ended |= missing
        for _ in ticks(Deadline(math.inf), 0.1):
            if self._apps and not self.running():
                return

    def running(self) -> Sequence[str]:
        """The apps that have not exited."""
        return [app for app in self._apps if app not in self._ended]

    def _follow(self) -> None:
        for _ in ticks(Deadline(math.inf), 0.1):
            if self._stop.is_set():
                return
            self._look()

    def _look(self) -> None:
        instances = dict(self._stack.instances)
        ended = {name: each for name, each in instances.items() if each.state is State.EXITED}
        for name in self._nodes:
            if name in instances:
                log = instances[name].log
                # A start that is repeated with other ports has another folder.
                if name not in self._tails or self._tails[name].path != log:
                    self._tails[name] = Tail(name, log, EVERYTHING)
        show(list(self._tails.values()), self._nodes)
        # Its last lines first, then its exit.
        for name in self.running():
            if name in ended and not self._closing:
                self._ended.add(name)
                err.print(f"{name} has exited with code {ended[name].exit_code}")
                if ended[name].exit_code != 0:
                    self.failed.add(name)


def _on_console(file: RunFile) -> Iterator[str]:
    for app in file.apps:
        if app.command and app.app_log != "file":
            yield app.app_id
        if app.daprd_log != "file":
            yield sidecar_name(app.app_id)
