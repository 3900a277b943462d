"""One stack for several processes: the first starts it, others attach, and the last stops it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core import errors
from harness.core.closing import Closing
from harness.core.errors import HarnessError, SystemFailure, Unavailable
from harness.core.files import write_private
from harness.core.journal import Entry
from harness.core.locks import FileLock
from harness.core.reading import read_text
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.runtime.folder import door_of
from harness.stack.registry import Registry, UpStack, alive
from harness.stack.run_record import OtherTopology
from harness.stack.stack import Stack

Waiting = Callable[[], AbstractContextManager[None]]
"""Entered for what may take minutes: the start in another process, or provisioning."""


class SharedStack(Closing):
    """The stack of one topology and one set of settings, for all processes that share a folder.

    A lock is held while the stack is started, attached to or left, so that one process does one of
    these at a time. Each process has a lease of the stack; one that is killed leaves nothing.

    Args:
        topology: what to run.
        settings: of the project.
        make: the stack to start if there is none.
        folder: where the processes agree; accessible only to this user.
        who: this process, for the messages of the others.
        watch: called with each journal entry of a stack that is attached to.

    Attributes:
        how: how this process came by its stack, in words.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        make: Callable[[], Stack],
        *,
        folder: Path,
        who: str,
        watch: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        name = name_of(topology, settings)
        self._who, self._topology, self._settings = who, topology, settings
        self._make, self._watch = make, watch
        self._name, self._registry = name, Registry(folder)
        self._lock = FileLock(folder / f"{name}.lock")
        self._failure = folder / f"{name}.failure"
        self._stack: Stack | None = None
        self._up: UpStack | None = None
        self.how = ""

    def open(self, waiting: Waiting = contextlib.nullcontext) -> Stack:
        """Attach to the stack, or start it.

        Raises:
            HarnessError, AppFailed: it could not be started, by this process or another one.
        """
        with ExitStack() as held:
            with waiting():
                held.enter_context(self._lock.held())
            with contextlib.suppress(OtherTopology):
                self._stack = self._found() or self._started(waiting)
                return self._stack
        self.how = "started a stack of its own, because its topology is another one"
        self._up, self._stack = None, self._make()
        with waiting():
            self._stack.provision()
        self._stack.start()
        return self._stack

    def close(self) -> None:
        """Leave the stack; the last process stops it.

        Raises:
            TeardownError: something could not be stopped or removed.
        """
        stack, self._stack = self._stack, None
        if stack is None:
            return
        with ExitStack() as held:
            if self._up is not None:
                with contextlib.suppress(Unavailable):
                    held.enter_context(self._lock.held())
            stack.close()
            if self._up is not None and not alive(self._up.supervisor):
                self._registry.forget(self._name)

    def _found(self) -> Stack | None:
        if failure := read_failure(self._failure):
            raise failure
        self._up = self._registry.find(self._name)
        return self._joined(self._up) if self._up else None

    def _joined(self, up: UpStack) -> Stack | None:
        self.how = "attached to a stack that another worker has started"
        try:
            # Whatever state its nodes are in: a test of another process may have stopped one.
            stack = Stack.join(
                up, self._topology, self._settings, all_running=False, watch=self._watch
            )
            stack.start()
        except HarnessError:
            if alive(up.supervisor) and door_of(Path(up.folder)).exists():
                raise
            return None  # it is ending: all its clients were killed
        return stack

    def _started(self, waiting: Waiting) -> Stack:
        self.how = "started a stack that the workers share"
        try:
            with ExitStack() as undo:
                made = undo.enter_context(contextlib.closing(self._make()))
                with waiting():
                    made.provision()
                made.start()
                self._up = self._registry.record(made, self._name)
                undo.pop_all()
        except Exception as error:
            write_failure(self._failure, error, self._who)
            raise
        return made


def name_of(topology: Topology, settings: Settings) -> str:
    """What processes with equal topologies and settings have in common.

    Addresses of objects are left out, and two topologies may still get the same name: attaching
    compares what runs.
    """
    # The environment differs from worker to worker of xdist.
    told = repr((topology, replace(settings, environment={})))
    same = re.sub(r" at 0x[0-9a-f]+", "", told)
    return hashlib.sha256(same.encode()).hexdigest()[:16]


def write_failure(file: Path, error: Exception, who: str) -> None:
    """Keep why a start failed, for processes that would fail in the same way."""
    if not isinstance(error, HarnessError | SystemFailure):
        last = f"{type(error).__name__}: {error}"
        error = HarnessError("the stack could not be started", last=last)
    told = {"kind": type(error).__name__, "who": who, "facts": vars(error)}
    with contextlib.suppress(OSError):  # a full disk: they try it themselves
        write_private(file, json.dumps(told, default=str))


def read_failure(file: Path) -> Exception | None:
    """Why a start has failed; None if none has."""
    if not file.is_file():
        return None
    told: dict[str, Any] = json.loads(read_text(file))
    known = getattr(errors, told["kind"], None)
    kind = known if isinstance(known, type) else HarnessError
    error: Exception = kind(told["facts"]["subject"])
    vars(error).update(told["facts"])
    error.add_note(f"the worker {told['who']} has tried to start it, and this one did not")
    return error
