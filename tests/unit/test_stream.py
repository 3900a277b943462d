"""Streams return matches in order, prove absence by a barrier, and say what came instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from harness import ProbeTimeout
from harness.probe.eventually import aeventually, eventually
from harness.probe.stream import Stream, matches


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


def test_what_was_skipped_can_still_be_asked_for() -> None:
    """A question does not eat what it does not ask for."""
    items = stream([Item(1), Item(2)])

    assert items.next(id=2) == Item(2)
    assert items.next() == Item(1)


def test_a_miss_lists_what_came_instead() -> None:
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
def test_filters(wanted: dict[str, Any], fits: bool) -> None:
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


async def test_the_asynchronous_twin_takes_both_kinds_of_functions() -> None:
    """Plain and coroutine."""

    async def later() -> int:
        return 2

    assert (1, 2) == (await aeventually(lambda: 1), await aeventually(later))


def _fail(message: str) -> None:
    raise AssertionError(message)
