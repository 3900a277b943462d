"""What is due when: jobs, their progress, and the agenda of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.virtual_time.agenda import Agenda, Entry, Outcome, State
from harness.virtual_time.civil import SECOND, civil
from harness.virtual_time.gotime import parse_rfc3339, rfc3339
from harness.virtual_time.jobs import DROP, Job, Policy, begun, failed, planned, succeeded
from harness.virtual_time.storage import File

NOW = civil((2027, 1, 31, 9, 0, 0))
FAIL, OK, AWAY = Outcome.FAILED, Outcome.SUCCESS, Outcome.UNDELIVERABLE


def agenda_of(**jobs: Job) -> Agenda:
    """An agenda with jobs by name."""
    agenda = Agenda(NOW)
    for name, job in jobs.items():
        agenda.put(name, planned(job, agenda.now))
    return agenda


def fire(agenda: Agenda, seconds: float, outcome: Outcome = OK) -> list[tuple[str, float]]:
    """Move on and answer everything alike; return what fired at which second."""
    end, fired = NOW + int(seconds * SECOND), []
    while (due := agenda.next_due()) is not None and due <= end:
        agenda.now = max(agenda.now, due)
        for entry in list(agenda.take()):
            fired.append((entry.name, (agenda.now - NOW) / SECOND))
            agenda.tell(entry.revision, outcome)
    agenda.now = end
    return fired


def test_jobs_of_one_moment_fire_in_the_order_in_which_they_were_scheduled() -> None:
    """And earlier ones before later ones."""
    agenda = agenda_of(
        z=Job(due_time="2s"), b=Job(due_time="1s"), a=Job(due_time="1s"), past=Job(due_time="-9s")
    )
    assert [("past", 0), ("b", 1), ("a", 1), ("z", 2)] == fire(agenda, 5)
    assert 0 == len(agenda)


def test_a_policy_has_its_interval_on_the_agenda() -> None:
    """And not more retries than it says."""
    agenda = agenda_of(job=Job(due_time="0s", policy=Policy(3600 * SECOND, 2)))
    assert [("job", 0), ("job", 3600), ("job", 7200)] == fire(agenda, 100_000, FAIL)


def test_a_schedule_goes_on_from_the_moment_that_failed() -> None:
    """Not from the last retry."""
    agenda = agenda_of(job=Job(schedule="@every 10s", repeats=2, policy=Policy(SECOND, 2)))
    assert [10, 11, 12, 20, 21, 22] == [second for _, second in fire(agenda, 60, FAIL)]


def test_a_dropped_firing_is_not_tried_again() -> None:
    """The schedule goes on."""
    agenda = agenda_of(job=Job(schedule="@every 10s", repeats=3, policy=DROP))
    assert [10, 20, 30] == [second for _, second in fire(agenda, 60, FAIL)]


def test_a_job_waits_for_its_app_and_catches_up() -> None:
    """Every firing that it has missed."""
    agenda = agenda_of(job=Job(schedule="@every 10s", repeats=3))
    assert [("job", 10)] == fire(agenda, 35, AWAY)
    assert (["job"], None) == ([each.name for each in agenda.waiting()], agenda.next_due())

    agenda.deliverable(["other", "jo"])

    assert [("job", 35)] * 3 == fire(agenda, 35)


def test_an_answer_to_a_job_that_was_replaced_is_dropped() -> None:
    """The new one is as if it had never fired."""
    agenda = agenda_of(job=Job(due_time="0s"))
    (old,) = agenda.take()
    agenda.put("job", planned(Job(due_time="5s"), agenda.now))
    agenda.tell(old.revision, OK)

    assert (NOW + 5 * SECOND, 1) == (agenda.next_due(), len(agenda))
    assert [("job", 5)] == fire(agenda, 9)


def test_a_prefix_deletes_only_what_begins_so() -> None:
    """To the letter."""
    agenda = agenda_of(**{name: Job(due_time="1h") for name in ("a1", "a2", "b1", "A1")})
    agenda.delete_prefix("a")
    assert ["A1", "b1"] == [each.name for each in agenda.named("")]


def test_a_job_that_can_never_fire_leaves_nothing() -> None:
    """And takes the place of one with its name."""
    agenda = agenda_of(job=Job(due_time="1h"))
    agenda.put("job", planned(Job(schedule="@every 2h", ttl="1h"), agenda.now))
    assert 0 == len(agenda)


def test_firings_are_counted_before_they_happen() -> None:
    """Also those of schedules that end, and none of jobs that wait."""
    agenda = agenda_of(
        tick=Job(schedule="@every 1s"),
        thrice=Job(schedule="@every 1s", repeats=3),
        daily=Job(schedule="@daily"),
        ends=Job(schedule="@every 1h", ttl="150m"),
        once=Job(due_time="1h"),
        later=Job(due_time="10000h"),
    )
    day = NOW + 86_400 * SECOND
    expected = {"tick": 86_400, "thrice": 3, "daily": 1, "ends": 2, "once": 1}
    assert expected == agenda.count_until(day, 1000)


JOBS = st.builds(
    Job,
    schedule=st.sampled_from(("@every 7s", "@every 1m", "*/5 * * * * *", "@hourly", None)),
    due_time=st.sampled_from(("0s", "3s", "2m", "PT1M")),
    repeats=st.none() | st.integers(1, 5),
    policy=st.sampled_from((DROP, Policy(), Policy(2 * SECOND, None), Policy(0, 2))),
).filter(lambda job: job.schedule is not None or job.repeats in (None, 1))


@given(
    jobs=st.dictionaries(st.sampled_from("abcdef"), JOBS, min_size=1),
    steps=st.lists(st.tuples(st.integers(0, 90), st.sampled_from(Outcome)), max_size=12),
)
def test_nothing_fires_early_or_twice_and_nothing_is_lost(
    jobs: dict[str, Job], steps: list[tuple[int, Outcome]]
) -> None:
    """Whatever is answered: each job is queued, in flight, waiting, or done."""
    agenda = agenda_of(**jobs)
    for seconds, outcome in steps:
        agenda.now += seconds * SECOND
        for _ in range(50):
            taken = list(agenda.take())
            for entry in taken:
                assert entry.progress.next <= agenda.now
                assert entry.state is State.IN_FLIGHT
                _check_count(entry)
                agenda.tell(entry.revision, outcome)
            if not taken:
                break
        assert not agenda.in_flight()
        states = [entry.state for entry in agenda.named("")]
        assert State.IN_FLIGHT not in states
        due = agenda.next_due()
        assert (due is None) == (State.QUEUED not in states)
        agenda.deliverable([""])


def _check_count(entry: Entry) -> None:
    repeats = entry.plan.job.repeats
    assert repeats is None or entry.progress.count < repeats
    assert entry.plan.job.schedule is not None or entry.progress.count == 0


@given(job=JOBS, answers=st.lists(st.booleans(), max_size=12))
def test_a_job_goes_on_after_a_restart_as_without_one(job: Job, answers: list[bool]) -> None:
    """Except that a retry that was waiting is due at once."""
    plan = planned(job, NOW)
    progress = begun(plan)
    for well in answers:
        if progress is None:
            return
        again = begun(plan, progress)
        assert again is not None
        assert (again.count, again.last, again.attempts) == (
            progress.count, progress.last, progress.attempts
        )  # fmt: skip
        assert again.next <= progress.next
        assert progress.attempts or again.next == progress.next
        progress = succeeded(plan, progress) if well else failed(plan, progress)


def test_a_file_keeps_jobs_and_the_moment(tmp_path: Path) -> None:
    """With all that was said, their order, and how far they have come."""
    job = Job("@every 10s", "5s", "1h", 3, Policy(2 * SECOND, None), b"message\xff", b"target")
    file = File(tmp_path / "jobs.sqlite")
    agenda = Agenda(NOW, file)
    agenda.put("gone", planned(Job(due_time="1h"), NOW))
    agenda.put("job", planned(job, NOW))
    agenda.put("beside", planned(Job(due_time="1h"), NOW))
    assert [("job", 5)] == fire(agenda, 5)
    agenda.delete("gone")
    file.keep_now(agenda.now)
    file.close()

    again = File(tmp_path / "jobs.sqlite")
    assert NOW + 5 * SECOND == again.now
    restored = Agenda(again.now, again)
    for entry in again.entries():
        restored.restore(entry)

    assert ["beside", "job"] == [each.name for each in restored.named("")]
    kept = restored.get("job")
    assert kept is not None
    assert job == kept.plan.job
    assert [("job", 15), ("job", 25)] == fire(restored, 3000)
    assert restored.next_due() is not None
    again.close()
    assert 0o600 == (tmp_path / "jobs.sqlite").stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({}, "job must have either a due time or a schedule"),
        ({"due_time": "1h", "repeats": 2}, "job must have a schedule to repeat"),
        ({"due_time": "1h", "ttl": "2h"}, "job must have a schedule to have a ttl"),
        ({"due_time": "soon"}, "due time format not recognized"),
        ({"due_time": "R5/PT1H"}, "repeats not supported for due time"),
        ({"schedule": "@daily", "ttl": "soon"}, "ttl format not recognized"),
        ({"schedule": "@daily", "due_time": "2h", "ttl": "-1h"}, "ttl must be greater"),
        ({"schedule": "@daily", "repeats": 0}, "defined repeats must be greater than 0"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(job: dict[str, Any], said: str) -> None:
    """In the words of the real scheduler."""
    with pytest.raises(ValueError, match=said):
        planned(Job(**job), NOW)


def test_a_time_by_another_clock_is_shifted_and_a_pause_is_not() -> None:
    """That is how the timers of workflows come, from daprd's own clock."""
    shift = 3600 * SECOND
    absolute = planned(Job(due_time="2027-01-31T09:00:00Z"), NOW, shift)
    relative = planned(Job(due_time="1h"), NOW, shift)

    assert (NOW + shift, NOW + shift) == (absolute.begin, relative.begin)
    assert rfc3339(absolute.begin) == "2027-01-31T10:00:00Z"
    assert parse_rfc3339("2027-01-31T10:00:00Z") == absolute.begin
