"""The stack that a server looks at, which may go down and come up again. Everything here blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from harness.core.closing import Closing
from harness.core.errors import HarnessError, SystemFailure
from harness.inspection.inspection import Inspection

T = TypeVar("T")


class Failed(Exception):
    """Something could not be done; the message says why, with secrets masked."""


class Attached(Closing):
    """An inspection that is opened when it is needed first, and again after its stack has ended.

    Args:
        opened: returns the inspection of the stack that is up now.
    """

    def __init__(self, opened: Callable[[], Inspection]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._now: Inspection | None = None

    def run(self, ask: Callable[[Inspection], T]) -> T:
        """What a function returns for the stack that is up now.

        Raises:
            Failed: no stack is up, or the function has failed.
        """
        found: Inspection | None = None
        try:
            found = self._inspection()
            return ask(found)
        except (HarnessError, SystemFailure, OSError) as error:
            # The files of a stack that has just ended are gone.
            told = "\n".join([str(error), *getattr(error, "__notes__", [])])
            raise Failed(found.clean(told) if found else told) from None

    def close(self) -> None:
        """Disconnect. Closing twice is allowed."""
        with self._lock:
            if self._now is not None:
                self._now.close()
                self._now = None

    def _inspection(self) -> Inspection:
        with self._lock:
            if self._now is not None and not self._now.alive:
                ended, self._now = self._now, None
                ended.close()
            if self._now is None:
                self._now = self._opened().__enter__()
            return self._now
