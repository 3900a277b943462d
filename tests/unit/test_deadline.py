"""The polling function looks at once, obeys its guard, and returns the last observation."""

from __future__ import annotations

import pytest

from harness.core.deadline import Deadline, Observation, aticks, poll, ticks


def test_the_first_look_is_immediate_even_without_budget() -> None:
    """A budget of zero still looks."""
    assert poll(lambda: Observation(True, "seen"), Deadline(0)).fact == "seen"


def test_a_wait_that_fails_returns_the_last_fact() -> None:
    """Not the first, not none."""
    facts = iter(range(1000))

    seen = poll(lambda: Observation(False, str(next(facts))), Deadline(0.05))

    assert not seen.ok
    assert int(seen.fact) == next(facts) - 1 > 0


def test_the_guard_ends_the_wait_before_the_next_look() -> None:
    """A dead child is noticed at once."""
    looks: list[int] = []

    def guard() -> None:
        if looks:
            raise ChildProcessError

    with pytest.raises(ChildProcessError):
        poll(lambda: looks.append(1) or Observation(False), Deadline(60), guard=guard)  # type: ignore[func-returns-value]

    assert looks == [1]


def test_the_last_tick_comes_after_the_deadline() -> None:
    """What became true in the last interval is still seen."""
    deadline = Deadline(0.02)

    passed = [deadline.passed for _ in ticks(deadline)]

    assert passed[-1]
    assert not passed[0]


async def test_asynchronous_ticks_do_the_same() -> None:
    """First at once, last after the deadline."""
    deadline = Deadline(0.02)

    passed = [deadline.passed async for _ in aticks(deadline)]

    assert passed[-1]
    assert not passed[0]
