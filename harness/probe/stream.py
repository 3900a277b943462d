"""What tap and inbox have in common: an ordered stream that is read as far as a test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from harness.deadline import Deadline, Observation, poll
from harness.errors import ProbeTimeout
from harness.probe.waiting import Guard, explained, unguarded

T = TypeVar("T")
SHOWN = 12
"""How many items a failure message lists."""


class Stream(Generic[T]):
    """Items in order, pulled from a source that grows.

    Args:
        subject: what is observed, for messages.
        pull: returns what is new since the last call, at once.
        timeout: the default budget of a wait, in seconds.
        guard: ends a wait by raising.
    """

    def __init__(
        self,
        subject: str,
        pull: Callable[[], Iterable[T]],
        *,
        timeout: float = 10.0,
        guard: Guard = unguarded,
    ) -> None:
        self.subject = subject
        self.guard = guard
        self.timeout = timeout
        self._pull = pull
        self._seen: list[T] = []
        self._taken: set[int] = set()

    @property
    def seen(self) -> Sequence[T]:
        """Everything that has come so far, in order."""
        self._refresh()
        return list(self._seen)

    def next(self, *, timeout: float | None = None, **wanted: Any) -> T:
        """The first item that matches and was not returned before; waits for it.

        Args:
            timeout: seconds; the stream's default when None.
            wanted: fields the item must have, see `matches`.

        Raises:
            ProbeTimeout: it did not come; the message lists what came instead.
        """
        index = self._await(wanted, self._deadline(timeout))
        self._taken.add(index)
        return self._seen[index]

    def all(self, **wanted: Any) -> list[T]:
        """Every item so far that matches, returned before or not."""
        return [item for item in self.seen if matches(item, wanted)]

    def collect(self, count: int, *, timeout: float | None = None, **wanted: Any) -> list[T]:
        """The next ``count`` items that match, in order."""
        deadline = self._deadline(timeout)
        return [self.next(timeout=deadline.remaining, **wanted) for _ in range(count)]

    def nothing_before(
        self, barrier: dict[str, Any], *, timeout: float | None = None, **unwanted: Any
    ) -> T:
        """Wait for a barrier, and fail if anything unwanted came before it.

        Absence cannot be seen by waiting; it can be seen when something that must come later
        has come. Whatever was there when the barrier came is read before it is judged, and counts
        as earlier unless it is known to be later.

        Args:
            barrier: fields of the item that ends the observation.
            timeout: seconds to wait for the barrier.
            unwanted: fields of what must not have come.

        Returns:
            The barrier.

        Raises:
            AssertionError: something unwanted came before it.
            ProbeTimeout: the barrier did not come, or what was there with it cannot be read.
        """
        deadline = self._deadline(timeout)
        index = self._await(barrier, deadline)
        self._taken.add(index)
        earlier = self._earlier(index, deadline)
        early = [item for item in earlier if matches(item, unwanted)]
        assert not early, (
            f"{self.subject}: {len(early)} unwanted before the barrier {barrier}: {early[:SHOWN]}"
        )
        return self._seen[index]

    def _earlier(self, barrier: int, deadline: Deadline) -> list[T]:
        """What came before an item; a source without one order overrides it."""
        return self._seen[:barrier]

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self.timeout if timeout is None else timeout)

    def _await(self, wanted: dict[str, Any], deadline: Deadline) -> int:
        found: list[int] = []

        def look() -> Observation:
            self._refresh()
            for index, item in enumerate(self._seen):
                if index not in self._taken and matches(item, wanted):
                    found.append(index)
                    return Observation(True)
            return Observation(False)

        if not poll(look, deadline, guard=self.guard).ok:
            raise self._missed(wanted, deadline.budget)
        return found[0]

    def _missed(self, wanted: dict[str, Any], timeout: float) -> ProbeTimeout:
        others = [f"  {item}" for item in self._seen[-SHOWN:]]
        return ProbeTimeout(
            f"{self.subject}: nothing matched {_shown(wanted)}",
            last=f"{len(self._seen)} others:\n" + "\n".join(others) if others else "nothing at all",
            budget=timeout,
            hint="is the filter right, and did the system fail? its logs are attached",
        )

    def _refresh(self) -> None:
        with explained(self.guard):
            self._seen.extend(self._pull())


def matches(item: Any, wanted: dict[str, Any]) -> bool:
    """Whether an item has the wanted fields.

    A mapping matches when it is contained; a callable is asked; ``where`` asks about the whole
    item; anything else is compared.
    """
    for name, value in wanted.items():
        if name == "where":
            if not value(item):
                return False
        elif not _fits(getattr(item, name), value):
            return False
    return True


def _fits(seen: Any, wanted: Any) -> bool:
    if callable(wanted):
        return bool(wanted(seen))
    if isinstance(wanted, dict):
        return isinstance(seen, dict) and all(
            key in seen and _fits(seen[key], each) for key, each in wanted.items()
        )
    return bool(seen == wanted)


def _shown(wanted: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in wanted.items()) or "anything"
