"""No more workers of xdist than the memory allows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.pytest_workers import _LIMITED, STACK, WORKER, limit_workers

FOUR = int(STACK + 4.5 * WORKER)
"""Bytes of memory that four workers fit into."""


def limited(numprocesses: object, free: int | None, most: int | None = None) -> tuple[Any, str]:
    """What xdist is told, on a machine with eight cores, and what is said."""
    hook = SimpleNamespace(pytest_xdist_auto_num_workers=lambda config: 8)
    option = SimpleNamespace(numprocesses=numprocesses, maxprocesses=most)
    config: Any = SimpleNamespace(option=option, hook=hook, stash=pytest.Stash())
    limit_workers(config, free)
    return option.maxprocesses, config.stash.get(_LIMITED, "")


@pytest.mark.parametrize("asked", [5, 64, "auto", "logical"])
def test_more_workers_than_the_memory_allows_are_reduced_with_the_reason(asked: object) -> None:
    most, said = limited(asked, FOUR)

    assert 4 == most
    wanted = asked if isinstance(asked, int) else 8
    assert said.startswith(
        f"4 workers instead of {wanted}: 0.9 GB of memory are free, and {wanted}"
    )


def test_one_worker_is_left_however_little_memory_there_is() -> None:
    most, said = limited(2, 0)

    assert 1 == most
    assert said.startswith("1 worker instead of 2: 0.0 GB")


@pytest.mark.parametrize(
    ("asked", "free", "most"),
    [
        (4, FOUR, None),
        ("auto", 10 * FOUR, None),
        (64, None, None),
        (64, FOUR, 3),
        ("auto", FOUR, 2),
    ],
)
def test_workers_for_which_there_is_memory_stay_as_many_as_were_asked_for(
    asked: object, free: int | None, most: int | None
) -> None:
    assert (most, "") == limited(asked, free, most)


def test_a_limit_of_the_users_above_what_fits_is_lowered() -> None:
    most, said = limited(64, FOUR, 6)

    assert 4 == most
    assert "4 workers instead of 6" in said
