"""Starts take turns: more of them at a time than the cores can carry miss their time-outs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.core.deadline import Deadline, Observation, poll
from harness.core.locks import FileLock
from harness.runtime.folder import sockets_folder
from harness.runtime.usage import usable_cores

PATIENCE = 30.0
"""Seconds after which a start no longer waits for others, which may be waiting for something."""

EACH = 2
"""Cores that one start keeps busy: with fewer, two of them together take as long as one by one."""


@contextmanager
def turn(guard: Callable[[], None], waits: Callable[[], None]) -> Iterator[None]:
    """A turn among the starts of this user's processes.

    Args:
        guard: called while it waits; what it raises ends the wait.
        waits: called once if there is something to wait for.

    Raises:
        Unavailable: the folder of the locks does not belong to this user.
    """
    folder = sockets_folder()
    most = max(1, usable_cores() // EACH)
    with ExitStack() as held:

        def look() -> Observation:
            return Observation(any(_take(folder, number, held) for number in range(most)))

        if not look().ok:
            waits()
            poll(look, Deadline(PATIENCE), guard=guard)
        yield


def _take(folder: Path, number: int, held: ExitStack) -> bool:
    with ExitStack() as attempt:
        taken = attempt.enter_context(FileLock(folder / f"start-{number}.lock").free())
        if taken:
            held.push(attempt.pop_all())
        return taken
