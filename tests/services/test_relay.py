"""The relay of the outbox, on a real PostgreSQL: what is counted exactly needs no sidecar."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from harness import Postgres, Settings, Topology, running
from harness.probe.eventually import eventually
from tests.services.relaying import TABLE, Recorder, add, recorder, relay, waiting

pytestmark = pytest.mark.real

LIMIT = 120.0
"""Seconds, for a machine that is busy."""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A server of the module's own; the table is there."""
    topology = Topology(Postgres(databases=("relayed",)))
    with running(topology, Settings.load()) as stack:
        dsn = stack.book.exports("postgres")["dsn"]
        with recorder() as nobody, relay(dsn, nobody.port):
            eventually(lambda: exists(dsn), timeout=LIMIT)
        yield dsn


@pytest.fixture
def dsn(database: str) -> str:
    """The same server with an empty outbox."""
    with psycopg.connect(database) as connection:
        connection.execute(f"TRUNCATE {TABLE}")
    return database


@pytest.fixture
def sidecar() -> Iterator[Recorder]:
    """What the relay takes for its sidecar."""
    with recorder() as made:
        yield made


def exists(dsn: str) -> bool:
    """Whether the table is there."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT to_regclass(%s)", [TABLE]).fetchone()
    return row is not None and row[0] is not None


def paths(kind: str, count: int) -> list[str]:
    """Names of calls."""
    return [f"/{kind}/{number}" for number in range(count)]


def test_calls_of_one_kind_do_not_wait_for_another_that_hangs(dsn: str, sidecar: Recorder) -> None:
    """More jobs than slots are never answered, and came first: every event arrives."""
    sidecar.status = lambda path: None if path.startswith("/job/") else 204
    add(dsn, "job", *paths("job", 20))
    with relay(dsn, sidecar.port):
        eventually(lambda: len(sidecar.arrived) == 8, timeout=LIMIT)

        add(dsn, "event", *paths("event", 40))
        eventually(lambda: waiting(dsn) == 20, timeout=LIMIT)

        assert set(paths("event", 40)) == {each for each in sidecar.arrived if "event" in each}


def test_due_reminders_pass_a_backlog_of_events(dsn: str, sidecar: Recorder) -> None:
    """All slots of events are taken and 184 wait: the reminders that come last arrive."""
    sidecar.status = lambda path: None if path.startswith("/event/") else 204
    add(dsn, "event", *paths("event", 200))
    with relay(dsn, sidecar.port):
        eventually(lambda: len(sidecar.arrived) == 16, timeout=LIMIT)

        add(dsn, "reminder", *paths("reminder", 20))
        eventually(lambda: waiting(dsn) == 200, timeout=LIMIT)

        assert 16 == sum(each.startswith("/event/") for each in sidecar.arrived)


def test_calls_of_one_kind_do_not_wait_for_another_that_fails(dsn: str, sidecar: Recorder) -> None:
    """Jobs that are refused again and again rest in between, and events pass them."""
    sidecar.status = lambda path: 500 if path.startswith("/job/") else 204
    add(dsn, "job", *paths("job", 20))
    with relay(dsn, sidecar.port):
        eventually(lambda: min(attempts(dsn)) >= 2, timeout=LIMIT)
        add(dsn, "event", *paths("event", 40))
        eventually(lambda: waiting(dsn) == 20, timeout=LIMIT)
        sidecar.release()

        eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)


def attempts(dsn: str) -> list[int]:
    """How often each call was made in vain."""
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(f"SELECT attempts FROM {TABLE}")]


@pytest.mark.parametrize(("lane", "in_flight"), [("mail", 1), ("event", 16)])
def test_a_killed_relay_makes_again_what_was_in_flight_and_no_more(
    dsn: str, sidecar: Recorder, lane: str, in_flight: int
) -> None:
    """kill -9 with calls that were made and not answered: those are made twice, no other is."""
    calls = paths(lane, 60)
    sidecar.status = lambda path: None if path in calls[20:] else 204
    add(dsn, lane, *calls)

    with relay(dsn, sidecar.port) as process:
        eventually(lambda: len(sidecar.arrived) == 20 + in_flight, timeout=LIMIT)
        eventually(lambda: waiting(dsn) == 40, timeout=LIMIT)
        process.kill()
        process.wait()
    unanswered = [path for path in sidecar.arrived if path in calls[20:]]
    sidecar.release()
    with relay(dsn, sidecar.port):
        eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)

    made = Counter(sidecar.arrived)
    assert set(calls) == set(made)
    assert sorted(unanswered) == sorted(path for path, times in made.items() if times > 1)
    assert max(made.values()) == 2


def test_of_two_relays_one_makes_the_calls_and_the_other_takes_over(
    dsn: str, sidecar: Recorder
) -> None:
    """No call is made by both while the first works; when it stands still, the second goes on."""
    sidecar.status = lambda _path: None
    first, then = paths("event", 60), paths("later", 10)
    add(dsn, "event", *first)

    with relay(dsn, sidecar.port, "one") as one:
        eventually(lambda: len(sidecar.arrived) == 16, timeout=LIMIT)
        with relay(dsn, sidecar.port, "two"):
            eventually(lambda: asks_for_the_lock(dsn, "two"), timeout=LIMIT)
            sidecar.release()
            eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)
            assert Counter(first) == Counter(sidecar.arrived)

            one.send_signal(signal.SIGSTOP)
            add(dsn, "event", *then)
            eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)
            assert Counter(first + then) == Counter(sidecar.arrived)


def test_a_relay_whose_sidecar_dies_leaves_the_outbox_to_the_other(
    dsn: str, sidecar: Recorder
) -> None:
    """Each call is made once, although the relay that had the lock is alive."""
    first, then = paths("event", 5), paths("later", 40)
    with recorder() as other, relay(dsn, sidecar.port, "one"):
        add(dsn, "event", *first)
        eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)
        with relay(dsn, other.port, "two"):
            eventually(lambda: asks_for_the_lock(dsn, "two"), timeout=LIMIT)
            sidecar.dead = True
            add(dsn, "event", *then)
            eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)

        assert Counter(first) == Counter(sidecar.arrived)
        assert Counter(then) == Counter(other.arrived)


def test_a_relay_whose_sidecar_is_away_makes_the_calls_when_it_is_back(
    dsn: str, sidecar: Recorder
) -> None:
    """Meanwhile it only asks whether the sidecar is ready, and no call counts as failed."""
    calls = paths("event", 40)
    add(dsn, "event", *calls)
    sidecar.dead = True
    with relay(dsn, sidecar.port):
        eventually(lambda: sidecar.asked > 1, timeout=LIMIT)
        assert [0] * 40 == attempts(dsn)

        sidecar.dead = False
        eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)

    assert Counter(calls) == Counter(sidecar.arrived)


def asks_for_the_lock(dsn: str, name: str) -> bool:
    """Whether a relay has looked for its turn."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND query LIKE %s"
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query, [name, "SELECT%"]).fetchone()
    return row is not None and row[0] > 0


def test_what_is_due_first_goes_first(dsn: str, sidecar: Recorder) -> None:
    """Of 40 jobs, committed in the order of their names and due in the reverse order."""
    sidecar.status = lambda _path: None
    jobs = paths("job", 40)
    add(dsn, "job", *jobs, due_in=lambda number: -60 * number)

    with relay(dsn, sidecar.port):
        eventually(lambda: len(sidecar.arrived) == 8, timeout=LIMIT)

        assert set(jobs[-8:]) == set(sidecar.arrived)


def test_calls_of_one_key_keep_their_order(dsn: str, sidecar: Recorder) -> None:
    """The first fails three times: the second waits for it."""
    refused = iter([500, 500, 500])
    sidecar.status = lambda path: next(refused, 204) if path == "/event/first" else 204
    add(dsn, "event", "/event/first", "/event/second")
    with psycopg.connect(dsn) as connection:
        connection.execute(f"UPDATE {TABLE} SET key = 'same'")

    with relay(dsn, sidecar.port):
        eventually(lambda: waiting(dsn) == 0, timeout=LIMIT)

    assert ["/event/first"] * 4 + ["/event/second"] == sidecar.arrived
