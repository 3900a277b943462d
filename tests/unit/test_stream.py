"""Streams return matches in order, prove absence by a barrier, and say what came instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from harness import AppFailed, ProbeTimeout
from harness.probe.aeventually import aeventually
from harness.probe.eventually import eventually
from harness.probe.matching import matches
from harness.probe.stream import Stream

LONG = 30.0
"""Seconds of a wait that something else must end."""


@dataclass
class Item:
    id: int
    data: Any = None


def stream(*batches: list[Item]) -> Stream[Item]:
    """A stream that gets one batch per pull."""
    source = iter(batches)
    return Stream("stream", lambda: next(source, []), timeout=0.05)


def test_matches_come_in_order_and_once() -> None:
    """Two equal items are two answers, the third question finds nothing."""
    items = stream([Item(1), Item(2)], [Item(1)])

    assert [items.next(id=1), items.next(id=1)] == [Item(1), Item(1)]
    with pytest.raises(ProbeTimeout, match="nothing matched id=1"):
        items.next(id=1)


def test_next_returns_skipped_items_later() -> None:
    """A call of `next` does not consume items that do not match."""
    items = stream([Item(1), Item(2)])

    assert items.next(id=2) == Item(2)
    assert items.next() == Item(1)


def test_a_timeout_lists_what_came_instead() -> None:
    """So that the reader sees the typo."""
    with pytest.raises(ProbeTimeout, match=r"Item\(id=5"):
        stream([Item(5)]).next(id=4)


def test_nothing_before_a_barrier_passes_and_fails() -> None:
    """What comes after the barrier does not count."""
    late = stream([Item(1), Item(9), Item(2)])
    early = stream([Item(2), Item(9)])

    assert late.nothing_before({"id": 9}, id=2) == Item(9)
    with pytest.raises(AssertionError, match="1 unwanted before the barrier"):
        early.nothing_before({"id": 9}, id=2)


def test_an_unwanted_item_counts_wherever_it_came_before_the_barrier() -> None:
    """The first, one in the middle, and the last."""
    for place in range(3):
        items = [Item(1), Item(3)]
        items.insert(place, Item(2))

        with pytest.raises(AssertionError, match="1 unwanted before the barrier"):
            stream([*items, Item(9)]).nothing_before({"id": 9}, id=2)


def test_without_its_barrier_absence_is_not_proved() -> None:
    """Silence is a failure, not a success."""
    with pytest.raises(ProbeTimeout):
        stream([]).nothing_before({"id": 9}, id=2)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"data": {"a": 1}}, True),
        ({"data": {"a": 2}}, False),
        ({"data": {"a": 1, "c": 1}}, False),
        ({"data": {"b": {"x": 1}}}, True),
        ({"id": lambda value: value > 2}, True),
        ({"where": lambda item: item.id == 4}, False),
    ],
)
def test_filters_match_contained_mappings_callables_and_equal_values(
    wanted: dict[str, Any], fits: bool
) -> None:
    """Mappings are contained, callables are asked, the rest is compared."""
    assert matches(Item(3, {"a": 1, "b": {"x": 1, "y": 2}}), wanted) is fits


def test_eventually_raises_the_last_assertion() -> None:
    """Not a time-out that hides it."""
    with pytest.raises(AssertionError, match="still 1"):
        eventually(lambda: _fail("still 1"), timeout=0.03)


def test_eventually_returns_the_first_good_answer() -> None:
    """False is not yet; 0 and None are answers."""
    answers = iter([False, AssertionError("x"), 0])

    def ask() -> object:
        answer = next(answers)
        if isinstance(answer, AssertionError):
            raise answer
        return answer

    assert eventually(ask) == 0


def test_eventually_without_an_assertion_says_what_it_asked() -> None:
    """The function's name."""
    with pytest.raises(ProbeTimeout, match="never became true"):
        eventually(lambda: False, timeout=0.02)


class Death:
    """A guard that finds a dead app from the n-th look on."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise AppFailed("app exited with code 3 while the stack needed it")


async def test_an_exit_ends_every_wait() -> None:
    """Long before its time; an app's exit is not taken for an assertion to try again."""
    items = Stream("stream", lambda: [Item(1)], timeout=LONG, guard=Death(2))
    absent = Stream("stream", lambda: [Item(1)], timeout=LONG, guard=Death(2))

    with pytest.raises(AppFailed, match="exited with code 3"):
        items.next(id=4)
    with pytest.raises(AppFailed, match="exited with code 3"):
        absent.nothing_before({"id": 4}, id=2)
    with pytest.raises(AppFailed, match="exited with code 3"):
        eventually(lambda: False, timeout=LONG, guard=Death(2))
    with pytest.raises(AppFailed, match="exited with code 3"):
        await aeventually(lambda: _fail("not yet"), timeout=LONG, guard=Death(2))


async def test_an_exit_explains_the_error_that_it_has_caused() -> None:
    """The connection breaks some moments before the exit is noticed."""

    def broken() -> list[Item]:
        raise ConnectionResetError("peer")

    async def abroken() -> list[Item]:
        return broken()

    with pytest.raises(AppFailed):
        Stream("stream", broken, guard=Death(3)).next()
    with pytest.raises(AppFailed):
        eventually(broken, guard=Death(3))
    with pytest.raises(AppFailed):
        await aeventually(abroken, guard=Death(3))


def test_an_error_that_no_exit_explains_is_raised_as_it_is() -> None:
    """The guard finds everybody alive."""

    def broken() -> list[Item]:
        raise ConnectionResetError("peer")

    with pytest.raises(ConnectionResetError, match="peer"):
        Stream("stream", broken, guard=lambda: None).next()


async def test_aeventually_accepts_plain_and_coroutine_functions() -> None:
    """Plain and coroutine."""

    async def later() -> int:
        return 2

    assert (1, 2) == (await aeventually(lambda: 1), await aeventually(later))


def _fail(message: str) -> None:
    raise AssertionError(message)
