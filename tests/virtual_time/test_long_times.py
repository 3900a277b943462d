"""What takes an hour, a night or a month: jobs, actors and workflows on both runtimes.

What the todo application does over years is in scenarios/test_long_series.py.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from harness import App, Clock, Settings, Stack, Topology, VirtualScheduler, World, running
from harness.ready import loopback

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"
ACTORS = Path(__file__).parents[1] / "compat" / "apps"
WORKFLOWS = [sys.executable, "timers.py"]
MILLISECOND, SECOND, DAY = (timedelta(**{unit: 1}) for unit in ("milliseconds", "seconds", "days"))


def topology() -> Topology:
    """An app with jobs, one with actors and one with workflows, before the night to a leap day."""
    return Topology(
        VirtualScheduler(start="2028-02-28T12:00:00Z"),
        App("shop", asgi="shop:app", cwd=APPS, inbox=True, on_host=True),
        App("actors", asgi="actors:app", cwd=ACTORS, on_host=True),
        App("timers", command=WORKFLOWS, cwd=APPS, listens=False, on_host=True),
        resources=APPS / "components",
    )


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """All three, up; the apps themselves run on this machine."""
    if request.param == "containers":
        request.getfixturevalue("images")
    with running(topology(), Settings.load(runtime=request.param)) as found:
        yield found


def api(world: World, app: str) -> httpx.Client:
    """The API of an app's sidecar."""
    endpoint, token = world.sidecar_address(app)
    return loopback.client(endpoint.http, timeout=30, token=token)


def schedule(world: World, name: str, **job: Any) -> str:
    """Schedule a job; return its unique name."""
    name = world.name(name)
    world.sidecar("shop").schedule_job(name, **job)
    return name


def deliveries(world: World, name: str) -> list[int]:
    """The statuses of a job's deliveries so far."""
    return [each.status for each in world.inbox("shop").seen if each.path == f"/job/{name}"]


def go_to(clock: Clock, hour: int, minute: int = 0) -> datetime:
    """Move to the next such time of day in UTC."""
    now = clock.now()
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return clock.advance_to(moment if moment > now else moment + DAY).now


def test_a_thousand_jobs_of_one_minute_arrive_in_order_once(world: World, clock: Clock) -> None:
    """None early, none twice, in whichever order they were scheduled."""
    start = clock.now()
    moments = {world.name(f"many-{n}"): start + n * 60 * MILLISECOND for n in range(1, 1001)}
    names = list(moments)
    random.Random(1000).shuffle(names)
    with api(world, "shop") as daprd:
        for name in names:
            job = {"dueTime": moments[name].isoformat(), "data": 1}
            assert daprd.post(f"/v1.0/jobs/{name}", json=job).is_success

    counts = [clock.advance(SECOND).fired for _ in range(60)]
    due = Counter((n * 60 - 1) // 1000 for n in range(1, 1001))
    seen = [each.path.removeprefix("/job/") for each in world.inbox("shop").seen]

    assert [due[second] for second in range(60)] == counts
    assert list(moments) == seen


@pytest.mark.parametrize(("failures", "delivered"), [(6, True), (7, False)])
def test_a_job_is_tried_again_over_an_hour(
    world: World, clock: Clock, failures: int, delivered: bool
) -> None:
    """Every ten minutes, to the last retry that its policy has, and never again."""
    name, start = world.name("import"), clock.now()
    world.inbox("shop").fail_next(f"/job/{name}", times=failures)
    policy = {"constant": {"interval": "600s", "maxRetries": 6}}
    schedule(world, "import", due="1m", data=1, failure_policy=policy)

    minutes = []
    while (due := clock.next_due()) is not None:
        assert 0 == clock.advance_to(due - MILLISECOND).fired
        assert 1 == clock.advance_to(due).fired
        minutes.append((due - start) // timedelta(minutes=1))
    clock.advance("1 day")

    assert [1, 11, 21, 31, 41, 51, 61] == minutes
    assert [500] * 6 + [200 if delivered else 500] == deliveries(world, name)


def test_a_schedule_goes_on_on_the_hour_after_retries(world: World, clock: Clock) -> None:
    """Failures of an hour do not move those of the next."""
    go_to(clock, 8, 30)
    name = world.name("hourly")
    world.inbox("shop").fail_next(f"/job/{name}", times=3)
    policy = {"constant": {"interval": "900s", "maxRetries": 5}}
    schedule(world, "hourly", schedule="@hourly", repeats=3, data=1, failure_policy=policy)

    times = []
    while (due := clock.next_due()) is not None:
        clock.advance_to(due)
        times.append(f"{due:%H:%M}")

    assert ["09:00", "09:15", "09:30", "09:45", "10:00", "11:00"] == times
    assert [500, 500, 500, 200, 200, 200] == deliveries(world, name)


def changes(zone: ZoneInfo, after: datetime) -> list[datetime]:
    """Nine o'clock on two days on which a zone's clocks change, the first in two days or more."""
    first = after.astimezone(zone).replace(hour=9, minute=0, second=0, microsecond=0)
    days = [first + n * DAY for n in range(3, 400)]
    return [day for day in days if day.utcoffset() != (day - DAY).utcoffset()][:2]


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe"]
)
def test_a_job_keeps_its_local_time_across_both_changes_of_summer_time(
    world: World, clock: Clock, zone: str
) -> None:
    """Nine o'clock every day, but not on the day when clocks change by half an hour."""
    name = world.name("nine")
    # Dapr's search for the next time goes by whole hours.
    fired = [-1, 1, 2] if zone == "Australia/Lord_Howe" else [-1, 0, 1]
    for change in changes(ZoneInfo(zone), clock.now()):
        clock.advance_to(change - 2 * DAY)
        schedule(world, "nine", schedule=f"TZ={zone} 0 0 9 * * *", data=1)
        seen: list[datetime] = []
        while len(seen) < 3 and (due := clock.next_due()) is not None:
            seen.append(due)
            clock.advance_to(due)
        world.sidecar("shop").delete_job(name)

        assert [change + day * DAY for day in fired] == seen
    assert [200] * 6 == deliveries(world, name)


def test_a_reminder_of_an_actor_comes_after_midnight(world: World, clock: Clock) -> None:
    """In the night to a leap day, and the nights after it: not a moment before."""
    actor = f"/v1.0/actors/Counter/{world.name('counter')}"
    evening = go_to(clock, 23, 30)
    with api(world, "actors") as daprd:

        def total() -> int:
            return int(daprd.put(f"{actor}/method/Add", json=0).json())

        assert 0 == total()
        given = {"dueTime": "30m1s", "period": "R3/PT24H", "data": "NQ=="}
        daprd.put(f"{actor}/reminders/night", json=given).raise_for_status()
        midnight = evening + timedelta(minutes=30)
        totals = []
        for night in range(4):
            for moment in (midnight, midnight + SECOND):
                clock.advance_to(moment + night * DAY)
                totals.append(total())

    assert [0, 5, 5, 10, 10, 15, 15, 15] == totals


def begin(world: World, daprd: httpx.Client) -> str:
    """Begin a trial of 30 days; return the workflow's id once its timer is there."""
    instance, late = world.name("trial"), world.clock.now() + 29 * DAY
    path = f"/v1.0/workflows/dapr/trial/start?instanceID={instance}"
    daprd.post(path, json=30).raise_for_status()
    world.eventually(lambda: (world.clock.next_due() or late) > late, timeout=30)
    return instance


def approve(daprd: httpx.Client, instance: str) -> None:
    """Send the event that the workflow waits for."""
    path = f"/v1.0/workflows/dapr/{instance}/raiseEvent/approval"
    daprd.post(path, json="Ada").raise_for_status()


def state(daprd: httpx.Client, instance: str) -> dict[str, Any]:
    """What daprd says of a workflow."""
    return dict(daprd.get(f"/v1.0/workflows/dapr/{instance}").json())


@pytest.mark.parametrize(
    ("approved_after", "word"), [(29, "approved"), (None, "over"), (30, "over")]
)
def test_a_workflow_waits_for_a_timer_of_30_days_or_an_event(
    world: World, clock: Clock, approved_after: int | None, word: str
) -> None:
    """Whichever is first; the event may come too late. Then it waits for a timer of a day."""
    with api(world, "timers") as daprd:
        instance = begin(world, daprd)
        # daprd computes the timer by its own clock, a moment before it arrives.
        clock.advance("29 days 23 hours")
        assert "RUNNING" == state(daprd, instance)["runtimeStatus"]
        if approved_after == 29:
            approve(daprd, instance)
        clock.advance("2 hours")
        if approved_after == 30:
            approve(daprd, instance)
        clock.advance("20 hours")
        assert "RUNNING" == state(daprd, instance)["runtimeStatus"]

        def over() -> bool:
            clock.advance("1 hour")
            return "COMPLETED" == str(state(daprd, instance)["runtimeStatus"])

        world.eventually(over, timeout=30)
        output = state(daprd, instance)["properties"]["dapr.workflow.output"]

    assert f"the trial is {word}" == json.loads(output)
