"""The room of the conformance suite: a step that is too late ends a script, and gives no trace."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.virtual_time.room import Late, Real


def stalled(seconds: float) -> None:
    """Keep this process from going on, as a busy machine does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_step_that_is_half_a_unit_late_has_no_result() -> None:
    """Less than that changes nothing."""

    async def latest(unit: float) -> float:
        real = Real(unit)
        stalled(0.02)
        real.require_in_time()
        return real.latest

    assert asyncio.run(latest(3600)) >= 0.02
    with pytest.raises(Late, match=r"a step of 0 units was .* s late"):
        asyncio.run(latest(0.03))


def test_time_passes_up_to_the_unit_and_says_that_the_script_waits() -> None:
    """Counted from its start."""

    async def run() -> tuple[bool, float, bool]:
        real = Real(0.1)
        before, began = real.paused.is_set(), time.monotonic()
        await real.run(1)
        return before, time.monotonic() - began, real.paused.is_set()

    before, took, after = asyncio.run(run())
    assert (False, True) == (before, after)
    assert took >= 0.09
