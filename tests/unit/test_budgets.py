"""A wait for another node takes nothing from a node's own time to become ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import NotReady
from harness.core.deadline import Check, Deadline, Observation, poll
from harness.core.launch import Launch
from harness.core.node import Scope
from harness.runtime.fake import FakeInstance, FakeRuntime
from tests.support import Fake, ScriptedCheck
from tests.unit.test_stack import stack_of

BUDGET = 0.3
"""Seconds within which a node must become ready."""


@dataclass(frozen=True)
class StartedCheck:
    """Passes when another node has started."""

    waits_for: str
    started: set[str]
    name: str = "the other one"

    def observe(self) -> Observation:
        return Observation(self.waits_for in self.started)


@dataclass(frozen=True)
class After(Fake):
    """A node that starts after checks of others."""

    after: tuple[Check, ...] = field(default=())

    def start_after(self, scope: Scope) -> Iterable[Check]:
        return self.after


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The nodes that have started; the start of ``slow`` takes three times the budget."""
    names: set[str] = set()
    start = FakeRuntime.start

    def slowly(runtime: FakeRuntime, launch: Launch) -> FakeInstance:
        if launch.name == "slow":
            poll(lambda: Observation(False), Deadline(3 * BUDGET))
        made = start(runtime, launch)
        names.add(launch.name)
        return made

    monkeypatch.setattr(FakeRuntime, "start", slowly)
    return names


def test_a_node_that_starts_after_another_waits_until_that_one_could_start(
    tmp_path: Path, started: set[str]
) -> None:
    """The other one's needs took longer than a node may take; neither of both is late."""
    stack, made = stack_of(
        tmp_path,
        Fake("slow"),
        Fake("other", needs=("slow",)),
        After("late", after=(StartedCheck("other", started),)),
        ready_timeout=BUDGET,
    )
    with stack:
        order = [each for each in made[0].events if each.startswith("started")]

    assert ["started slow", "started other", "started late"] == order


def test_a_check_of_another_node_counts_from_the_start_of_that_one(
    tmp_path: Path, started: set[str]
) -> None:
    """A sidecar waits for its app, and the app for a slow database."""
    stack, _ = stack_of(
        tmp_path,
        Fake("slow"),
        Fake("app", needs=("slow",)),
        Fake("sidecar", scripted=(StartedCheck("app", started), ScriptedCheck())),
        ready_timeout=BUDGET,
    )
    with stack:
        assert {"slow", "app", "sidecar"} == {*stack.instances}


def test_the_check_after_a_wait_has_the_whole_budget(tmp_path: Path, started: set[str]) -> None:
    """It is looked at more than once."""
    stack, _ = stack_of(
        tmp_path,
        Fake("slow"),
        Fake("app", needs=("slow",)),
        Fake("sidecar", scripted=(StartedCheck("app", started), ScriptedCheck("next", after=2))),
        ready_timeout=BUDGET,
    )
    with stack:
        assert {"slow", "app", "sidecar"} == {*stack.instances}


CIRCLES: dict[str, Callable[[set[str]], list[Fake]]] = {
    "a need": lambda started: [
        Fake("other", needs=("late",)),
        After("late", after=(StartedCheck("other", started),)),
    ],
    "a need of a need": lambda started: [
        Fake("other", needs=("between",)),
        Fake("between", needs=("late",)),
        After("late", after=(StartedCheck("other", started),)),
    ],
    "both start after each other": lambda started: [
        After("other", after=(StartedCheck("late", started),)),
        After("late", after=(StartedCheck("other", started),)),
    ],
    "itself": lambda started: [After("late", after=(StartedCheck("late", started),))],
}


@pytest.mark.parametrize("name", CIRCLES)
def test_nodes_that_wait_for_each_other_are_an_error(
    tmp_path: Path, started: set[str], name: str
) -> None:
    """And not a wait without end."""
    stack, _ = stack_of(tmp_path, *CIRCLES[name](started), ready_timeout=BUDGET)

    with pytest.raises(NotReady, match="was not started: the check 'the other one'"):
        stack.start()


def test_a_failure_ends_the_wait_for_a_node_that_never_starts(
    tmp_path: Path, started: set[str]
) -> None:
    """The node that it needs is to blame."""
    stack, _ = stack_of(
        tmp_path,
        Fake("broken", scripted=(ScriptedCheck("never", after=None),)),
        Fake("other", needs=("broken",)),
        After("late", after=(StartedCheck("other", started),)),
        ready_timeout=BUDGET,
    )

    with pytest.raises(NotReady, match="broken did not pass the readiness check 'never'"):
        stack.start()
