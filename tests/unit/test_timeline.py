"""The journal in a timeline: what the supervisor has written, and what it has not yet."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.core.journal import Entry
from harness.stack.timeline import JOURNAL, Observed


def timeline(folder: Path, written: list[Entry], own: list[Entry]) -> list[str]:
    """The nodes of the entries of a stack whose client has noted some of its own, in order."""
    rows = [{"at": each.at, "kind": each.kind, "node": each.node} for each in written]
    (folder / JOURNAL).write_text("".join(json.dumps(row) + "\n" for row in rows))
    stack: Any = SimpleNamespace(folder=folder, journal=own, topology=SimpleNamespace(nodes=()))
    beginning: Any = SimpleNamespace(at=10.0)
    return [each.node for each in Observed(stack, beginning, "w", {}).all()]


def test_what_a_client_has_noted_is_there_before_the_supervisor_has_written_it(
    tmp_path: Path,
) -> None:
    """As the end of a restart, which the client sees first."""
    first, second = Entry(11.0, "process.exited", "a", {}), Entry(12.5, "node.ready", "b", {})

    assert ["a", "b"] == timeline(tmp_path, [first], [second])


def test_an_entry_that_both_have_is_there_once(tmp_path: Path) -> None:
    """Times are equal to the last bit, also after JSON."""
    entry = Entry(23233.39525268, "node.ready", "a", {})

    assert ["a"] == timeline(tmp_path, [entry], [entry])


def test_what_was_noted_before_the_test_is_not_there(tmp_path: Path) -> None:
    """Such as the start of the stack, which only its client knows."""
    assert [] == timeline(tmp_path, [], [Entry(9.0, "start.begun", "", {})])
