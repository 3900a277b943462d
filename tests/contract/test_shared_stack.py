"""A stack for several processes: who starts it, who attaches, and who stops it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness import AppFailed, ConfigError, PortTaken, Receiver, Settings, Stack, Topology
from harness.core.errors import HarnessError
from harness.runtime.folder import (
    clear_dead_meetings,
    dead_run_folders,
    meeting_folder,
    open_meeting_folder,
)
from harness.runtime.proc import wait_gone
from harness.stack.registry import Registry, UpStack
from harness.stack.run import running
from harness.stack.run_record import RunRecord
from harness.stack.shared_stack import SharedStack, name_of, read_failure, write_failure

TINY = Topology(Receiver(mail=False))
SETTINGS = Settings.load()


class Party:
    """Processes that share stacks, as far as they can be told apart within one.

    Attributes:
        started: the stacks that they have started.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Stack] = []

    def member(
        self, who: str, topology: Topology = TINY, before: Callable[[], object] = lambda: None
    ) -> SharedStack:
        """The shared stack of one process."""

        def start() -> Stack:
            before()
            self.started.append(running(topology, SETTINGS))
            return self.started[-1]

        return SharedStack(topology, SETTINGS, start, folder=self._folder, who=who)


@pytest.fixture
def party(tmp_path: Path) -> Party:
    return Party(tmp_path)


@pytest.mark.real
def test_the_last_process_stops_the_stack(party: Party, tmp_path: Path) -> None:
    """The one that has started it may leave before; the next one starts another."""
    first, second = party.member("one"), party.member("two")
    with closing(second):
        with closing(first):
            folder, owner = first.open().folder, party.started[0].owner
            assert folder == second.open().folder
        assert folder.is_dir()
        assert ["started", "attached"] == [each.how.split()[0] for each in (first, second)]
    assert wait_gone(owner, 0)
    assert not folder.exists()
    assert [] == [*tmp_path.glob("*.json")]
    with closing(party.member("three")) as third:
        third.open()
    assert 2 == len(party.started)


@pytest.mark.real
def test_a_stack_whose_supervisor_was_killed_is_started_again(party: Party) -> None:
    """By the next process that needs it."""
    first, second = party.member("one"), party.member("two")
    with closing(second), closing(first):
        gone = first.open().owner
        os.kill(gone, signal.SIGKILL)
        assert wait_gone(gone, 10)

        assert second.open().owner != gone
        assert second.how.startswith("started")


@pytest.mark.real
def test_a_stack_that_ends_while_it_is_attached_to_is_started_again(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is still there, and its supervisor no longer answers."""
    first, second = party.member("one"), party.member("two")
    find = Registry.find

    def find_in_time(registry: Registry, name: str) -> UpStack | None:
        found = find(registry, name)
        if found is not None:
            os.kill(found.supervisor, signal.SIGKILL)
            assert wait_gone(found.supervisor, 10)
        return found

    with closing(second), closing(first):
        first.open()
        monkeypatch.setattr(Registry, "find", find_in_time)

        second.open()

        assert second.how.startswith("started")


@pytest.mark.real
def test_a_process_attaches_while_a_node_is_stopped(party: Party) -> None:
    """A test of another process may have stopped it, and will start it again."""
    first, second = party.member("one"), party.member("two")
    with closing(second), closing(first):
        stack = first.open()
        stack.instances["receiver"].stop()

        other = second.open()
        stack.restart("receiver")
        other.catch_up()
        other.check_alive()
        assert stack.instances["receiver"].pid == other.instances["receiver"].pid


@pytest.mark.real
@pytest.mark.parametrize(
    "other",
    [
        Topology(Receiver(mail=False), Receiver("second", mail=False)),
        Topology(Receiver(mail=False, bearer=True)),
    ],
    ids=["more nodes", "another command"],
)
def test_a_topology_that_only_seems_to_be_the_same_gets_a_stack_of_its_own(
    party: Party, monkeypatch: pytest.MonkeyPatch, other: Topology
) -> None:
    """What runs is compared, not what is printed."""
    monkeypatch.setattr("harness.stack.shared_stack.name_of", lambda *_: "same")
    first, second = party.member("one"), party.member("two", other)
    with closing(second), closing(first):
        first.open()
        assert len(other.nodes) == len(second.open().instances)
        assert second.how.startswith("started a stack of its own")


@pytest.mark.real
def test_clients_need_not_know_the_nodes_that_a_test_has_added() -> None:
    """They have the topology."""
    with running(TINY, SETTINGS) as stack:
        stack.add(Receiver("added", mail=False))
        stack.share()
        assert {"receiver"} == {*RunRecord.read(stack.folder).launches}


def test_a_failed_start_is_not_tried_by_another_process(party: Party) -> None:
    """It raises the same error, with a note."""

    def fail() -> None:
        raise AppFailed("shop exited", expected="more", last="the log", hint="look")

    with pytest.raises(AppFailed):
        party.member("gw0", before=fail).open()
    with pytest.raises(AppFailed) as told:
        party.member("gw1").open()

    assert str(told.value) == str(
        AppFailed("shop exited", expected="more", last="the log", hint="look")
    )
    assert ["the worker gw0 has tried to start it, and this one did not"] == told.value.__notes__
    assert [] == party.started


@pytest.mark.real
def test_an_interrupted_start_is_tried_by_the_next_process(party: Party) -> None:
    """Nothing is known about the stack."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        party.member("gw0", before=interrupt).open()
    with closing(party.member("gw1")) as second:
        second.open()
        assert second.how.startswith("started")


@pytest.mark.parametrize(
    "error",
    [PortTaken("a port", port=80, last="taken"), ConfigError("a name", expected="x", hint="y")],
)
def test_a_failure_is_read_as_it_was_written(tmp_path: Path, error: HarnessError) -> None:
    """With its kind, its facts, and the logs."""
    error.logs = {"shop": "log"}  # type: ignore[attr-defined]
    write_failure(tmp_path / "x", error, "gw0")

    read = read_failure(tmp_path / "x")

    assert type(read) is type(error)
    assert str(read) == str(error)
    assert vars(error).items() <= vars(read).items()


def test_any_other_exception_is_read_as_a_failure_of_the_harness(tmp_path: Path) -> None:
    """It says which one."""
    write_failure(tmp_path / "x", TypeError("no int"), "gw0")

    read = read_failure(tmp_path / "x")

    assert type(read) is HarnessError
    assert "TypeError: no int" in str(read)


def test_equal_topologies_with_equal_settings_have_one_name() -> None:
    """In another process, objects have other addresses, and the environment differs."""

    def sign(path: str, token: object) -> dict[str, str]:
        return {}

    def named(topology: Topology, worker: str = "", runtime: str = "", version: str = "") -> str:
        variables = {"WORKER": worker}
        if runtime:
            variables["DAPR_HARNESS_RUNTIME"] = runtime
        if version:
            variables["DAPR_HARNESS_DAPR_VERSION"] = version
        return name_of(topology, Settings.load(environ=variables))

    one, same = (Topology(Receiver(mail=False), sign=lambda *_: sign("", None)) for _ in range(2))
    assert named(one, worker="gw0") == named(same, worker="gw1")
    assert named(TINY) != named(Topology(Receiver()))
    assert named(TINY) != named(TINY.with_time("virtual"))
    assert named(TINY) != named(TINY, runtime="containers")
    assert named(TINY) != named(TINY, version="1.16.0")


def test_the_folder_of_a_party_is_stale_when_its_owner_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of processes may open it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    living, dead = meeting_folder(), meeting_folder()

    for _ in range(2):
        assert open_meeting_folder(living, os.getpid()).stat().st_mode & 0o777 == 0o700
    open_meeting_folder(dead, 2**22 + 1)

    assert [dead] == dead_run_folders()
    clear_dead_meetings(living.parent / "run")
    assert [living] == [*living.parent.glob("meeting-*")]
