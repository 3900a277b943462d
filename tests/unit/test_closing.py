"""Closing several things closes all of them."""

from __future__ import annotations

import threading

import pytest

from harness.core.closing import do_all, do_at_once


def fail(error: Exception) -> None:
    raise error


def test_every_closing_step_runs_and_every_error_is_reported() -> None:
    """The first is raised, the others are its notes."""
    done: list[int] = []

    with pytest.raises(ValueError, match="first") as caught:
        do_all(
            [
                lambda: done.append(1),
                lambda: fail(ValueError("first")),
                lambda: done.append(2),
                lambda: fail(KeyError("second")),
                lambda: done.append(3),
            ]
        )

    assert [1, 2, 3] == done
    assert ["and also: KeyError: 'second'"] == caught.value.__notes__


def test_steps_that_run_at_once_wait_for_each_other_and_report_every_error() -> None:
    """One after the other, the first would wait in vain."""
    meeting = threading.Barrier(2)

    def meet_and_fail() -> None:
        meeting.wait(30)
        raise KeyError("met")

    with pytest.raises(KeyError, match="met") as caught:
        do_at_once([meet_and_fail, meet_and_fail])

    assert ["and also: KeyError: 'met'"] == caught.value.__notes__


def test_no_steps_can_run_at_once() -> None:
    """A stack without anything to empty is empty."""
    do_at_once([])
