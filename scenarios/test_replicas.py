"""The application with two replicas of each service: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from harness import AsyncWorld, Delivery, Settings, Stack, World, running
from scenarios.test_frontend import listening
from scenarios.test_outbox import database, serves
from scenarios.test_reminders import DUE, in_seconds, lose_job
from scenarios.test_series import DAILY, TOMORROW, follower_of
from scenarios.topology import todo

pytestmark = [pytest.mark.own_stack, pytest.mark.timeout(300)]

BACKEND, NOTIFICATIONS = "backend-service", "notification-service"
RECURRING, FRONTEND = "recurring-task-service", "frontend"
BOTH = (1, 2)
EVERY = "@every 2s"
"""The schedule of the job; the cron binding in scenarios/replicas/ has the same."""

LATE = 2.5
"""Seconds after a boundary at which a tick is still the boundary's: half of the shortest step."""

LONG = 60
"""Seconds, for a machine that is busy."""


@pytest.fixture(scope="module")
def stack(dapr_settings: Settings) -> Iterator[Stack]:
    """Two replicas of each service, both of which handle events."""
    topology = todo(
        replicas=2,
        resources=("components", "scenarios/replicas"),
        env={"REPAIR_SCHEDULE": EVERY},
    )
    with running(topology, dapr_settings) as started:
        with World(started) as world:
            world.eventually(lambda: take_part(world), timeout=LONG)
        yield started


def take_part(world: World) -> None:
    """Whether both replicas of the notification service have partitions of the topic."""
    world.app(BACKEND).post(f"/api/{world.name('first')}/tasks", json={"title": "first"})
    for number in BOTH:
        seen = world.inbox(NOTIFICATIONS, replica=number).seen
        assert any(each.path.startswith("/events/task") for each in seen)


@pytest_asyncio.fixture
async def dapr(stack: Stack) -> AsyncIterator[AsyncWorld]:
    """A world on that stack."""
    async with AsyncWorld(stack) as world:
        yield world


async def tasks(
    dapr: AsyncWorld, user: str, count: int, replica: int = 1, **fields: Any
) -> list[dict[str, Any]]:
    """Tasks that one replica of the backend has acknowledged, made at the same time."""
    backend, path = dapr.app(BACKEND, replica=replica), f"/api/{user}/tasks"
    bodies = [{"title": f"{replica}/{number}", **fields} for number in range(count)]
    answers = await asyncio.gather(*(backend.post(path, json=body) for body in bodies))
    return [answer.raise_for_status().json() for answer in answers]


def ids(made: list[dict[str, Any]]) -> set[str]:
    return {each["id"] for each in made}


async def delivered(dapr: AsyncWorld, app: str, text: str) -> list[list[Delivery]]:
    """What each replica was delivered that has this text in its path or its data."""

    def is_meant(each: Delivery) -> bool:
        return text in each.path or text in str(each.data)

    return [await dapr.inbox(app, replica=number).all(where=is_meant) for number in BOTH]


async def notified(dapr: AsyncWorld, user: str, made: set[str]) -> None:
    """Each of these tasks of a user has a notification, and only one."""

    async def all_there() -> None:
        rows = await dapr.table("notifications").rows(user_id=user)
        assert Counter(made) == Counter(row["task_id"] for row in rows)

    await dapr.eventually(all_there, timeout=LONG)


async def published(
    dapr: AsyncWorld, user: str, made: set[str], topic: str = "task-events", kind: str = ""
) -> Any:
    """How often each task of a user has an event, once the outbox is empty and all have one."""

    async def all_there() -> Counter[str]:
        rows = await dapr.table("outbox_backend_service").rows()
        assert not made & {row["key"] for row in rows}
        events = await dapr.topic(topic).all(where=lambda each: each.data["user_id"] == user)
        found = Counter(event.data["task_id"] for event in events if kind in event.type)
        assert made == set(found)
        return found

    return await dapr.eventually(all_there, timeout=LONG)


@asynccontextmanager
async def killed(dapr: AsyncWorld, *nodes: str) -> AsyncIterator[None]:
    """Nodes that are killed for the duration of the ``with`` block, an app before its sidecar."""
    async with AsyncExitStack() as later:
        for node in reversed(nodes):
            await dapr.kill(node)
            later.push_async_callback(started_again, dapr, node)
        yield


async def started_again(dapr: AsyncWorld, node: str) -> None:
    """Start a node; a sidecar requests the subscriptions of its app, which must run by then."""
    await dapr.restart(node, ready=node.endswith("-daprd"))
    if not node.endswith("-daprd"):
        await dapr.eventually(lambda: serves(dapr, node), timeout=LONG)


@pytest.mark.parametrize("app", [BACKEND, NOTIFICATIONS, RECURRING, FRONTEND])
async def test_calls_are_spread_over_both_replicas(dapr: AsyncWorld, app: str) -> None:
    """The caller's sidecar picks one at random: one of them misses 40 calls once in 10^11 runs."""
    caller = dapr.sidecar(BACKEND if app == FRONTEND else FRONTEND)

    for _ in range(40):
        answer = await caller.invoke(app, f"healthz?call={dapr.id}", verb="GET")
        answer.raise_for_status()

    answered = [len(each) for each in await delivered(dapr, app, dapr.id)]
    assert 40 == sum(answered)
    assert min(answered) > 0


async def test_each_event_is_handled_by_one_replica(dapr: AsyncWorld) -> None:
    """None twice, none not at all; and each replica handles some."""
    user = dapr.name("user")

    made = await tasks(dapr, user, 60)
    await notified(dapr, user, ids(made))

    one, two = await delivered(dapr, NOTIFICATIONS, user)
    assert Counter(ids(made)) == Counter(each.data["task_id"] for each in (*one, *two))
    assert one
    assert two


async def test_each_event_is_published_once_by_two_relays(dapr: AsyncWorld) -> None:
    """Whichever replica has committed it: one relay at a time makes the calls of both."""
    user = dapr.name("user")

    by_one, by_two = await asyncio.gather(*(tasks(dapr, user, 40, number) for number in BOTH))

    made = ids(by_one) | ids(by_two)
    assert Counter(made) == await published(dapr, user, made)


async def test_a_reminder_is_sent_once(dapr: AsyncWorld) -> None:
    """Its job is delivered to one replica, and no check of overdue reminders sends it again."""
    user, later = dapr.name("user"), dapr.name("later")

    by_one, by_two = await asyncio.gather(
        *(tasks(dapr, user, 6, number, remind_at=in_seconds(1)) for number in BOTH)
    )
    # By then, one of them has looked for overdue reminders.
    (barrier,) = await tasks(dapr, later, 1, remind_at=in_seconds(10))
    await dapr.topic("reminders").next(type=DUE, subject=barrier["id"], timeout=LONG)

    made = ids(by_one) | ids(by_two)
    assert Counter(made) == await published(dapr, user, made, "reminders", DUE)
    for task in made:
        await dapr.ledger.job(BACKEND, f"reminder-task-{task}").fired(times=1)


async def test_a_job_fires_once_per_tick_and_a_cron_binding_for_each_replica(
    dapr: AsyncWorld,
) -> None:
    """Both have the same schedule. Six runs of the safety net are five ticks, not two or three."""
    inboxes = [dapr.inbox(RECURRING, replica=number, from_beginning=True) for number in BOTH]

    async def latest_six() -> list[float]:
        runs = [each.at for one in inboxes for each in await one.all(path="/job/repair-series")]
        assert len(runs) >= 8, "two more, because each replica schedules the job when it starts"
        return sorted(runs)[-6:]

    first, *_, last = await dapr.eventually(latest_six, timeout=LONG)

    ticks = [
        [each for each in await one.all(path="/healthz") if first <= each.at <= last]
        for one in inboxes
    ]
    assert all(ticks)
    # Each sidecar's clock ticks five times in this time, or once less.
    assert sum(len(each) for each in ticks) >= 8


async def test_reminders_whose_jobs_are_lost_are_sent_once(dapr: AsyncWorld) -> None:
    """The binding calls both replicas; with each tick, one of them looks for such reminders."""
    user = dapr.name("user")
    lost = await tasks(dapr, user, 5, remind_at=in_seconds(3600))
    await asyncio.gather(*(lose_job(dapr, task) for task in lost))

    assert Counter(ids(lost)) == await published(dapr, user, ids(lost), "reminders", DUE)

    since = time.monotonic()
    # After the next tick, too.
    await dapr.eventually(lambda: ticked(dapr, BACKEND, "/reminder-cron", since), timeout=LONG)
    assert Counter(ids(lost)) == await published(dapr, user, ids(lost), "reminders", DUE)


async def ticked(dapr: AsyncWorld, app: str, path: str, since: float) -> bool:
    """Whether both replicas have been called by a binding since then."""
    return all([
        await dapr.inbox(app, replica=number).all(path=path, where=lambda each: each.at > since)
        for number in BOTH
    ])  # fmt: skip


async def test_a_series_that_no_event_has_continued_is_repaired_once(dapr: AsyncWorld) -> None:
    """By the replica to which the job was delivered."""
    user = dapr.name("user")
    (task,) = await tasks(dapr, user, 1, due_at=TOMORROW.isoformat(), recurrence=DAILY)
    with database(dapr) as connection:
        complete_without_event(connection, task["id"])

    following = await follower_of(dapr, task)

    assert user == following["user_id"]
    assert 2 == await dapr.table("tasks").count(user_id=user)


def complete_without_event(connection: psycopg.Connection, task_id: str) -> None:
    """As if the event had been lost a minute ago."""
    change = (
        "UPDATE tasks SET completed = true, completed_at = now() - interval '1 min' WHERE id = %s"
    )
    connection.execute(change, [task_id])


async def test_a_live_update_reaches_pages_on_both_replicas(dapr: AsyncWorld) -> None:
    """Every page of the user, once and in order, whichever replica it is connected to."""
    user = dapr.name("user")
    async with AsyncExitStack() as pages:
        opened = [
            await pages.enter_async_context(listening(dapr, user, number)) for number in (*BOTH, 2)
        ]
        expected = await change_a_task(dapr, user)

        for page in opened:
            assert expected == await messages(page, len(expected))


async def change_a_task(dapr: AsyncWorld, user: str) -> list[str]:
    """Create a task and change it twice; return the messages that its user gets."""
    (task,) = await tasks(dapr, user, 1)
    for title in ("again", "once more"):
        path = f"/api/{user}/tasks/{task['id']}"
        (await dapr.app(BACKEND).put(path, json={"title": title})).raise_for_status()
    return [
        f"Task created: {task['title']}", "Task updated: again", "Task updated: once more",
    ]  # fmt: skip


async def messages(page: AsyncIterator[dict[str, Any]], count: int) -> list[str]:
    """The next messages of a page."""
    async with asyncio.timeout(LONG):
        return [(await anext(page))["message"] for _ in range(count)]


async def test_pages_stay_live_while_the_other_replica_is_away(dapr: AsyncWorld) -> None:
    """And pages on a replica that has started again are live too."""
    user = dapr.name("user")
    async with listening(dapr, user, 1) as page:
        async with killed(dapr, "frontend-2", "frontend-2-daprd"):
            expected = await change_a_task(dapr, user)
            assert expected == await messages(page, len(expected))

        async with listening(dapr, user, 2) as other:
            expected = await change_a_task(dapr, user)
            assert expected == await messages(page, len(expected))
            assert expected == await messages(other, len(expected))


async def test_events_of_a_killed_replica_are_handled_by_the_other(dapr: AsyncWorld) -> None:
    """It failed to handle them again and again; the rest goes to the other too."""
    user, second = dapr.name("user"), dapr.inbox(NOTIFICATIONS, replica=2)
    await second.fail_next("/events/task", contains=user, times=10_000)
    made = await tasks(dapr, user, 30)
    # More often than there are partitions: some event has been delivered several times.
    await second.collect(12, where=lambda each: user in str(each.data), timeout=LONG)

    async with killed(dapr, f"{NOTIFICATIONS}-2", f"{NOTIFICATIONS}-2-daprd"):
        made += await tasks(dapr, user, 30)
        await notified(dapr, user, ids(made))

        one, two = await delivered(dapr, NOTIFICATIONS, user)
        assert ids(made) == {each.data["task_id"] for each in one}
        assert {None} == {each.app_status for each in two}


@pytest.mark.parametrize("replica", [BACKEND, f"{BACKEND}-2"])
async def test_what_a_killed_replica_has_acknowledged_is_published_by_the_other(
    dapr: AsyncWorld, replica: str
) -> None:
    """Its sidecar was stopped before, so that it could publish nothing itself."""
    user, number = dapr.name("user"), 2 if replica.endswith("-2") else 1
    await dapr.pause(f"{replica}-daprd")
    made = await tasks(dapr, user, 10, number)

    async with killed(dapr, replica, f"{replica}-daprd"):
        await published(dapr, user, ids(made))


async def test_the_outbox_is_relayed_while_the_sidecar_of_one_replica_is_away(
    dapr: AsyncWorld,
) -> None:
    """Of either: the relay that has the lock gives it up when its own sidecar is away."""
    for number, sidecar in zip(BOTH, (f"{BACKEND}-daprd", f"{BACKEND}-2-daprd"), strict=True):
        user = dapr.name(f"user{number}")
        async with killed(dapr, sidecar):
            by_one, by_two = await asyncio.gather(*(tasks(dapr, user, 10, each) for each in BOTH))
            made = ids(by_one) | ids(by_two)
            assert Counter(made) == await published(dapr, user, made)


@pytest.mark.parametrize(
    ("binding", "app", "step", "count"),
    [
        ("reminder-cron", BACKEND, 5, 3),
        ("daily-cleanup", BACKEND, 60, 1),
        ("daily-cleanup", NOTIFICATIONS, 60, 1),
    ],
    ids=["six fields, backend", "five fields, backend", "five fields, notifications"],
)
async def test_a_cron_binding_fires_in_both_replicas_and_one_does_the_work(
    dapr: AsyncWorld, binding: str, app: str, step: int, count: int
) -> None:
    """Each tick; that with five fields is every minute in scenarios/replicas/."""

    async def latest() -> dict[int, list[bool]]:
        ticks = await ticks_of(dapr, binding, app, step)
        both = sorted(number for number, ran in ticks.items() if len(ran) == 2)[-count:]
        # The replicas that earlier tests have killed have left some out.
        assert len(both) == count, "ticks that have come to both replicas"
        assert list(range(both[0], both[0] + count)) == both, "ticks without a gap"
        return {number: ticks[number] for number in both}

    found = await dapr.eventually(latest, timeout=LONG + 60)

    assert all(sorted(ran) == [False, True] for ran in found.values()), found


async def ticks_of(dapr: AsyncWorld, binding: str, app: str, step: int) -> dict[int, list[bool]]:
    """Whether each replica did the work of a tick, by the tick's number; of those that answered."""
    ticks = defaultdict[int, list[bool]](list)
    for number in BOTH:
        for each in await ticks_to(dapr, binding, app, number):
            ticks[int(fired_at(each) // step)].append(json.loads(each.answer)["ran"])
    return ticks


async def ticks_to(dapr: AsyncWorld, binding: str, app: str, replica: int) -> list[Delivery]:
    """What a replica was sent by a cron binding and has answered, since the stack started."""
    inbox = dapr.inbox(app, replica=replica, from_beginning=True)
    return await inbox.all(path=f"/{binding}", status=200)


def fired_at(tick: Delivery) -> float:
    """When the sidecar read its clock as the binding fired, in seconds since 1970."""
    text = tick.headers["readtimeutc"].partition(" +0000 UTC")[0]
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


async def test_a_schedule_of_six_fields_fires_on_the_boundaries_of_its_seconds(
    dapr: AsyncWorld,
) -> None:
    """Also if the sidecar has begun between two of them: every five seconds, by its own clock."""
    node, step = f"{BACKEND}-2-daprd", 5
    await dapr.kill(node)
    # It begins in the second half of a step: a pause of a step would end there, too.
    await dapr.eventually(lambda: 0.3 <= time.time() / step % 1 < 0.5, timeout=LONG)
    since = time.time()
    await dapr.restart(node)

    async def latest() -> list[float]:
        ticks = [fired_at(each) for each in await ticks_to(dapr, "reminder-cron", BACKEND, 2)]
        fired = [each for each in ticks if each > since]
        assert fired
        return fired

    fired = await dapr.eventually(latest, timeout=LONG)

    assert [] == [each for each in fired if each % step >= LATE]


@pytest.mark.parametrize("app", [BACKEND, NOTIFICATIONS])
async def test_a_schedule_of_five_fields_fires_on_the_minute(dapr: AsyncWorld, app: str) -> None:
    """In each replica, by the clock of its sidecar, whenever it has begun."""

    async def both() -> list[float]:
        ticks = [await ticks_to(dapr, "daily-cleanup", app, number) for number in BOTH]
        assert all(ticks)
        return [fired_at(each) for one in ticks for each in one]

    fired = await dapr.eventually(both, timeout=LONG + 60)

    assert [] == [each for each in fired if each % 60 >= LATE]
