"""The common part of tap and inbox: an ordered stream, read as far as a test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from harness.deadline import Deadline, Observation, poll
from harness.errors import ProbeTimeout
from harness.probe.waiting import Guard, explained, unguarded

T = TypeVar("T")
SHOWN = 12
"""The number of items that a failure message lists."""


class Stream(Generic[T]):
    """Ordered items from a growing source.

    Args:
        subject: what is observed, for messages.
        pull: returns the new items since the last call, without waiting.
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
        """Everything that has arrived so far, in order."""
        self._refresh()
        return list(self._seen)

    def next(self, *, timeout: float | None = None, **wanted: Any) -> T:
        """The first matching item that was not returned before; waits for it.

        Args:
            timeout: seconds; the stream's default if None.
            wanted: fields the item must have, see `matches`.

        Raises:
            ProbeTimeout: it did not arrive; the message lists what arrived instead.
        """
        index = self._await(wanted, self._deadline(timeout))
        self._taken.add(index)
        return self._seen[index]

    def all(self, **wanted: Any) -> list[T]:
        """Every matching item so far, whether returned before or not."""
        return [item for item in self.seen if matches(item, wanted)]

    def collect(self, count: int, *, timeout: float | None = None, **wanted: Any) -> list[T]:
        """The next ``count`` items that match, in order."""
        deadline = self._deadline(timeout)
        return [self.next(timeout=deadline.remaining, **wanted) for _ in range(count)]

    def nothing_before(
        self, barrier: dict[str, Any], *, timeout: float | None = None, **unwanted: Any
    ) -> T:
        """Wait for a barrier, and fail if an unwanted item came before it.

        Waiting alone cannot show that something is absent; the arrival of something that must come
        later can. All items that exist when the barrier arrives are read before the decision, and
        count as earlier unless they are known to be later.

        Args:
            barrier: fields of the item that ends the observation.
            timeout: seconds to wait for the barrier.
            unwanted: fields of the item that must not have come.

        Returns:
            The barrier.

        Raises:
            AssertionError: an unwanted item came before the barrier.
            ProbeTimeout: the barrier did not come, or existing items cannot be read.
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
        """The items before a given one; overridden by sources without a single order."""
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

    A mapping matches if it is contained; a callable is called with the value; ``where`` is called
    with the whole item; anything else is compared.
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
