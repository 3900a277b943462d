"""Copies of a stack that wait for tests: how many, which of them are leased, and what fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import ConfigError, HarnessError, Settings, Stack, Topology
from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import TeardownError
from harness.core.node import Scope
from harness.core.roles import Part
from harness.runtime import usage
from harness.runtime.fake import FakeInstance, FakeRuntime
from harness.runtime.usage import IdleCores, free_memory, memory_of
from harness.stack import isolated, room
from harness.stack.open_stacks import open_stacks
from harness.stack.pool import TRIES, Pool
from harness.stack.room import Room
from tests.support import Fake, project
from tests.unit.test_secrets_file import Tools
from tests.unit.test_sharing import COMPONENT


class Spacious:
    """Room for any number of copies, or for none."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.asked = 0
        self.measured: list[Stack] = []

    def measure(self, copy: Stack) -> None:
        self.measured.append(copy)

    def is_there(self) -> bool:
        self.asked += 1
        return self.there


@dataclass(frozen=True)
class Server(Fake):
    """A node that copies share, and of which those in ``stuck`` cannot be removed."""

    left: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    def seen_in(self, namespace: str) -> Server:
        return self

    def divides(self, user: Any, keys: Collection[str]) -> bool:
        return True

    def leave(self, scope: Scope, part: Part) -> None:
        if part.namespace in self.stuck:
            raise HarnessError("a process of it is still ending")
        self.left.append(part.namespace)


@dataclass(frozen=True)
class Own(Fake):
    """A node that is started anew in each copy; a test decides what happens meanwhile."""

    begun: list[Callable[[], None]] = field(default_factory=list)

    def initialize(self, scope: Scope) -> None:
        for each in self.begun:
            each()


class Base:
    """A running stack, and its copies.

    Attributes:
        runtimes: those of the copies, in the order of their starts.
        begun: called at the start of each copy.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
        monkeypatch.setattr(FakeRuntime, "name", "processes")
        project(folder, **files)
        (folder / "r").mkdir(exist_ok=True)
        self.begun: list[Callable[[], None]] = []
        self.runtimes: list[FakeRuntime] = []
        self.server = Server("server")
        nodes = self.server, Own("own", needs=("server",), begun=self.begun)
        self.stack = Stack(
            Topology(*nodes, resources="r"),
            Settings.load(folder, {}),
            Tools(),
            lambda: FakeRuntime(folder / "base"),
        )

        def runtime(*_: object, **__: object) -> FakeRuntime:
            self.runtimes.append(FakeRuntime(folder / f"copy-{len(self.runtimes)}"))
            return self.runtimes[-1]

        monkeypatch.setattr(isolated, "ProcessRuntime", runtime)
        self.room = Spacious()

    def pool(self, size: int = 9) -> Pool:
        return Pool(self.stack, size, self.room)  # type: ignore[arg-type]  # the same methods


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Base]:
    made = Base(tmp_path, monkeypatch)
    with made.stack:
        yield made


def filled(pool: Pool, number: int) -> None:
    seen = poll(lambda: Observation(number == pool.spares, f"{pool.spares}"), Deadline(30))
    assert seen.ok, seen.fact


def app_of(copy: Stack) -> FakeInstance:
    instance = copy.instances["own"]
    assert isinstance(instance, FakeInstance)
    return instance


def test_a_test_gets_a_copy_that_was_started_before_and_nobody_else_gets_it(base: Base) -> None:
    """Afterwards it is stopped, whatever was done to it."""
    pool = base.pool()
    pool.expect(2)
    filled(pool, 2)

    with pool.leased("one", 1) as first, pool.leased("two") as second:
        assert first is not second
        assert first.book.namespace != second.book.namespace
        assert 2 == len(base.runtimes)
    pool.close()

    assert ["closed", "closed"] == [each.events[-1] for each in base.runtimes]


def test_no_more_copies_are_started_than_tests_to_come_need(base: Base) -> None:
    """Each lease says how many follow; the test that has none starts its own."""
    pool = base.pool()
    for later in (2, 1, 0):
        with pool.leased("a test", later):
            filled(pool, min(later, 1) if later < 2 else 2)
    pool.close()

    assert 3 == len(base.runtimes)


def test_the_size_bounds_the_number_of_spare_copies(base: Base) -> None:
    """However many tests are to come; with 0, nothing is started in the background."""
    pool, none = base.pool(2), base.pool(0)
    pool.expect(100)
    none.expect(100)
    filled(pool, 2)

    with none.leased("a test", 99):
        pass

    pool.close()
    none.close()
    assert 3 == len(base.runtimes)


def test_without_room_a_test_starts_its_own(base: Base) -> None:
    """In the foreground, and with the same result."""
    base.room.there = False
    pool = base.pool()
    pool.expect(1)
    assert poll(lambda: Observation(base.room.asked > 1), Deadline(30)).ok
    assert not base.runtimes

    with pool.leased("a test") as copy:
        assert copy.instances["own"].exit_code is None
    assert [copy] == base.room.measured


def test_a_copy_is_spare_until_it_is_leased_and_afterwards(base: Base) -> None:
    """Reports about a test are not about the copies of others."""
    others = open_stacks()
    others.remove(base.stack)

    def opened() -> list[Stack]:
        """The stack of this session is open as well, if a test has used it."""
        return [each for each in open_stacks() if each not in others]

    pool = base.pool()
    pool.expect(1)
    filled(pool, 1)

    assert [base.stack] == opened()
    with pool.leased("a test") as copy:
        assert {base.stack, copy} == {*opened()}
    assert [base.stack] == opened()


def test_a_spare_copy_that_has_died_is_dropped_and_replaced(base: Base) -> None:
    """Nobody hears of it, and the test gets a copy that runs."""
    pool = base.pool()
    pool.expect(1)
    filled(pool, 1)
    dead = pool._spares[0].copy
    app_of(dead)._exit_code = 1

    pool.expect(1)
    filled(pool, 1)

    with pool.leased("a test") as copy:
        assert copy is not dead
        assert copy.instances["own"].exit_code is None
        assert poll(lambda: Observation("closed" in base.runtimes[0].events), Deadline(30)).ok
    assert 2 == len(base.runtimes)


def test_a_copy_that_dies_right_before_the_lease_is_not_leased(base: Base) -> None:
    """What the supervisor has not told yet is asked for."""
    pool = base.pool()
    pool.expect(1)
    filled(pool, 1)
    dead = pool._spares[0].copy

    def told() -> None:
        app_of(dead)._exit_code = 1

    dead.catch_up = told  # type: ignore[method-assign]  # it arrives then
    with pool.leased("a test") as copy:
        assert copy is not dead


def test_copies_are_dropped_when_what_they_share_was_acted_on(base: Base) -> None:
    """A broker that was restarted or paused has left something in each of them."""
    pool = base.pool()
    pool.expect(1)
    filled(pool, 1)
    before = pool._spares[0].copy

    server = base.stack.instances["server"]
    assert isinstance(server, FakeInstance)
    server.announce("pause", "a test", own=True)

    with pool.leased("a test") as copy:
        assert copy is not before


def fail(base: Base, number: int) -> None:
    """Let so many starts fail."""
    left = [HarnessError(f"start {each} failed") for each in range(number, 0, -1)]

    def raise_next() -> None:
        if left:
            raise left.pop()

    base.begun.append(raise_next)


def test_after_two_failed_starts_a_test_sees_the_error_of_its_own(base: Base) -> None:
    """And nothing more is tried in the background until a start has succeeded."""
    pool = base.pool()
    fail(base, TRIES + 1)
    pool.expect(1)
    assert poll(lambda: Observation(TRIES == pool._failures), Deadline(30)).ok

    with pytest.raises(HarnessError, match=f"start {TRIES + 1} failed"), pool.leased("a test", 1):
        pass
    assert TRIES + 1 == len(base.runtimes)
    with pool.leased("a test", 1):
        filled(pool, 1)


def test_a_stack_that_can_have_no_copies_is_refused_with_the_reason(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the test that asks for one."""
    monkeypatch.setattr(FakeRuntime, "name", "attached")
    pool = base.pool()
    pool.expect(1)

    with pytest.raises(ConfigError, match="started by somebody else"), pool.leased("a test"):
        pass


class Gate:
    """Holds starts until it is opened."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.open.wait(30)


def test_a_test_waits_for_the_copy_that_is_being_started(base: Base) -> None:
    """It is ready sooner than another one would be."""
    pool, gate = base.pool(), Gate()
    base.begun.append(gate)
    pool.expect(1)
    assert gate.reached.wait(30)

    waiting = threading.Timer(0.2, gate.open.set)
    waiting.start()
    with pool.leased("a test"):
        assert 1 == len(base.runtimes)
    waiting.join()


def test_the_stack_ends_a_start_in_the_background_before_it_stops(base: Base) -> None:
    """As on Ctrl-C: nothing is left, and nothing is reported."""
    pool, gate = base.pool(), Gate()
    base.begun.append(gate)
    pool.expect(3)
    assert gate.reached.wait(30)

    opening = threading.Timer(0.2, gate.open.set)
    opening.start()
    base.stack.close()
    opening.join()

    assert 1 == len(base.runtimes)
    assert "closed" == base.runtimes[0].events[-1]
    assert 0 == pool.spares


def test_a_copy_that_cannot_be_stopped_is_reported_at_the_end(base: Base) -> None:
    """With the test that used it."""
    pool = base.pool()
    with pool.leased("test_of_mine") as copy:

        def close() -> None:
            raise TeardownError("something is left")

        copy.close = close  # type: ignore[method-assign]  # fails

    with pytest.raises(TeardownError, match="something is left") as told:
        pool.close()

    assert "test_of_mine" in str(told.value.__notes__)


def test_the_copies_of_apps_with_a_cron_binding_do_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would receive ticks that a fresh copy has not; without an inbox, nobody sees them."""
    cron = COMPONENT.format(type="bindings.cron", fields='{name: schedule, value: "@every 5s"}')
    base = Base(tmp_path, monkeypatch, r__cron_yaml=cron)
    with base.stack:
        pool = base.pool()
        monkeypatch.setattr("harness.stack.pool._records_all", lambda _: False)
        assert 0 == base.pool()._size
        monkeypatch.setattr("harness.stack.pool._records_all", lambda _: True)
        pool = base.pool()
        pool.expect(1)
        filled(pool, 1)
        ticked = pool._spares[0].copy
        monkeypatch.setattr("harness.stack.pool.is_as_it_began", lambda copy: copy is not ticked)
        with pool.leased("a test") as copy:
            assert copy is not ticked


@pytest.mark.parametrize(
    ("free", "there"), [(None, True), (100 + 2 * 30, True), (100 + 2 * 30 - 1, False), (0, False)]
)
def test_memory_must_be_left_for_a_copy_to_grow_and_for_a_whole_stack(
    base: Base, monkeypatch: pytest.MonkeyPatch, free: int | None, *, there: bool
) -> None:
    """By what the stack takes: its own nodes, and those that its copies share."""
    sizes = {1: 70, 2: 30}
    for number, name in enumerate(("server", "own"), start=1):
        base.stack.instances[name].pid = number  # type: ignore[misc]  # as of a process
    monkeypatch.setattr(room, "memory_of", lambda pids: sum(sizes[each] for each in pids))
    monkeypatch.setattr(room, "free_memory", lambda: free)

    assert there == Room(base.stack, patient=False).is_there()


def test_a_larger_copy_is_the_measure_of_the_next(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy may take more than the same nodes of the stack."""
    monkeypatch.setattr(room, "memory_of", lambda pids: 100 * len(list(pids)))
    monkeypatch.setattr(room, "free_memory", lambda: 150)
    found, pool = Room(base.stack, patient=False), base.pool()
    with pool.leased("a test") as copy:
        app_of(copy).pid = 7
        assert found.is_there()
        found.measure(copy)
        assert not found.is_there()


def test_the_memory_of_a_container_is_that_which_its_engine_tells(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first process may belong to somebody else, whose memory cannot be read."""
    monkeypatch.setattr(FakeInstance, "memory", lambda _: 100, raising=False)
    monkeypatch.setattr(FakeInstance, "frozen", False, raising=False)
    monkeypatch.setattr(room, "memory_of", lambda pids: len(list(pids)))
    free = iter([399, 400])  # two nodes; one of them, twice, is in a copy
    monkeypatch.setattr(room, "free_memory", lambda: next(free))
    found = Room(base.stack, patient=False)

    assert not found.is_there()
    assert found.is_there()


@pytest.mark.parametrize(
    ("runtime", "local", "most"),
    [("processes", True, 50), ("containers", True, 8), ("containers", False, 0), ("x", True, 0)],
)
def test_on_containers_networks_and_another_machine_bound_the_number_of_copies(
    runtime: str, most: int, *, local: bool
) -> None:
    """An engine has addresses for about 30 networks; nobody knows the memory elsewhere."""
    tools = SimpleNamespace(engine=SimpleNamespace(is_local=local))
    stack: Any = SimpleNamespace(runtime=runtime, tools=tools)

    assert most == room.most_copies(stack, 50)


@pytest.mark.parametrize(("idle", "there"), [(0.4, False), (0.6, True)])
def test_a_busy_processor_is_left_to_the_tests(
    base: Base, monkeypatch: pytest.MonkeyPatch, idle: float, *, there: bool
) -> None:
    """Unless the number of copies was given, which asks for them whatever else happens."""
    monkeypatch.setattr(IdleCores, "lately", lambda *_: idle)
    monkeypatch.setattr(room, "free_memory", lambda: None)

    assert there == Room(base.stack, patient=True).is_there()
    assert Room(base.stack, patient=False).is_there()


def test_idle_cores_are_counted_over_a_while_that_has_just_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a second in which two cores had 40 idle ticks of 10 ms each."""
    now = SimpleNamespace(at=10.0, ticks=1000)
    monkeypatch.setattr(usage, "time", SimpleNamespace(monotonic=lambda: now.at))
    monkeypatch.setattr(usage, "_idle_ticks", lambda: now.ticks)
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    idle = IdleCores()

    now.at, now.ticks = 10.1, 1020
    assert 0 == idle.lately(0.5), "too short"
    now.at, now.ticks = 10.5, 1080
    assert 1.6 == pytest.approx(idle.lately(0.5))
    now.at, now.ticks = 20.0, 2000
    assert 0 == idle.lately(0.5), "too long ago"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_the_memory_of_this_process_is_measured() -> None:
    """Some megabytes, with children; a process that is gone has none."""
    assert memory_of([os.getpid()]) > 5_000_000
    assert 0 == memory_of([2**30])
    free = free_memory()
    assert free is not None
    assert free > 0


def test_a_limit_of_a_control_group_bounds_the_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container; pages of files that can be dropped are free."""
    for name, text in {"memory.max": "5000", "memory.current": "3000"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 500\n")
    monkeypatch.setattr(usage, "own_groups", lambda: [tmp_path])

    assert 2500 == free_memory()


def test_a_start_that_is_cancelled_before_it_begins_starts_nothing(base: Base) -> None:
    """It raises, and leaves nothing."""
    with ExitStack():
        copy = isolated.IsolatedStack(base.stack)
        copy.cancel()
        with pytest.raises(HarnessError, match="cancelled"):
            copy.start()

    assert "started own" not in base.runtimes[0].events
    assert "closed" == base.runtimes[0].events[-1]


def test_what_a_killed_process_has_left_is_removed_by_the_next_copy_that_ends(base: Base) -> None:
    """Its lock is free; that of a copy that is in use is not, and what is stuck is tried again."""
    marks = base.stack.folder / "copies"
    with isolated.IsolatedStack(base.stack) as used:
        for killed in ("w00000001", "w00000002"):
            (marks / f"{killed}.copy").touch()
        base.server.stuck.append("w00000002")
        with isolated.IsolatedStack(base.stack) as ending:
            pass
        assert [ending.book.namespace, "w00000001"] == base.server.left
        assert [used.book.namespace, "w00000002"] == sorted(
            (each.stem for each in marks.iterdir()), key=lambda name: name == "w00000002"
        )

    base.server.stuck.clear()
    with isolated.IsolatedStack(base.stack):
        pass
    assert "w00000002" in base.server.left
    assert [] == [*marks.iterdir()]
