"""What the attacks of tests/faults draw, and how they count."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.faults.counts import Seen, count, in_flight
from tests.faults.ledger import Ledger, Reminder
from tests.faults.plan import APPS, PARTS, SESSION, Fault, kills, outages


def ledger(*reminders: Reminder) -> Ledger:
    """Two writes of one task of a series, and reminders."""
    found = Ledger(versions={"t": {1, 2}}, completed={"t"})
    found.reminders = {each.task: each for each in reminders}
    return found


ALL_WELL = Seen(
    rows={"t": 2, "r": 1},
    followed={"t"},
    events={("t", 1): 1, ("t", 2): 1},
    notified={"e1", "e2"},
    event_ids={"e1", "e2"},
    webhooks={"e1": 1, "e2": 1},
)


def seen(**other: object) -> Seen:
    """All is well but for this."""
    return Seen(**{**vars(ALL_WELL), **other})


def test_complete_records_have_no_losses() -> None:
    """A later version of a row holds the earlier writes."""
    counts = count(ledger(), seen(rows={"t": 3}))

    assert (0, 2, 0, 0) == (counts.lost, counts.writes, counts.events_twice, counts.webhooks_twice)


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("lost_writes", {"rows": {"t": 1}}),
        ("lost_writes", {"rows": {}}),
        ("lost_events", {"events": {("t", 1): 1}}),
        ("lost_followers", {"followed": set()}),
        ("lost_notifications", {"notified": {"e1"}, "webhooks": {"e1": 1}}),
        ("lost_webhooks", {"webhooks": {"e1": 1}}),
    ],
)
def test_missing_records_are_counted_as_lost(field: str, other: dict[str, object]) -> None:
    """Each loss is counted once, in its own list."""
    counts = count(ledger(), seen(**other))

    assert (1, 1) == (len(getattr(counts, field)), counts.lost)


def test_a_task_that_was_not_found_is_lost() -> None:
    """Also when a row of that version is there in the end."""
    found = ledger()
    found.vanished.add("t")

    assert ["t"] == count(found, seen()).lost_writes


def test_each_repetition_is_counted() -> None:
    """Three times is twice too many."""
    counts = count(
        ledger(Reminder("r", "r", 100)),
        seen(
            events={("t", 1): 3, ("t", 2): 1}, webhooks={"e1": 2, "e2": 1}, mails={"r": [1e3] * 4}
        ),
    )

    assert (2, 1, 3) == (counts.events_twice, counts.webhooks_twice, counts.mails_twice)


def test_a_reminder_is_late_by_its_first_mail() -> None:
    """The second one is another matter."""
    counts = count(ledger(Reminder("r", "r", 100)), seen(mails={"r": [130.0, 107.0]}))

    assert ([7.0], [], []) == (counts.late, counts.never, counts.early)


def test_a_reminder_that_did_not_come_never_came() -> None:
    """It is lost, and not late."""
    counts = count(ledger(Reminder("r", "r", 100)), seen())

    assert (["r"], 1, []) == (counts.never, counts.lost, counts.late)


@pytest.mark.parametrize(
    "other",
    [{"mails": {"r": [99.0]}}, {"mails": {"r": [101.0]}, "fired": {("r", 100.0): [99.0]}}],
    ids=["mail", "event"],
)
def test_a_mail_or_an_event_before_its_time_is_early(other: dict[str, object]) -> None:
    """An event that came early is early also when its mail was slow."""
    assert ["r"] == count(ledger(Reminder("r", "r", 100.0)), seen(**other)).early


@pytest.mark.parametrize(("settled", "early"), [(90.0, ["r"]), (99.0, [])])
def test_a_moved_reminder_must_not_come_at_its_old_time(settled: float, early: list[str]) -> None:
    """Unless it was moved in the last moment, when the old one may be on its way."""
    moved = Reminder("r", "r", 200.0, "moved", settled=settled, was_due=100.0)

    assert early == count(ledger(moved), seen(mails={"r": [100.5, 200.5]})).early


@pytest.mark.parametrize(("settled", "void"), [(90.0, ["r"]), (99.0, [])])
def test_a_cancelled_reminder_must_not_come(settled: float, void: list[str]) -> None:
    """It is none that must come, either."""
    cancelled = Reminder("r", "r", 100.0, "cancelled", settled=settled, was_due=100.0)

    assert void == count(ledger(cancelled), seen(fired={("r", 100.0): [100.5]})).void
    assert [] == count(ledger(cancelled), seen(mails={"r": [100.5]})).void  # of another task
    assert (0, []) == (count(ledger(cancelled), seen()).lost, count(ledger(cancelled), seen()).void)


def test_percentiles_of_lateness() -> None:
    """Of what came."""
    reminders = [Reminder(f"r{n}", f"r{n}", 100) for n in range(101)]
    mails = {f"r{n}": [100.0 + n] for n in range(101)}

    counts = count(ledger(*reminders), seen(mails=mails))

    assert (50, 90, 99) == tuple(round(counts.lateness(n)) for n in (50, 90, 99))
    assert 0.0 == count(ledger(), seen()).lateness(50)


def test_a_fault_cuts_off_what_goes_through_its_part() -> None:
    """As many calls as there are slots; other parts none."""
    faults = [Fault(0, "broker"), Fault(1, "broker", "stop", 40), Fault(2, "frontend", "kill", 120)]

    assert 8 * 2 == in_flight(faults, 8, {"broker"})


def test_a_seed_determines_the_plan() -> None:
    """The same one each time, and another one for another seed."""
    first, again, other = (kills(seed, each=3, every=1, stops=9) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_every_part_is_killed_so_many_times() -> None:
    """In the order of time, within the time that is given."""
    plan = kills(7, each=3, every=2, stops=5)

    killed = Counter(fault.part for fault in plan if fault.how == "kill")
    assert dict.fromkeys((*PARTS, SESSION), 3) == killed
    assert 5 == sum(fault.how == "stop" for fault in plan)
    assert plan == sorted(plan, key=lambda fault: fault.at)
    assert max(fault.at for fault in plan) <= 3 * 2 * (len(PARTS) + 1)


def test_groups_go_down_one_after_the_other() -> None:
    """Every part once; those of one group at the same time, those of another afterwards."""
    plan = outages(7, seconds=40, together=4)

    assert sorted(PARTS) == sorted(fault.part for fault in plan)
    groups = [plan[n : n + 4] for n in range(0, len(plan), 4)]
    for group in groups:
        assert max(fault.at for fault in group) < min(fault.end for fault in group)
    for one, following in pairwise(groups):
        assert max(fault.end for fault in one) < min(fault.at for fault in following)


def test_the_parts_are_those_of_the_reference_system() -> None:
    """A part that is added to the system is attacked too."""
    from scenarios.topology import todo

    nodes = {node.name for node in todo(inbox=False).nodes}

    assert {*PARTS} == nodes - {"receiver"}
    assert {*APPS} < nodes
