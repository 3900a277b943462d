"""What cron bindings start, on a real PostgreSQL: once per tick, and at any time of the clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from harness import Postgres, Settings, Topology, running
from tests.services.serving import (
    LIMIT,
    SETUP,
    Replica,
    await_gone,
    await_waiting,
    closed_gate,
    execute,
    replica,
    rows,
)
from tests.support import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

NOTIFICATIONS, BACKEND = "notification-service", "backend-service"
CLEANUP, REMINDERS = "/daily-cleanup", "/reminder-cron"
TWO_AT_NIGHT = datetime(2021, 5, 4, 2, 0, 0, 1234, UTC)
"""A clock that is set: the time that a binding says. It cannot be in the future."""

RETENTION = timedelta(days=90)
SECOND = timedelta(seconds=1)
FILL_NOTIFICATIONS = (
    "INSERT INTO notifications SELECT %s || n, 'ada', 't', 'k', 'm', %s "
    "FROM generate_series(1, %s) n"
)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A server of the module's own."""
    topology = Topology(Postgres(databases=("todo",)))
    with running(topology, Settings.load()) as stack:
        yield stack.book.exports("postgres")["dsn"]


@pytest.fixture(scope="module")
def served(database: str) -> Iterator[tuple[Replica, Replica]]:
    """Two replicas of the notification service."""
    with (
        replica(database, NOTIFICATIONS, "one") as one,
        replica(database, NOTIFICATIONS, "two") as two,
    ):
        execute(database, SETUP)
        yield one, two


@pytest.fixture
def dsn(database: str, served: tuple[Replica, Replica]) -> str:
    """The same server with empty tables."""
    execute(
        database,
        "TRUNCATE notifications, dead_letters, outbox_notification_service, cron_ticks, deleted, "
        "failing",
    )
    return database


def age(dsn: str, created_at: datetime, count: int = 1, prefix: str = "old") -> None:
    """Notifications that were made at this time."""
    execute(dsn, FILL_NOTIFICATIONS, prefix, created_at, count)


def left(dsn: str, table: str = "notifications", column: str = "event_id") -> set[str]:
    """The keys that are still there."""
    return {row[0] for row in rows(dsn, f"SELECT {column} FROM {table}")}


def test_two_replicas_with_the_same_tick_do_its_work_once(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """The second one finds, as soon as the first one is ready, that there is nothing to do."""
    age(dsn, TWO_AT_NIGHT - RETENTION - SECOND, count=3)
    with ThreadPoolExecutor() as threads:
        with closed_gate(dsn):
            asked = [threads.submit(each.post, CLEANUP, TWO_AT_NIGHT) for each in served]
            # One is at work, and the other one waits for it.
            await_waiting(dsn, 2)
        answers = [each.result().json() for each in asked]

    assert [False, True] == sorted(each["ran"] for each in answers)
    assert [3] == [each["removed"]["notifications"] for each in answers if each["ran"]]
    assert [(3, 1)] == rows(dsn, "SELECT sum(rows)::int, count(*) FROM deleted")


def test_a_tick_whose_work_fails_is_left_to_the_other_replica(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """The failure is an error of the request, which the sidecar logs."""
    one, two = served
    age(dsn, TWO_AT_NIGHT - RETENTION - SECOND)
    execute(dsn, "INSERT INTO failing VALUES ('one')")
    with ThreadPoolExecutor() as threads:
        with closed_gate(dsn):
            first = threads.submit(one.post, CLEANUP, TWO_AT_NIGHT)
            await_waiting(dsn, 1)
            second = threads.submit(two.post, CLEANUP, TWO_AT_NIGHT)
            await_waiting(dsn, 2)
        statuses = first.result().status_code, second.result().status_code

    assert (503, 200) == statuses
    assert second.result().json()["ran"]
    assert set() == left(dsn)


def test_the_tick_of_a_killed_replica_is_left_to_the_other(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """It was killed in the middle of its work; what it has not committed is done by the other."""
    _, two = served
    age(dsn, TWO_AT_NIGHT - RETENTION - SECOND)
    with replica(dsn, NOTIFICATIONS, "third") as third, ThreadPoolExecutor() as threads:
        with closed_gate(dsn):
            threads.submit(third.post, CLEANUP, TWO_AT_NIGHT)
            await_waiting(dsn, 1)
            second = threads.submit(two.post, CLEANUP, TWO_AT_NIGHT)
            await_waiting(dsn, 2)
            third.process.send_signal(signal.SIGKILL)
            await_gone(dsn, "third")
            # Of the other one, which has the tick now.
            await_waiting(dsn, 1)
        answer = second.result().json()

    assert {"notifications": 1, "dead letters": 0, "calls of the outbox": 0} == answer["removed"]
    assert set() == left(dsn)


def test_a_tick_during_the_one_before_is_left_out(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """It holds no connection, and the one before is not disturbed; a later tick runs again."""
    age(dsn, TWO_AT_NIGHT - RETENTION - SECOND)
    with ThreadPoolExecutor() as threads:
        with closed_gate(dsn):
            first = threads.submit(served[0].post, CLEANUP, TWO_AT_NIGHT)
            await_waiting(dsn, 1)
            during = served[0].post(CLEANUP, TWO_AT_NIGHT + timedelta(minutes=1)).json()
        before = first.result().json()
    after = served[0].post(CLEANUP, TWO_AT_NIGHT + timedelta(minutes=2)).json()

    assert [True, False, True] == [each["ran"] for each in (before, during, after)]
    assert 1 == before["removed"]["notifications"]


def test_a_tick_that_arrives_late_is_the_same_tick(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """Its time says so, even after the next tick; what falls into one minute is one tick."""
    one, two = served
    minute = timedelta(minutes=1)

    ran = [
        each.post(CLEANUP, TWO_AT_NIGHT + later).json()["ran"]
        for each, later in (
            (one, 0 * minute), (two, 59 * SECOND), (two, minute), (one, 0 * minute), (one, minute),
            (one, 61 * minute),
        )
    ]  # fmt: skip

    assert [True, False, True, False, False, True] == ran
    # And the ticks are not kept for ever.
    assert 2 == len(left(dsn, "cron_ticks", "at"))


def test_each_service_has_its_own_ticks(dsn: str, served: tuple[Replica, Replica]) -> None:
    """The binding calls both services, which share a database."""
    with replica(dsn, BACKEND) as backend:
        answers = [each.post(CLEANUP, TWO_AT_NIGHT).json() for each in (served[0], backend)]

    assert [True, True] == [each["ran"] for each in answers]
    assert {"calls of the outbox": 0} == answers[1]["removed"]


def test_what_is_older_than_the_retention_is_removed(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """By the clock of the binding, to the second."""
    age(dsn, TWO_AT_NIGHT - RETENTION - SECOND)
    age(dsn, TWO_AT_NIGHT - RETENTION + SECOND, prefix="young")
    for key, created_at in (
        ("old", TWO_AT_NIGHT - RETENTION - SECOND),
        ("young", TWO_AT_NIGHT - RETENTION + SECOND),
    ):
        execute(dsn, "INSERT INTO dead_letters VALUES (%s, 'i', 'k', 'e', %s)", key, created_at)

    answer = served[0].post(CLEANUP, TWO_AT_NIGHT).json()

    assert {"notifications": 1, "dead letters": 1, "calls of the outbox": 0} == answer["removed"]
    assert ({"young1"}, {"young"}) == (left(dsn), left(dsn, "dead_letters", "key"))


def test_of_old_calls_only_those_that_have_failed_are_removed(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """A call that was never tried waits for its turn, and a task's committed event is not lost."""
    insert = (
        "INSERT INTO outbox_notification_service (key, method, path, params, content_type, "
        "attempts, created_at, next_attempt_at) VALUES (%s, 'POST', '/', '{}', '', %s, %s, "
        "now() + interval '1 day')"
    )
    old, young = TWO_AT_NIGHT - RETENTION - SECOND, TWO_AT_NIGHT - RETENTION + SECOND
    for key, attempts, created_at in (
        ("old and failing", 7, old), ("old and untried", 0, old), ("young and failing", 7, young),
    ):  # fmt: skip
        execute(dsn, insert, key, attempts, created_at)

    answer = served[0].post(CLEANUP, TWO_AT_NIGHT).json()

    assert 1 == answer["removed"]["calls of the outbox"]
    kept = left(dsn, "outbox_notification_service", "key")
    assert {"old and untried", "young and failing"} == kept


def test_old_rows_are_removed_in_batches_and_counted_in_the_log(dsn: str) -> None:
    """Each batch is a transaction: what is removed stays removed, and locks are short."""
    with replica(dsn, NOTIFICATIONS, "logged") as logged:
        age(dsn, TWO_AT_NIGHT - RETENTION - SECOND, count=2500)
        answer = logged.post(CLEANUP, TWO_AT_NIGHT).json()
        said = logged.log()

    assert 2500 == answer["removed"]["notifications"]
    batches = rows(dsn, "SELECT sum(rows)::int FROM deleted GROUP BY transaction ORDER BY 1 DESC")
    assert [(1000,), (1000,), (500,)] == batches
    assert "2500 notifications, 0 dead letters, 0 calls of the outbox" in said
    assert (TWO_AT_NIGHT - RETENTION).isoformat() in said


def test_a_row_that_is_being_changed_does_not_hold_up_the_cleanup(
    dsn: str, served: tuple[Replica, Replica]
) -> None:
    """It is left for the next tick."""
    age(dsn, TWO_AT_NIGHT - RETENTION - SECOND, count=2)
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM notifications WHERE event_id = 'old1' FOR UPDATE")
        answer = served[0].post(CLEANUP, TWO_AT_NIGHT).json()

    assert (1, {"old1"}) == (answer["removed"]["notifications"], left(dsn))


def test_a_retention_of_0_ends_the_service() -> None:
    """Before it serves anything: nothing is removed."""
    done = subprocess.run(
        [sys.executable, "-c", "import services.notification_service.app"],
        env={**os.environ, "RETENTION_DAYS": "0", "PYTHONPATH": str(ROOT)},
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip

    assert 1 == done.returncode
    assert "RETENTION_DAYS is 0, but must be between 1 and 36500" in done.stderr


def test_a_schedule_that_no_job_can_have_ends_the_service() -> None:
    """Before it serves anything: five fields are for a cron binding, and no job would be there."""
    program = ["-m", "uvicorn", "--port", "0", "services.recurring_task_service.app:app"]
    done = subprocess.run(
        [sys.executable, *program],
        env={**os.environ, "REPAIR_SCHEDULE": "*/5 * * * *", "PYTHONPATH": str(ROOT)},
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip

    assert 3 == done.returncode, done.stderr
    assert "which no job can have: it has 5 fields, not 6. Use a schedule such as" in done.stderr
    assert "Application startup failed" in done.stderr
    assert "Uvicorn running" not in done.stderr


@pytest.mark.parametrize(
    "said",
    ["tomorrow", "", "2031-02-30 02:00:00 +0000 UTC", "2031-02-03 02:00:00 +0100 CET",
     "0001-01-01 00:00:00 +0000 UTC"],
)  # fmt: skip
def test_a_time_that_no_binding_says_is_refused(
    dsn: str, served: tuple[Replica, Replica], said: str
) -> None:
    """Nothing runs at a time that nobody can tell."""
    answer = served[0].post(CLEANUP, said)

    assert (422, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert "2030-01-31 02:00:00.5 +0000 UTC" in answer.json()["detail"]
    assert set() == left(dsn, "cron_ticks", "binding")


def test_a_time_in_the_future_means_now(dsn: str, served: tuple[Replica, Replica]) -> None:
    """Whoever can invoke the route cannot make young rows old, nor do the work of coming ticks."""
    age(dsn, datetime.now(UTC) - timedelta(days=1), prefix="young")

    answer = served[0].post(CLEANUP, datetime(2199, 1, 1, tzinfo=UTC)).json()

    assert (True, 0) == (answer["ran"], answer["removed"]["notifications"])
    assert [(True,)] == rows(dsn, "SELECT at <= now() FROM cron_ticks")


def test_a_binding_that_says_no_time_means_now(dsn: str, served: tuple[Replica, Replica]) -> None:
    """Such as a request by hand."""
    now = datetime.now(UTC)
    age(dsn, now - RETENTION - timedelta(minutes=1))
    age(dsn, now - RETENTION + timedelta(hours=1), prefix="young")

    assert 1 == served[0].post(CLEANUP).json()["removed"]["notifications"]
    assert {"young1"} == left(dsn)


@pytest.fixture(scope="module")
def backends(database: str) -> Iterator[tuple[Replica, Replica]]:
    """Two replicas of the backend."""
    with replica(database, BACKEND, "one") as one, replica(database, BACKEND, "two") as two:
        yield one, two


def remind(dsn: str, remind_at: datetime, count: int, prefix: str) -> None:
    """Tasks with a reminder at this time, whose jobs nobody knows."""
    insert = (
        "INSERT INTO tasks (id, user_id, title, description, completed, series_over, version, "
        "remind_at, created_at, updated_at) SELECT %s || '-' || n, 'ada', 't', '', false, false, "
        "1, %s, now(), now() FROM generate_series(1, %s) n"
    )
    execute(dsn, insert, prefix, remind_at, count)


@pytest.fixture
def tasks(database: str, backends: tuple[Replica, Replica]) -> str:
    """The same server without tasks."""
    execute(database, "TRUNCATE tasks, outbox_backend_service, cron_ticks")
    return database


def sent(dsn: str) -> list[str]:
    """The tasks whose reminder is in the outbox, once for each time."""
    found = rows(dsn, "SELECT key FROM outbox_backend_service WHERE lane = 'reminder' ORDER BY key")
    return [row[0] for row in found]


def test_every_overdue_reminder_is_sent_in_one_tick_and_once(
    tasks: str, backends: tuple[Replica, Replica]
) -> None:
    """More than one transaction sends; both replicas are called; a reminder to come is not sent."""
    remind(tasks, TWO_AT_NIGHT - 3 * SECOND, 45, "due")
    remind(tasks, TWO_AT_NIGHT + SECOND, 1, "later")

    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(each.post, REMINDERS, TWO_AT_NIGHT) for each in backends]
        answers = [each.result().json() for each in asked]

    expected = [{"ran": False, "sent": 0}, {"ran": True, "sent": 45}]
    assert expected == sorted(answers, key=lambda each: each["sent"])
    assert sorted(f"due-{number}" for number in range(1, 46)) == sent(tasks)


def test_a_reminder_whose_job_may_still_fire_is_left_to_it(
    tasks: str, backends: tuple[Replica, Replica]
) -> None:
    """For two seconds; the next tick finds it."""
    remind(tasks, TWO_AT_NIGHT - SECOND, 1, "just")

    first = backends[0].post(REMINDERS, TWO_AT_NIGHT).json()
    second = backends[0].post(REMINDERS, TWO_AT_NIGHT + 5 * SECOND).json()

    assert (0, 1) == (first["sent"], second["sent"])
    assert ["just-1"] == sent(tasks)
