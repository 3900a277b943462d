"""What a report contains besides the failure must never replace it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import pytest_reports
from harness.pytest_reports import logs_of, logs_of_own_worlds
from harness.stack.beginning import BEGINNINGS, Beginning
from harness.stack.stack import Stack
from tests.support import Fake
from tests.unit.test_stack import stack_of


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """With a log that cannot be read, as it is a folder."""
    opened, _ = stack_of(tmp_path, Fake("app"))
    with opened:
        (opened.folder / "logs" / "broken.log").mkdir(parents=True)
        yield opened


def test_logs_that_cannot_be_read_are_a_line_of_the_report(stack: Stack) -> None:
    """pytest itself would end with an internal error."""
    told = logs_of(Beginning(stack, "a test"))

    assert ["every node"] == list(told)
    assert told["every node"].startswith("not known: IsADirectoryError")


def test_the_same_of_a_world_that_a_test_made_itself(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It belongs to no fixture."""
    Beginning(stack, "a test")
    monkeypatch.setattr(pytest_reports, "_open_stacks", lambda: [stack])

    assert 1 == len(stack.shared[BEGINNINGS])
    assert ["every node"] == list(logs_of_own_worlds(0.0))
