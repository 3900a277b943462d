"""What the apps of a run file print, from the first line on, and how they end."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.cli.console import err
from harness.cli.tails import Tail, show
from harness.deadline import Deadline, ticks
from harness.journal import Entry
from harness.runfile import RunFile
from harness.runtime.base import State
from harness.stack import Stack

EVERYTHING = 2**31
"""How many last lines are all of them."""


class Follower:
    """Shows the logs of a stack while it starts and afterwards, in a thread of its own.

    Args:
        stack: what runs, or is about to.
        file: which apps it runs, and whose logs belong on the console.

    Attributes:
        failed: the apps that ended with another code than 0, or could not be started.
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
        """Note when the stack itself stops its nodes, which is not a failure of theirs."""
        if entry.kind in ("start.begun", "stop.begun"):
            self._closing = entry.kind == "stop.begun"

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow while inside; what was printed until the end is shown."""
        thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._look()

    def wait(self) -> None:
        """Until no app runs any more; for ever where there is none.

        Called when the start is over: what is not there by now will not come.
        """
        missing = {*self._apps} - {*self._stack.instances}
        self.failed |= missing
        self._ended |= missing
        for _ in ticks(Deadline(math.inf), 0.1):
            if self._apps and not self.running():
                return

    def running(self) -> Sequence[str]:
        """The apps that have not ended."""
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
                # A start that is repeated with other ports has a folder of its own.
                if name not in self._tails or self._tails[name].path != log:
                    self._tails[name] = Tail(name, log, EVERYTHING)
        show(list(self._tails.values()), self._nodes)
        # Its last lines first, then its end.
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
            yield f"{app.app_id}-daprd"
