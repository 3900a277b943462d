"""An unmodified daprd on the scheduler with virtual time: its jobs, and what moves the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import (
    App,
    Clock,
    ConfigError,
    ProbeError,
    ProbeTimeout,
    Settings,
    Stack,
    Topology,
    VirtualScheduler,
    World,
    running,
)
from harness.ready import loopback

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"


def topology() -> Topology:
    """An app with jobs."""
    return Topology(
        VirtualScheduler(start="2027-01-15T12:00:00Z"),
        App("shop", asgi="shop:app", cwd=APPS, inbox=True),
    )


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The app, up."""
    with running(topology(), Settings.load(runtime="processes")) as found:
        yield found


def api(world: World, app: str) -> httpx.Client:
    """The API of an app's sidecar."""
    endpoint, token = world.sidecar_address(app)
    return loopback.client(endpoint.http, timeout=30, token=token)


def schedule(world: World, name: str, **job: Any) -> str:
    """Schedule a job; return its unique name."""
    name = world.name(name)
    with api(world, "shop") as daprd:
        answer = daprd.post(f"/v1.0/jobs/{name}", json={"data": {"name": name}, **job})
    assert answer.status_code == 204, answer.text
    return name


def deliveries(world: World, name: str) -> int:
    """How often a job has reached the app."""
    return len([each for each in world.inbox("shop").seen if each.path == f"/job/{name}"])


def drop(world: World, name: str) -> None:
    """Delete a job."""
    with api(world, "shop") as daprd:
        daprd.delete(f"/v1.0/jobs/{name}").raise_for_status()


def test_time_stands_still_until_it_is_moved(world: World, clock: Clock) -> None:
    """A job that is due in a moment is not due."""
    before = clock.now()
    name = schedule(world, "soon", dueTime="1ms")

    assert (before, before + timedelta(milliseconds=1)) == (clock.now(), clock.next_due())
    assert 0 == deliveries(world, name)
    assert 1 == clock.advance("1ms").fired
    assert 1 == deliveries(world, name)


def test_a_job_of_next_month_reaches_its_app_when_time_gets_there(
    world: World, clock: Clock
) -> None:
    """Not before, with its data, and once."""
    name = schedule(world, "rent", dueTime="720h")

    assert 0 == clock.advance(timedelta(days=30, seconds=-1)).fired
    moved = clock.advance("1 second")
    delivery = world.inbox("shop").next(path=f"/job/{name}")

    assert (1, {"name": name}) == (moved.fired, delivery.data)
    clock.advance("1 year")
    assert 1 == deliveries(world, name)


def test_a_job_on_the_31st_fires_in_seven_months_of_a_year(world: World, clock: Clock) -> None:
    """Each time when the clock is there."""
    name = schedule(world, "monthly", schedule="0 0 9 31 * *")
    seen = []
    end = clock.now().replace(year=clock.now().year + 1)
    while (due := clock.next_due()) is not None and due < end:
        clock.advance_to(due)
        seen.append((due.month, due.day, due.hour, deliveries(world, name)))
    drop(world, name)

    assert 7 == len(seen)
    assert {(31, 9)} == {each[1:3] for each in seen}
    assert list(range(1, 8)) == [each[3] for each in seen]


def test_what_has_fired_is_in_the_timeline(world: World, clock: Clock) -> None:
    """With its virtual moment, attempt and outcome, as occurrences of the scheduler."""
    name = world.name("noted")
    world.inbox("shop").fail_next(f"/job/{name}")
    policy = {"constant": {"interval": "3600s", "maxRetries": 1}}
    schedule(world, "noted", dueTime="1h", failurePolicy=policy)
    before = clock.now()
    clock.advance("1 day")

    fired = [each for each in world.timeline() if each.source == "firing"]
    (first, again) = [each for each in fired if each.correlation == {"job": name}]
    assert {"scheduler"} == {each.node for each in fired}
    assert [(1, "failed"), (2, "success")] == [
        (each.payload["attempt"], each.payload["outcome"]) for each in (first, again)
    ]
    moments = [datetime.fromisoformat(each.payload["moment"]) for each in (first, again)]
    assert [before + timedelta(hours=1), before + timedelta(hours=2)] == moments
    assert world.id == first.world


def test_an_unknown_schedule_gets_daprs_own_answer(world: World) -> None:
    """By its status and its code."""
    with api(world, "shop") as daprd:
        answer = daprd.post("/v1.0/jobs/wrong", json={"schedule": "every day", "data": 1})

    assert (500, "DAPR_SCHEDULER_SCHEDULE_JOB") == (answer.status_code, answer.json()["errorCode"])
    assert "expected exactly 6 fields, found 2" in answer.text


def test_a_job_waits_for_a_sidecar_that_is_away(world: World, clock: Clock) -> None:
    """The clock says so, and the job comes as soon as the sidecar is back.

    It may come twice: a daprd that starts closes its first streams with what is under way on them.
    """
    name = schedule(world, "away", dueTime="1h")
    world.kill("shop-daprd")
    world.eventually(lambda: name in str(clock.advance("1 hour").waiting))
    assert 0 == deliveries(world, name)

    world.restart("shop-daprd")

    assert {"name": name} == world.inbox("shop").next(path=f"/job/{name}", timeout=30).data
    clock.advance("1 day")
    assert () == clock.waiting
    delivered = deliveries(world, name)
    clock.advance("1 day")
    assert delivered == deliveries(world, name)


def test_a_handler_that_hangs_is_named(world: World, clock: Clock) -> None:
    """The clock stays where it is, and goes on when the handler answers."""
    name = schedule(world, "hangs", dueTime="1h")
    before = clock.now()
    world.pause("shop")
    try:
        with pytest.raises(ProbeTimeout, match=f"no answer within 1 s to .*{name}"):
            clock.advance("1 day", timeout=1)
        assert before + timedelta(hours=1) == clock.now()
    finally:
        world.resume("shop")

    assert 0 == clock.advance("23 hours").fired
    assert 1 == deliveries(world, name)


def test_too_many_firings_are_refused_before_anything_moves(world: World, clock: Clock) -> None:
    """With their number, and the job that has them."""
    name = schedule(world, "tick", schedule="@every 1s")
    before = clock.now()

    with pytest.raises(
        ConfigError, match=r"315,\d\d\d,\d\d\d firings, and the limit is 10,000"
    ) as told:
        clock.advance("10 years")

    assert name in str(told.value)
    assert before == clock.now()
    assert 20 == clock.advance("20s", limit=20).fired
    drop(world, name)


@pytest.mark.parametrize(
    ("operation", "given", "said"),
    [
        ("advance", "-1h", "time cannot go back"),
        ("advance", timedelta(seconds=-1), "time cannot go back"),
        ("advance", "soon", "is not a duration, such as '28 days'"),
        ("advance", "1.5 months", "a part of a month"),
        ("advance_to", "2020-01-01T00:00:00Z", "time cannot go back"),
        ("advance_to", "2099-01-01T00:00:00", "is not a moment"),
        ("advance_to", datetime(2099, 1, 1), "has no zone"),
        ("flow", 0, "must be positive"),
        ("flow", -1, "must be positive"),
    ],
)
def test_what_no_clock_can_do_is_refused(
    clock: Clock, operation: str, given: Any, said: str
) -> None:
    """With a sentence, and nothing moves."""
    before = clock.now()

    with pytest.raises(ConfigError, match=said):
        getattr(clock, operation)(given)

    assert before == clock.now()


def test_time_flows_and_is_frozen_again(world: World, clock: Clock) -> None:
    """A job fires without a move, and a flowing clock is not moved."""
    name = schedule(world, "flowing", dueTime="1h")
    clock.flow(speed=36_000)
    world.inbox("shop").next(path=f"/job/{name}")
    with pytest.raises(ProbeError, match="flows by itself"):
        clock.advance("1h")

    frozen = clock.freeze().now

    assert (frozen, 0) == (clock.now(), clock.speed)
    assert 0 == clock.advance("1h").fired


def test_time_runs_until_nothing_is_due(world: World, clock: Clock) -> None:
    """To the last firing, and no further."""
    before = clock.now()
    name = schedule(world, "thrice", schedule="@every 24h", repeats=3)

    moved = clock.run_until_idle()

    assert (3, before + timedelta(days=3), None) == (moved.fired, clock.now(), moved.next_due)
    assert 3 == deliveries(world, name)


def test_running_until_idle_ends_at_its_limit(world: World, clock: Clock) -> None:
    """A schedule without an end is never idle."""
    name = schedule(world, "endless", schedule="@every 24h")

    with pytest.raises(ProbeError, match="more than the limit of firings"):
        clock.run_until_idle(limit=5)

    drop(world, name)


def test_jobs_and_time_survive_a_kill_of_the_scheduler(world: World, clock: Clock) -> None:
    """What was done is not done again, and what was due later still is.

    The last test of this module: daprd opens its streams again and again for a while.
    """
    done = schedule(world, "done", dueTime="1h")
    clock.advance("1 hour")
    later = schedule(world, "later", dueTime="1h")
    before = clock.now()

    world.kill("scheduler")
    with pytest.raises(ProbeError, match="did not answer"):
        clock.now()
    world.restart("scheduler")

    assert (before, before + timedelta(hours=1)) == (clock.now(), clock.next_due())
    clock.advance("1 hour")
    world.inbox("shop").next(path=f"/job/{later}", timeout=30)
    assert 1 == deliveries(world, done)
    fired = [each for each in world.timeline() if each.source == "firing"]
    assert [done, later] == list(dict.fromkeys(each.correlation["job"] for each in fired))
