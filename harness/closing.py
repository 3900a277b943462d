"""Things that are closed by leaving a ``with`` statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Self


def do_all(steps: Iterable[Callable[[], object]]) -> None:
    """Take every step, also when one before it has failed.

    Raises:
        Exception: what a step has raised; the first of several, which names the others.
    """
    failed: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)
    raise_first(failed)


def raise_first(failed: list[Exception]) -> None:
    """Raise the first of some errors, with the others as its notes."""
    if failed:
        for other in failed[1:]:
            failed[0].add_note(f"and also: {type(other).__name__}: {other}")
        raise failed[0]


class Closing(ABC):
    """Leaving closes; closing twice is fine."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClosing(ABC):
    """The asynchronous twin of `Closing`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give back what is held."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
