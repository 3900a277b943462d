"""Starts of stacks take turns, across processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import HarnessError, Process, Settings, Stack, Topology, running
from harness.core.deadline import Deadline, Observation, poll
from harness.core.journal import Entry
from harness.core.locks import FileLock
from harness.runtime import turns
from harness.runtime.turns import turn
from tests.support import ROOT

HOLDING = """
import sys
from pathlib import Path
from harness.core.journal import Entry
from harness.core.locks import FileLock
with FileLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Turns of these tests alone, on a machine with two cores."""
    monkeypatch.setattr(turns, "sockets_folder", lambda: tmp_path)
    monkeypatch.setattr(turns, "usable_cores", lambda: 2)
    return tmp_path


def nothing() -> None:
    """Nobody waits, and nothing ends a wait."""


def unexpected() -> None:
    pytest.fail("there is nothing to wait for")


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has its turn."""
    argv = [sys.executable, "-c", HOLDING, str(folder / "start-0.lock")]
    with subprocess.Popen(
        argv, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert "held\n" == process.stdout.readline()
        yield process
        process.kill()


def test_a_turn_that_is_free_is_taken_at_once() -> None:
    """One after the other."""
    for _ in range(2):
        with turn(unexpected, unexpected):
            pass


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (3, 1), (4, 2), (9, 4)])
def test_there_is_one_turn_for_two_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, at_once: int
) -> None:
    """And at least one."""
    monkeypatch.setattr(turns, "usable_cores", lambda: cores)
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    waited: list[int] = []

    def nested(number: int) -> None:
        with turn(nothing, lambda: waited.append(number)):
            if number < at_once:
                nested(number + 1)

    nested(0)

    assert [at_once] == waited


def test_a_start_waits_for_one_that_has_its_turn(folder: Path) -> None:
    """It says so once, and begins when the other process is gone, killed or not."""
    waits: list[str] = []
    with held_elsewhere(folder) as other, ThreadPoolExecutor() as pool:

        def start() -> int | None:
            with turn(nothing, lambda: waits.append("said")):
                return other.poll()

        started = pool.submit(start)
        assert poll(lambda: Observation(bool(waits)), Deadline(30)).ok
        assert not started.done()
        other.kill()
        other.wait()

        assert started.result(30) is not None
    assert ["said"] == waits


def test_a_start_goes_ahead_when_another_takes_too_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be waiting for this one."""
    monkeypatch.setattr(turns, "PATIENCE", 0.1)
    limit = Deadline(30)

    def guard() -> None:
        assert not limit.passed

    with held_elsewhere(folder) as other, turn(guard, nothing):
        assert other.poll() is None


def test_the_wait_for_a_turn_can_be_ended(folder: Path) -> None:
    """By what its guard raises."""

    def cancelled() -> None:
        raise HarnessError("no longer wanted")

    with (
        held_elsewhere(folder),
        pytest.raises(HarnessError, match="no longer wanted"),
        turn(cancelled, nothing),
    ):
        pytest.fail("it has begun")


def waiting(act: Callable[[], object]) -> tuple[Stack, list[str]]:
    """A stack that does something when it waits for its turn, and what its journal gets."""
    kinds: list[str] = []

    def watch(entry: Entry) -> None:
        kinds.append(entry.kind)
        if entry.kind == "start.waits":
            act()

    topology = Topology(Process("tool", ["sleep", "60"]))
    return running(topology, Settings.load(runtime="processes"), watch=watch), kinds


def cancel(stack: Stack) -> None:
    """End its start, as the pool does with a copy."""
    stack._start.cancel()


def test_no_node_of_a_stack_is_started_before_its_turn(folder: Path) -> None:
    """The journal tells that it waits."""
    with held_elsewhere(folder) as other:
        stack, kinds = waiting(other.kill)
        with stack:
            assert kinds.index("start.waits") < kinds.index("node.started")


def test_a_stack_that_is_ready_has_given_its_turn_back(folder: Path) -> None:
    """Others can start while it is used."""
    stack, _ = waiting(nothing)
    with stack, FileLock(folder / "start-0.lock").free() as free:
        assert free


def test_a_start_that_is_cancelled_while_it_waits_starts_nothing(folder: Path) -> None:
    """As a copy of a stack that nobody needs any more."""
    with held_elsewhere(folder) as other, ThreadPoolExecutor() as pool:
        stack, kinds = waiting(lambda: cancel(stack))
        started = pool.submit(stack.start)
        try:
            with pytest.raises(HarnessError, match="the start was cancelled"):
                started.result(30)
        finally:
            other.kill()

    assert "node.started" not in kinds
