"""What a process has become by importing modules, and whether apps can be forked of it."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from harness.runtime.preload.scan import Import, hidden_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALWAYS = (
    "uvicorn.main",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""What uvicorn imports for every app."""

PATCHING = frozenset({"coverage", "ddtrace", "eventlet", "gevent", "newrelic"})
"""Packages that change modules imported after them: an app that imports one is not forked."""


class Loaded:
    """What this process has imported.

    Attributes:
        reads: the variables that were read meanwhile; "*" if all of them were.
        unsafe: why nothing can be forked of it; "" if apps can.
    """

    def __init__(self, wanted: Iterable[Import]) -> None:
        files = _open_files()
        with _recorded_reads() as self.reads:
            for each in sorted(wanted):
                _import(each)
        self._environment = dict(os.environ)
        self._changes = _changes()
        self.unsafe = _unsafe(files)

    def refusal(
        self, environment: Mapping[str, str], folder: Path, imports: Iterable[Import]
    ) -> str:
        """Why an app cannot be forked; "" if it can.

        Args:
            environment: the app's variables.
            folder: where its modules are.
            imports: what they import from elsewhere.
        """
        if self.unsafe:
            return self.unsafe
        if patching := PATCHING & {name.partition(".")[0] for name, _ in imports}:
            return f"it imports {sorted(patching)[0]}, which changes modules imported later"
        if differing := self._differing(environment):
            return f"{differing[0]} was read during the imports and has another value"
        if hidden := hidden_by(folder, {*sys.modules} - {"__main__"}):
            return f"{folder} has a module named {hidden[0]}"
        if _changes() != self._changes:
            return "an imported file has changed"
        return ""

    def _differing(self, environment: Mapping[str, str]) -> list[str]:
        own = self._environment
        names = {*own, *environment} if "*" in self.reads else self.reads
        return sorted(each for each in names if own.get(each) != environment.get(each))


def _import(each: Import) -> None:
    """Import a module, and what is taken from it if that is a module too."""
    name, taken = each
    # What is missing, or fails, will fail in the app as well, which may be prepared for it.
    with contextlib.suppress(Exception):
        module = importlib.import_module(name)
        if taken and taken != "*" and not hasattr(module, taken):
            importlib.import_module(f"{name}.{taken}")


@contextlib.contextmanager
def _recorded_reads() -> Iterator[set[str]]:
    """The names of the variables that are read meanwhile, in whichever way of `os.environ`."""
    kind: Any = type(os.environ)
    get, iterate = kind.__getitem__, kind.__iter__
    read: set[str] = set()

    def recorded_get(self: Any, key: Any) -> Any:
        read.add(os.fsdecode(key))
        return get(self, key)

    def recorded_iterate(self: Any) -> Any:
        read.add("*")
        return iterate(self)

    kind.__getitem__, kind.__iter__ = recorded_get, recorded_iterate
    try:
        yield read
    finally:
        kind.__getitem__, kind.__iter__ = get, iterate


def _open_files() -> set[str]:
    # The last one is that of the listing itself.
    return {*os.listdir("/proc/self/fd")}


def _changes() -> dict[str, int]:
    """When each imported file was last changed."""
    found = {}
    for module in list(sys.modules.values()):
        if path := getattr(module, "__file__", None):
            with contextlib.suppress(OSError):
                found[path] = os.stat(path).st_mtime_ns
    return found


def _unsafe(files: set[str]) -> str:
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return f"the imports have started threads ({threads - 1})"
    if _open_files() != files:
        return "the imports have opened files"
    if sys.gettrace() or sys.getprofile() or _monitored():
        return "its interpreter is traced"
    return ""


def _monitored() -> bool:
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and any(map(monitoring.get_tool, range(6)))
