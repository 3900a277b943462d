"""Closing several things closes all of them."""

from __future__ import annotations

import pytest

from harness.core.closing import do_all


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
