"""Objects that are closed when a ``with`` block is left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Self


def do_all(steps: Iterable[Callable[[], object]]) -> None:
    """Run every step, even if an earlier one failed.

    Raises:
        Exception: the error of a step; if there are several, the first one, with the others as
            notes.
    """
    failed: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)
    raise_first(failed)


def do_at_once(steps: Iterable[Callable[[], object]]) -> None:
    """Run steps that do not depend on each other, each in a thread.

    Raises:
        Exception: as `do_all`, when all have ended.
    """
    from concurrent.futures import ThreadPoolExecutor  # takes long to import, and few need it

    given = list(steps)
    with ThreadPoolExecutor(max(1, len(given))) as pool:
        running = [pool.submit(each) for each in given]
    do_all(each.result for each in running)


async def ado_all(steps: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """The asynchronous counterpart of `do_all`: one step after the other."""
    failed: list[Exception] = []
    for step in steps:
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)
    raise_first(failed)


def raise_first(failed: list[Exception]) -> None:
    """Raise the first of several errors, with the others as its notes."""
    if failed:
        for other in failed[1:]:
            failed[0].add_note(f"and also: {type(other).__name__}: {other}")
        raise failed[0]


class Closing(ABC):
    """A context manager that closes on exit; closing twice is allowed."""

    @abstractmethod
    def close(self) -> None:
        """Release what the object holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClosing(ABC):
    """The asynchronous counterpart of `Closing`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release what the object holds."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
