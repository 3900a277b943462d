"""Copies of a stack that are started while tests run, for tests that need one later."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from harness.core.closing import Closing, do_all, raise_first
from harness.core.errors import HarnessError, SystemFailure
from harness.core.roles import HasSidecar, Recorder
from harness.dapr.input_bindings import CRON
from harness.stack.beginning import begin_earlier, is_as_it_began
from harness.stack.isolated import IsolatedStack
from harness.stack.room import Room
from harness.stack.stack import Stack

LOOKING = 0.25
"""Seconds between two looks at whether there is room; over these, idle cores are counted."""

TRIES = 2
"""After this many failures in a row, nothing is started here until a test's own start succeeds."""


@dataclass(frozen=True)
class Spare:
    """A copy that waits for a test.

    Attributes:
        acts: what had been done to the nodes of the stack when its start began.
    """

    copy: IsolatedStack
    acts: int


class Pool(Closing):
    """Leases copies of a stack, each of them once.

    One thread starts them one after the other and stops those that were used. What a test sees does
    not depend on it: without a spare copy, the test starts its own.

    Args:
        base: a running stack; it closes the pool before it stops.
        size: the largest number of spare copies.
        room: whether there is room for one more.
    """

    def __init__(self, base: Stack, size: int, room: Room) -> None:
        self._base, self._room = base, room
        self._ages = _ages(base)
        self._size = 0 if self._ages and not _records_all(base) else size
        self._changed = threading.Condition()
        self._spares: deque[Spare] = deque()
        self._used: deque[Callable[[], None]] = deque()
        self._filling: Spare | None = None
        self._expected = self._failures = 0
        self._closed = False
        self._errors: list[Exception] = []
        self._thread: threading.Thread | None = None
        base.users.append(self)

    @property
    def spares(self) -> int:
        """How many copies wait for a test."""
        return len(self._spares)

    def expect(self, number: int) -> None:
        """Prepare for so many leases from now on."""
        with self._changed:
            self._expected = min(number, self._size)
            self._drop_unfit()
            self._wake()

    @contextmanager
    def leased(self, test: str, later: int = 0) -> Iterator[Stack]:
        """A copy for one test; it is stopped in the background afterwards.

        Args:
            test: who uses it, for messages.
            later: how many leases will follow.

        Raises:
            ConfigError: the stack can have no copies.
            HarnessError, AppFailed: there is no spare copy, and the test's own did not start.
        """
        copy = self._take() or self._own()
        copy.spare = False
        try:
            self.expect(later)
            yield copy
        finally:
            copy.spare = True
            with self._changed:
                self._used.append(partial(self._stop, copy, test))
                self._wake()

    def close(self) -> None:
        """Stop all copies.

        Raises:
            TeardownError: one of them could not be stopped, perhaps that of an earlier test.
        """
        with self._changed:
            self._closed = True
            if self._filling:
                self._filling.copy.cancel()
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
        left = [each.copy.close for each in self._spares]
        self._spares.clear()
        try:
            do_all([*self._used, *left])
        finally:
            self._used.clear()
            errors, self._errors = self._errors, []
            raise_first(errors)

    def _take(self) -> IsolatedStack | None:
        """A spare copy; waits for one that is being started, as that is sooner than another one."""
        with self._changed:
            while True:
                self._drop_unfit(looks=True)
                if self._spares:
                    self._failures = 0
                    return self._spares.popleft().copy
                if self._filling is None:
                    return None
                self._changed.wait(1)

    def _own(self) -> IsolatedStack:
        made = IsolatedStack(self._base)
        made.start()
        self._room.measure(made)
        self._failures = 0
        return made

    def _drop_unfit(self, *, looks: bool = False) -> None:
        """Let go of copies in which a node has died, or whose broker or server was interrupted.

        Args:
            looks: whether to ask them, and not only to use what is known.
        """
        acts = self._acts()
        if self._filling and self._filling.acts != acts:
            self._filling.copy.cancel()
        for spare in list(self._spares):
            if looks:
                spare.copy.catch_up()
            if spare.acts != acts:
                self._drop(spare)
            elif not _is_alive(spare.copy):
                self._failures += 1
                self._drop(spare)
            elif looks and self._ages and not is_as_it_began(spare.copy):
                self._drop(spare)

    def _drop(self, spare: Spare) -> None:
        self._spares.remove(spare)
        self._used.append(partial(self._stop, spare.copy, "no test"))

    def _acts(self) -> int:
        return sum(each.acted_on for each in self._base.instances.values())

    def _wake(self) -> None:
        if self._thread is None and (self._used or self._expected):
            self._thread = threading.Thread(target=self._work, name="worlds", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while job := self._next():
            job()
            with self._changed:
                self._changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        """The next thing to do, as soon as there is one; None at the end."""
        with self._changed:
            while not self._closed:
                if self._used:
                    return self._used.popleft()
                lacks = len(self._spares) < self._expected and self._failures < TRIES
                if lacks and self._room.is_there():
                    return self._fill
                self._changed.wait(LOOKING if lacks else None)
        return None

    def _fill(self) -> None:
        acts = self._acts()
        try:
            filling = Spare(IsolatedStack(self._base), acts)
            filling.copy.spare = True
            with self._changed:
                self._filling = filling
            self._start(filling.copy)
            with self._changed:
                self._spares.append(filling)
        except Exception:  # noqa: BLE001 - a test that needs one sees the error of its own start
            self._failures += acts == self._acts()
        finally:
            with self._changed:
                self._filling = None

    def _start(self, copy: IsolatedStack) -> None:
        copy.start()
        try:
            begin_earlier(copy)
            self._room.measure(copy)
        except BaseException:
            copy.close()
            raise

    def _stop(self, copy: Stack, test: str) -> None:
        try:
            copy.close()
        except Exception as error:  # noqa: BLE001 - raised by `close`
            error.add_note(f"when the copy of the stack for {test} was stopped")
            self._errors.append(error)


def _is_alive(copy: Stack) -> bool:
    try:
        copy.check_alive()
    except (HarnessError, SystemFailure):
        return False
    return True


def _ages(stack: Stack) -> bool:
    """Whether its copies receive events that no test causes, the more the longer they wait."""
    return any(each.type == CRON for each in stack.book.everything())


def _records_all(stack: Stack) -> bool:
    """Whether each app has an inbox, so that such an event is seen."""
    nodes = stack.topology.nodes
    recorded = {each.records for each in nodes if isinstance(each, Recorder)}
    return all(each.name in recorded for each in nodes if isinstance(each, HasSidecar))
