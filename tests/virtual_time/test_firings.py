"""What has fired: its record, one firing at a time, and the history that two runs share."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from harness import ConfigError, Occurrence, Topology, VirtualScheduler, history
from harness.core.endpoint import Endpoint
from harness.core.launch import Launch
from harness.core.roles import RecordsFirings
from harness.stack.book import AddressBook
from harness.virtual_time.agenda import Agenda, Outcome
from harness.virtual_time.civil import SECOND, civil
from harness.virtual_time.connections import APP, Joining, Target
from harness.virtual_time.engine import Engine
from harness.virtual_time.firings import Firing, FiringRecord, firings_of
from harness.virtual_time.jobs import Job, Policy
from tests.unit.test_stack import NoTools

NOW = civil((2027, 1, 31, 9, 0, 0))
SHOP = Target(APP, "default", "shop")
NAME = "app||default||shop||"
WORLD = "0a1b2c3d"


class Held:
    """A stream whose firings are answered later."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, _number: int, name: str, _job: Job) -> None:
        self.sent.append(name)


def fired_in(path: Path) -> list[tuple[int, str, int, str]]:
    """The moment in seconds, name, attempt and outcome of each firing in a record."""
    with path.open() as lines:
        found = firings_of(lines)
    return [
        ((each.moment - NOW) // SECOND, each.name.removeprefix(NAME), each.attempt, each.outcome)
        for each in found
    ]


def test_every_firing_is_recorded_with_its_moment_attempt_and_outcome(tmp_path: Path) -> None:
    """In the order in which they were sent, whatever was answered first."""
    path, stream = tmp_path / "firings", Held()
    with contextlib.closing(FiringRecord(path)) as record:
        engine = Engine(Agenda(NOW), lambda _: SHOP, record)
        engine.join(stream, Joining("default", "shop"))
        for name in ("a", "b", "c"):
            engine.put(SHOP, name, Job(due_time="1s", policy=Policy(SECOND, 1)), NOW)
        engine.move(NOW + SECOND)
        engine.tell(stream, 2, Outcome.SUCCESS)
        engine.tell(stream, 1, Outcome.FAILED)
        engine.move(NOW + 2 * SECOND)
        engine.tell(stream, 4, Outcome.FAILED)

        assert [
            (1, "a", 1, "failed"),
            (1, "b", 1, "success"),
            (1, "c", 1, "no answer"),
            (2, "a", 2, "failed"),
        ] == fired_in(path)


def test_a_record_is_continued_after_a_kill(tmp_path: Path) -> None:
    """What was unanswered stays so; a line that is still being written is not read."""
    path = tmp_path / "firings"
    for outcome in (None, Outcome.SUCCESS):
        with contextlib.closing(FiringRecord(path)) as record:
            engine, stream = Engine(Agenda(NOW), lambda _: SHOP, record), Held()
            engine.join(stream, Joining("default", "shop"))
            engine.put(SHOP, "job", Job(due_time="0s"), NOW)
            if outcome is not None:
                engine.tell(stream, 1, outcome)
    with path.open("a") as file:
        file.write('{"at": 1.0, "rev')

    assert [(0, "job", 1, "no answer"), (0, "job", 1, "success")] == fired_in(path)


def test_one_at_a_time_waits_for_each_outcome() -> None:
    """A retry without a pause, and what a handler schedules, are fired by their order as well."""
    engine, stream = Engine(Agenda(NOW), lambda _: SHOP, one_at_a_time=True), Held()
    engine.join(stream, Joining("default", "shop"))
    for name in ("a", "b"):
        engine.put(SHOP, name, Job(due_time="1s", policy=Policy(0, 1)), NOW)
    engine.move(NOW + SECOND)
    assert ["a"] == stream.sent

    engine.put(SHOP, "c", Job(due_time="0s"), NOW)
    engine.tell(stream, 1, Outcome.FAILED)
    assert ["a", "a"] == stream.sent

    for number in (2, 3, 4):
        engine.tell(stream, number, Outcome.SUCCESS)
    assert ["a", "a", "b", "c"] == stream.sent


def test_one_at_a_time_does_not_wait_for_an_app_that_is_away() -> None:
    """Its job waits, and the next one is fired."""
    engine, stream = Engine(Agenda(NOW), lambda _: SHOP, one_at_a_time=True), Held()
    for name in ("a", "b"):
        engine.put(SHOP, name, Job(due_time="0s"), NOW)
    assert 2 == len(engine.agenda.waiting())

    engine.join(stream, Joining("default", "shop"))
    assert ["a"] == stream.sent
    engine.tell(stream, 1, Outcome.SUCCESS)
    assert ["a", "b"] == stream.sent


def test_many_are_under_way_at_once_otherwise() -> None:
    """In the order in which they were scheduled."""
    engine, stream = Engine(Agenda(NOW), lambda _: SHOP), Held()
    engine.join(stream, Joining("default", "shop"))
    for name in ("b", "a", "c"):
        engine.put(SHOP, name, Job(due_time="1s"), NOW)
    engine.move(NOW + SECOND)

    assert ["b", "a", "c"] == stream.sent


def firing(name: str, at: float = 100.0, took: float | None = 1.0) -> Occurrence:
    """As a timeline has it."""
    sent = Firing(NOW, at, name, 2, "failed", took).occurrence("scheduler")
    return Occurrence(
        round(at * 1e9), sent.source, sent.node, sent.what, {}, sent.payload, sent.took
    )


def delivery(path: str, at: float, payload: Any = None) -> Occurrence:
    """As a timeline has it."""
    words = f"POST {path} -> 200"
    world = WORLD if WORLD in words else ""
    return Occurrence(round(at * 1e9), "delivery", "shop", words, {}, payload, world=world)


def test_a_firing_is_an_occurrence_with_its_virtual_moment() -> None:
    """In its text and in its payload; it is found by the name of the job."""
    found = Firing(NOW, 100.0, f"{NAME}rent", 2, "failed", 0.5).occurrence("scheduler")

    assert ("firing", "scheduler", 0.5) == (found.source, found.node, found.took)
    assert f"{NAME}rent at 2027-01-31T09:00:00Z, attempt 2 -> failed" == found.what
    assert {"job": "rent"} == found.correlation
    assert ("2027-01-31T09:00:00Z", 2) == (found.payload["moment"], found.payload["attempt"])


def test_a_history_has_what_each_firing_has_delivered() -> None:
    """Of its own job only, and only while it was under way; jobs and reminders."""
    lines = history(
        [
            firing(f"{NAME}a b"),
            firing("actorreminder||default||Cart||7||wake"),
            delivery("/job/a%20b", 100.5, {"n": 1}),
            delivery("/actors/Cart/7/method/remind/wake", 100.5),
            delivery("/job/a%20b", 101.5),
            delivery("/job/other", 100.5),
        ]
    )
    assert [
        f"{NAME}a b at 2027-01-31T09:00:00Z, attempt 2 -> failed",
        '    shop: POST /job/a%20b -> 200 {"n": 1}',
        "actorreminder||default||Cart||7||wake at 2027-01-31T09:00:00Z, attempt 2 -> failed",
        "    shop: POST /actors/Cart/7/method/remind/wake -> 200 null",
    ] == lines


def test_a_history_has_no_ids_and_no_process_ids() -> None:
    """Equal ids get equal numbers, and the test's own id a word."""
    one, other = "5f2d4f0e-8a5e-4d0e-9d58-4b8a3c5a7f11", "0af7651916cd43dd8448eb211c80319c"
    payload = [one, other, one.upper(), WORLD]
    lines = history(
        [
            Occurrence(1, "journal", "shop", "process.exited pid=7 code=-9", {}, {}),
            firing(f"{NAME}rent-{WORLD}"),
            delivery(f"/job/rent-{WORLD}", 100.5, payload),
            Occurrence(3, "event", "kafka", "orders com.dapr.event.sent"),
        ]
    )
    assert [
        "shop process.exited",
        f"{NAME}rent-<test> at 2027-01-31T09:00:00Z, attempt 2 -> failed",
        '    shop: POST /job/rent-<test> -> 200 ["<id 1>", "<id 2>", "<id 1>", "<test>"]',
    ] == lines


def test_a_virtual_scheduler_records_its_firings() -> None:
    """The timeline asks it for the file."""
    assert isinstance(VirtualScheduler(), RecordsFirings)


def planned(folder: Path, node: VirtualScheduler, *, mtls: bool = False) -> Launch:
    """What is run for it."""
    ports = iter(range(20001, 20100))
    topology = Topology(node, mtls=mtls)
    book = AddressBook(
        topology, NoTools(), folder, folder, lambda wanted: Endpoint("127.0.0.1", next(ports))
    )
    return topology["scheduler"].plan(book.scope("scheduler"))


def test_a_virtual_scheduler_passes_on_what_it_is_told(tmp_path: Path) -> None:
    """Its first moment and its order; without a word, its program has its own."""
    start = "2027-01-31T09:00:00Z"
    ordered = VirtualScheduler(start=start, one_at_a_time=True)

    assert ("", "") == planned(tmp_path, VirtualScheduler()).argv[-2:]
    assert (start, "") == planned(tmp_path, VirtualScheduler(start=start)).argv[-2:]
    assert (start, "one-at-a-time") == planned(tmp_path, ordered).argv[-2:]


def test_a_virtual_scheduler_has_no_certificates(tmp_path: Path) -> None:
    """With mTLS, a topology is refused."""
    with pytest.raises(ConfigError, match="has virtual time, and this topology has mtls=True"):
        planned(tmp_path, VirtualScheduler(), mtls=True)
