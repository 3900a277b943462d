"""Years of series and reminders, on virtual time: each test moves the clock on from where it is.

Other jobs of years: tests/virtual_time/test_long_times.py.
"""

from __future__ import annotations

import asyncio
import json
from calendar import isleap
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from harness import AsyncWorld, DaprError, Event
from scenarios.test_outbox import database
from scenarios.test_reminders import DUE
from scenarios.test_series import complete, follower_of
from scenarios.test_task_events import new_task

pytestmark = [
    pytest.mark.dapr(time="virtual"),
    pytest.mark.own_stack,
    pytest.mark.any_runtime,
]

BERLIN, NEW_YORK, LORD_HOWE = (
    ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
)
DAY, MINUTE, SECOND = (timedelta(**{unit: 1}) for unit in ("days", "minutes", "seconds"))
WAYS = ("forward", "back")
WORKDAYS = ["mo", "tu", "we", "th", "fr"]


async def repair_series(dapr: AsyncWorld, schedule: str) -> None:
    """Schedule the job that looks for broken series, in place of the service's own."""
    await dapr.sidecar("recurring-task-service").schedule_job(
        "repair-series", schedule=schedule, data={}, overwrite=True, failure_policy={"drop": {}}
    )


@pytest_asyncio.fixture(autouse=True)
async def rare_repairs(dapr: AsyncWorld) -> None:
    """Once a year: every minute is half a million times a year."""
    sidecar = dapr.sidecar("recurring-task-service")

    async def service_has_scheduled_it() -> None:
        try:
            await sidecar.get_job("repair-series")
        except DaprError as error:
            raise AssertionError(str(error)) from None

    # Later on, the service replaces it no more.
    await dapr.eventually(service_has_scheduled_it, timeout=30)
    await repair_series(dapr, "@yearly")


def before_leap_year(dapr: AsyncWorld) -> int:
    """A year to come which a leap year follows."""
    year = dapr.clock.now().year + 1
    while not isleap(year + 1):
        year += 1
    return year


def instant(task: dict[str, Any], name: str = "due_at") -> datetime:
    """A time of a task."""
    return datetime.fromisoformat(task[name])


async def series(dapr: AsyncWorld, start: datetime, frequency: str, **more: Any) -> dict[str, Any]:
    """The first task of a series, with a reminder when it is due."""
    recurrence = {"frequency": frequency, "timezone": str(start.tzinfo), **more}
    at = start.isoformat()
    user = dapr.name("user")
    return await new_task(dapr, user, due_at=at, remind_at=at, recurrence=recurrence)


async def scheduled(dapr: AsyncWorld, *tasks: dict[str, Any]) -> None:
    """Wait until the scheduler has the jobs of the reminders."""

    async def no_call_waits() -> None:
        waiting = await dapr.table("outbox_backend_service").rows(lane="job")
        assert not {each["id"] for each in tasks} & {row["key"] for row in waiting}

    await dapr.eventually(no_call_waits, timeout=30)


async def reminder_of(dapr: AsyncWorld, task: dict[str, Any]) -> Event:
    """The event of a task's due reminder."""
    return await dapr.topic("reminders").next(type=DUE, subject=task["id"], timeout=30)


def told_at(event: Event) -> datetime:
    """When the service has made an event, by its clock."""
    return datetime.fromisoformat(event.envelope["time"])


async def occur(dapr: AsyncWorld, task: dict[str, Any]) -> dict[str, Any]:
    """Expect a task's reminder at this moment, complete it, and return the next one."""
    event = await reminder_of(dapr, task)
    assert instant(task, "remind_at") == told_at(event) == dapr.clock.now()
    await complete(dapr, task)
    following = await follower_of(dapr, task)
    await scheduled(dapr, following)
    return following


async def live(dapr: AsyncWorld, end: datetime, *tasks: dict[str, Any]) -> list[list[datetime]]:
    """Complete each task of several series when its reminder comes; return when they were due."""
    rows, due = list(tasks), [[instant(each)] for each in tasks]
    await scheduled(dapr, *tasks)
    while (moment := min(map(instant, rows))) <= end:
        await dapr.clock.advance_to(moment)
        now = [n for n, row in enumerate(rows) if instant(row) == moment]
        for n, row in zip(
            now, await asyncio.gather(*(occur(dapr, rows[n]) for n in now)), strict=True
        ):
            rows[n] = row
            due[n].append(instant(row))
    return due


def said(times: Sequence[datetime], zone: ZoneInfo, form: str) -> list[str]:
    """Times on the wall of a zone."""
    return [each.astimezone(zone).strftime(form) for each in times]


async def test_a_monthly_series_of_two_years_includes_a_leap_day(dapr: AsyncWorld) -> None:
    """On the 31st, or on the last day of a shorter month."""
    start = datetime(before_leap_year(dapr), 1, 31, 9, tzinfo=BERLIN)
    monthly = await series(dapr, start, "monthly")

    (months,) = await live(dapr, start + 729 * DAY, monthly)

    short = ["28 Feb", "31 Mar", "30 Apr", "31 May", "30 Jun", "31 Jul", "31 Aug", "30 Sep"]
    rest = ["31 Oct", "30 Nov", "31 Dec", "31 Jan"]
    expected = ["31 Jan", *short, *rest, "29 Feb", *short[1:], *rest]
    assert [f"{each} 09:00" for each in expected] == said(months, BERLIN, "%d %b %H:%M")


async def test_a_series_of_29_february_has_a_day_in_every_year(dapr: AsyncWorld) -> None:
    """The last of February in the three years between two leap years."""
    start = datetime(before_leap_year(dapr) + 1, 2, 29, 9, tzinfo=NEW_YORK)
    yearly = await series(dapr, start, "yearly")

    (years,) = await live(dapr, start + 3 * 366 * DAY, yearly)

    assert [start.year + n for n in range(5)] == [each.year for each in years]
    assert ["29 Feb", *["28 Feb"] * 3, "29 Feb"] == said(years, NEW_YORK, "%d %b")


async def test_a_task_of_workdays_skips_weekends_and_what_was_missed(dapr: AsyncWorld) -> None:
    """From a Friday over a weekend; then it is done three days late, on a Saturday."""
    now = dapr.clock.now().astimezone(BERLIN)
    nine = now.replace(hour=9, minute=0, second=0, microsecond=0)
    friday = nine + (4 - now.weekday()) % 7 * DAY + 7 * DAY
    task = await series(dapr, friday, "weekly", weekdays=WORKDAYS)
    (days,) = await live(dapr, friday + 4 * DAY, task)
    rows = await dapr.app("backend-service").get(f"/api/{task['user_id']}/tasks")
    wednesday = rows.json()[-1]

    await dapr.clock.advance_to(friday + 8 * DAY)
    await reminder_of(dapr, wednesday)
    await complete(dapr, wednesday)
    late = await follower_of(dapr, wednesday)

    assert ["Fri", "Mon", "Tue", "Wed"] == said(days, BERLIN, "%a")
    assert friday + 10 * DAY == instant(late)


def change(zone: ZoneInfo, after: datetime, *, forward: bool) -> datetime:
    """Midnight of the next day on which the clocks of a zone go forward or back."""
    day = after.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) + 2 * DAY
    while not _differs(day, forward=forward):
        day += DAY
    return day


def _differs(day: datetime, *, forward: bool) -> bool:
    before, then = day.utcoffset(), (day + DAY).utcoffset()
    assert before is not None
    assert then is not None
    return before < then if forward else before > then


@pytest.mark.parametrize(
    ("zone", "forward", "clock", "expected"),
    [
        (BERLIN, True, (2, 30), ["02:30+0100", "03:30+0200", "02:30+0200"]),
        (BERLIN, False, (2, 30), ["02:30+0200", "02:30+0200", "02:30+0100"]),
        (NEW_YORK, True, (2, 30), ["02:30-0500", "03:30-0400", "02:30-0400"]),
        (NEW_YORK, False, (1, 30), ["01:30-0400", "01:30-0400", "01:30-0500"]),
        (LORD_HOWE, True, (2, 15), ["02:15+1030", "02:45+1100", "02:15+1100"]),
        (LORD_HOWE, False, (1, 45), ["01:45+1100", "01:45+1100", "01:45+1030"]),
    ],
    ids=[f"{zone} {way}" for zone in ("Berlin", "New York", "Lord Howe") for way in WAYS],
)
async def test_a_series_crosses_a_change_of_summer_time(
    dapr: AsyncWorld, zone: ZoneInfo, forward: bool, clock: tuple[int, int], expected: list[str]
) -> None:
    """Nine o'clock stays nine o'clock. A skipped time moves; of one that comes twice, it is the
    first."""
    day = change(zone, dapr.clock.now(), forward=forward)
    hour, minute = clock
    night = await series(dapr, day.replace(hour=hour, minute=minute) - DAY, "daily")
    nine = await series(dapr, day.replace(hour=9) - DAY, "daily")

    nights, mornings = await live(dapr, (day + DAY).replace(hour=9), night, nine)

    days = [f"{day + n * DAY:%d}" for n in (-1, 0, 1)]
    assert expected == said(nights[:3], zone, "%H:%M%z")
    assert days == said(nights[:3], zone, "%d") == said(mornings[:3], zone, "%d")
    assert ["09:00"] * 3 == said(mornings[:3], zone, "%H:%M")


@pytest.mark.parametrize(
    ("forward", "done", "following"),
    [
        (True, timedelta(hours=2, minutes=10), "00 03:30"),
        (False, timedelta(hours=3.25), "01 02:30"),
    ],
    ids=["before the time that has moved", "in the hour that comes again"],
)
async def test_a_task_that_is_done_in_the_night_of_a_change_comes_next_in_the_future(
    dapr: AsyncWorld, forward: bool, done: timedelta, following: str
) -> None:
    """By the instant: what clocks show says neither that it is past nor that it is to come."""
    day = change(BERLIN, dapr.clock.now(), forward=forward)
    task = await series(dapr, day.replace(hour=2, minute=30) - DAY, "daily")
    await scheduled(dapr, task)

    await dapr.clock.advance_to(day.astimezone(UTC) + done)
    await reminder_of(dapr, task)
    await complete(dapr, task)
    late = instant(await follower_of(dapr, task)).astimezone(BERLIN)

    assert following == f"{(late.date() - day.date()).days:02} {late:%H:%M}"


async def test_a_reminder_in_ten_years_comes_in_ten_years(dapr: AsyncWorld) -> None:
    """Not a second before it, and once."""
    at = dapr.clock.now() + 3653 * DAY
    task = await new_task(dapr, dapr.name("user"), title="Passport", remind_at=at.isoformat())
    await scheduled(dapr, task)

    await dapr.clock.advance_to(at - SECOND)
    before = await dapr.inbox("backend-service").all(path=f"/job/reminder-task-{task['id']}")
    await dapr.clock.advance(SECOND)
    event = await reminder_of(dapr, task)
    row = await dapr.table("notifications").row(event_id=event.id)
    await dapr.clock.advance("1 year")

    assert ([], at) == (before, told_at(event))
    assert ("Reminder: Passport", at) == (row["message"], row["created_at"])
    assert 1 == await dapr.table("notifications").count(task_id=task["id"], kind=DUE)


async def test_a_reminder_outlives_an_hour_of_failures(dapr: AsyncWorld) -> None:
    """Its job is tried again every five seconds, without an end, and reminds once."""
    inbox, at = dapr.inbox("backend-service"), dapr.clock.now() + DAY
    task = await new_task(dapr, dapr.name("user"), remind_at=at.isoformat())
    path = f"/job/reminder-task-{task['id']}"
    await inbox.fail_next(path, times=720)
    await scheduled(dapr, task)

    await dapr.clock.advance_to(at + 60 * MINUTE - SECOND)
    failed = await inbox.all(path=path)
    await dapr.clock.advance(SECOND)
    event = await reminder_of(dapr, task)
    await dapr.clock.advance("1 day")

    assert [500] * 720 == [each.status for each in failed]
    job = dapr.ledger.job("backend-service", path.rpartition("/")[2])
    assert 721 == len((await job.accepted()).attempts)
    assert at + 60 * MINUTE == told_at(event)


async def test_a_call_of_the_outbox_is_repeated_soon_whatever_time_it_is(dapr: AsyncWorld) -> None:
    """The database, which says when the next attempt is due, has the real clock."""
    user, receiver = dapr.name("user"), dapr.inbox("receiver")
    await dapr.app("notification-service").put(f"/api/{user}/contact", json={"webhook": True})
    await dapr.clock.advance("1 year")
    await receiver.fail_next(f"/webhooks/{user}", times=2, status=503)

    await new_task(dapr, user)
    seen = await receiver.collect(3, path=f"/webhooks/{user}", timeout=30)

    assert [503, 503, 202] == [each.status for each in seen]


async def test_a_series_that_no_event_has_continued_is_repaired_by_its_job(
    dapr: AsyncWorld,
) -> None:
    """Not by the first one within half a minute, but by the next."""
    user, inbox = dapr.name("user"), dapr.inbox("recurring-task-service")
    dropped = '{"status":"DROP"}'
    await inbox.fail_next("/events/completed", contains=user, status=200, answer=dropped)
    await repair_series(dapr, "@every 60s")
    start = dapr.clock.now() + DAY
    daily = {"frequency": "daily"}
    task = await new_task(dapr, user, due_at=start.isoformat(), recurrence=daily)
    await dapr.clock.advance("40 seconds")
    await complete(dapr, task)
    await inbox.next(path="/events/completed")

    found = []
    for _ in range(2):
        await dapr.clock.advance("1 minute")
        rows = await dapr.app("backend-service").get(f"/api/{user}/tasks")
        found.append(len(rows.json()))

    assert [1, 2] == found
    assert start + DAY == instant(await follower_of(dapr, task))


async def test_the_reminders_of_one_minute_come_in_order_once(dapr: AsyncWorld) -> None:
    """One a second: each at its own moment, however many others are due."""
    user, start = dapr.name("user"), dapr.clock.now() + DAY
    seconds = range(60)
    moments = [(start + n * SECOND).isoformat() for n in seconds]
    made = [new_task(dapr, user, remind_at=moments[n * 7 % 60]) for n in seconds]
    tasks = sorted(await asyncio.gather(*made), key=lambda task: instant(task, "remind_at"))
    await scheduled(dapr, *tasks)

    await dapr.clock.advance_to(start + MINUTE)
    about = {"type": DUE, "where": lambda each: each.data["user_id"] == user}
    events = await dapr.topic("reminders").collect(60, **about, timeout=30)
    await dapr.clock.advance("1 day")

    jobs = [f"/job/reminder-task-{task['id']}" for task in tasks]
    fired = await dapr.inbox("backend-service").all(where=lambda each: each.path in jobs)
    assert jobs == [each.path for each in fired]
    due = {task["id"]: instant(task, "remind_at") for task in tasks}
    assert due == {each.subject: told_at(each) for each in events}
    assert 60 == len(await dapr.topic("reminders").all(**about))


async def clean_up(dapr: AsyncWorld) -> None:
    """The tick of the cron binding, in both services that have it."""
    ticked = await dapr.clock.tick("daily-cleanup")
    assert [True, True] == [json.loads(each.text)["ran"] for each in ticked.answers]


async def test_the_daily_cleanup_removes_over_a_month_what_is_90_days_old(
    dapr: AsyncWorld,
) -> None:
    """Each notification in the first night after its time, and nothing else."""
    user, start = dapr.name("user"), dapr.clock.now().replace(hour=12) + DAY
    for day in (0, 10, 20):
        await dapr.clock.advance_to(start + day * DAY)
        task = await new_task(dapr, user)
        await dapr.table("notifications").row(task_id=task["id"])

    nights = []
    for night in range(31):
        await dapr.clock.advance_to(start.replace(hour=2) + (85 + night) * DAY)
        await clean_up(dapr)
        nights.append(await dapr.table("notifications").count(user_id=user))

    assert [3] * 6 + [2] * 10 + [1] * 10 + [0] * 5 == nights


async def test_the_daily_cleanup_gives_up_a_call_that_has_failed_for_90_days(
    dapr: AsyncWorld,
) -> None:
    """But none that has failed since yesterday."""
    user, receiver = dapr.name("user"), dapr.inbox("receiver")
    outbox = dapr.table("outbox_notification_service")
    await dapr.clock.advance("1 year")
    await dapr.app("notification-service").put(f"/api/{user}/contact", json={"webhook": True})
    await receiver.fail_next(f"/webhooks/{user}", times=1_000, status=503)
    await new_task(dapr, user)
    await receiver.next(path=f"/webhooks/{user}", status=503)
    await dapr.eventually(lambda: outbox.count(lane="webhook", key=user, attempts=1))
    # A webhook is given up after a day anyway, as soon as it is tried again.
    with database(dapr) as connection:
        unlimited = (
            "UPDATE outbox_notification_service SET expires_at = NULL"
            " WHERE key = %s AND lane = 'webhook'"
        )
        assert 1 == connection.execute(unlimited, [user]).rowcount

    left = []
    for days in (1, 88, 2):
        await dapr.clock.advance(days * DAY)
        await clean_up(dapr)
        left.append(await outbox.count(lane="webhook", key=user))

    assert [1, 1, 0] == left
