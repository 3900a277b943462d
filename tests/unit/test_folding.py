"""Logs of failing tests: what is repeated is shown once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.folding import LONGEST, folded

LINE = 'time="2026-11-28T07:49:{:02}.{:09}Z" level=error msg="retrying order {}"'


def note(what: str, times: int) -> str:
    return f"[the last {what} repeated {times} more times; only times and ports differ]"


def test_lines_that_differ_in_their_time_are_folded() -> None:
    """The first one is kept as it was."""
    lines = [LINE.format(n, n * 7, 1) for n in range(50)]

    assert folded("\n".join(lines)).splitlines() == [lines[0], note("line", 49)]


def test_lines_that_differ_in_anything_else_are_all_kept() -> None:
    """Order 1 and order 2 are two facts."""
    text = "\n".join(LINE.format(n, n, n) for n in range(50))

    assert folded(text) == text


@pytest.mark.parametrize("size", [2, 60, LONGEST])
def test_blocks_are_folded(size: int) -> None:
    """A traceback and what is around it."""
    block = [f"line {n}" for n in range(size)]
    text = "\n".join(["before", *block * 4, "after"])

    expected = ["before", *block, note(f"{size} lines", 3), "after"]
    assert folded(text).splitlines() == expected


def test_ports_of_clients_do_not_count() -> None:
    """uvicorn's access log names one per connection."""
    lines = [f'INFO: 127.0.0.1:{40000 + n} - "POST /orders" 500' for n in range(3)]

    assert folded("\n".join(lines)).splitlines() == [lines[0], note("line", 2)]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=40))
def test_folded_lines_can_be_restored(lines: list[str]) -> None:
    """Nothing is lost, whatever is repeated where."""
    unfolded: list[str] = []
    for line in folded("\n".join(lines)).splitlines():
        if line.startswith("["):
            words = line.split()
            size = 1 if words[2] == "line" else int(words[2])
            unfolded += unfolded[-size:] * int(words[-8])
        else:
            unfolded.append(line)

    assert unfolded == lines
