"""``up --watch``: an app is restarted when one of its source files changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.cli.background import in_background
from harness.cli.console import err
from harness.core.errors import ConfigError, HarnessError, SystemFailure, Unavailable
from harness.core.journal import Entry
from harness.core.sources import SUFFIXES, affected, sources_of
from harness.runtime.base import State
from harness.stack.stack import Stack

SETTLED = 200
"""Milliseconds without a further change after which changes are reported together."""


def require_watchfiles() -> None:
    """Report that watchfiles is missing before anything starts.

    Raises:
        Unavailable: it is not installed.
    """
    if find_spec("watchfiles") is None:
        raise Unavailable(
            "--watch needs watchfiles, which is not installed",
            hint="pip install 'dapr-harness[watch]'",
        )


class Changes:
    """The source files that have changed below some folders since they were last taken."""

    def __init__(self, folders: set[Path]) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._changed: set[Path] = set()
        self._problem: Exception | None = None
        self._stop = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch inside the ``with`` block, in a separate thread."""
        with in_background(self._watch, self._stop, "watcher"):
            yield

    def take(self) -> set[Path]:
        """What has changed since the last call.

        Raises:
            ConfigError: the folders cannot be watched.
        """
        if self._problem is not None:
            raise ConfigError(
                "the source files cannot be watched",
                last=str(self._problem),
                hint="raise the system's limit: sysctl fs.inotify.max_user_watches=524288",
            )
        with self._lock:
            taken, self._changed = self._changed, set()
        return taken

    def _watch(self) -> None:
        import watchfiles

        ignoring = watchfiles.DefaultFilter()
        try:
            for changes in watchfiles.watch(
                *self._folders,
                watch_filter=lambda change, path: (
                    Path(path).suffix in SUFFIXES and ignoring(change, path)
                ),
                debounce=SETTLED,
                step=SETTLED // 4,
                stop_event=self._stop,
                rust_timeout=SETTLED,
                raise_interrupt=False,
            ):
                with self._lock:
                    self._changed |= {Path(path) for _, path in changes}
        except Exception as error:  # noqa: BLE001 - `take` raises it in the main thread
            self._problem = error


@dataclass(frozen=True)
class Program:
    """How an app was started: by this command line, in this folder."""

    argv: tuple[str, ...]
    cwd: Path


class Restarting:
    """Restarts the apps of a stack whose source files have changed, and shows their readiness.

    Args:
        others: also receives each journal entry.
    """

    def __init__(self, others: Callable[[Entry], None]) -> None:
        self._others = others
        self._node = ""
        self._began = 0.0

    def __call__(self, entry: Entry) -> None:
        """Receive a journal entry."""
        self._others(entry)
        if self._node == entry.node:
            show_check(entry, self._began)

    def restart(self, stack: Stack, changed: set[Path], programs: Mapping[str, Program]) -> None:
        """Restart each app that uses one of the files; a failure is shown and ends nothing."""
        # Found anew each time: an edit changes what is imported.
        sources = {name: sources_of(each.argv, each.cwd) for name, each in programs.items()}
        for name in affected(changed, sources):
            files = sorted(str(file) for file in changed if sources[name].contain(file))
            err.print(f"{', '.join(files)} changed: {name} restarts", markup=False)
            self._restart(stack, name)

    def _restart(self, stack: Stack, name: str) -> None:
        self._node, self._began = name, time.monotonic()
        try:
            stack.restart(name)
        except (HarnessError, SystemFailure) as error:
            instance = stack.instances[name]
            if instance.state is State.EXITED:
                instance.stop()  # it is known to be down: other apps are not blamed for it
            err.print(f"{error}\n{name} restarts at the next change", markup=False)
        else:
            took = time.monotonic() - self._began
            err.print(f"{name} is ready again after {took:.2f} s", markup=False)
        finally:
            self._node = ""


def show_check(entry: Entry, began: float) -> None:
    """Print one line for a readiness check that has passed; nothing for other entries."""
    if entry.kind == "check.passed":
        fact = str(entry.facts["fact"]).partition("\n")[0]
        line = f"{entry.at - began:6.2f} s  {entry.node}: {entry.facts['check']} {fact}"
        err.print(line.rstrip(), markup=False, soft_wrap=True)


def watched_programs(stack: Stack) -> dict[str, Program]:
    """The apps that can be restarted with changed files.

    Raises:
        ConfigError: there are none: apps in containers run what was built into their images.
    """
    launches = [stack.launch(name) for name in stack.instances]
    own = [each for each in launches if each.under_test and not each.external]
    programs = {
        each.name: Program(each.argv, each.process.cwd)
        for each in own
        if each.process.cwd is not None and not stack.book.in_container(each.name)
    }
    if not programs:
        raise ConfigError(
            "no app of the stack can be watched",
            expected="an app that runs as a process on this machine",
            hint="use --runtime processes, or App(on_host=True)",
        )
    return programs
