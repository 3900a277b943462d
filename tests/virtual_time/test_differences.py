"""What Dapr's scheduler and ours do differently on purpose: each is as docs/time.md says."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import pytest

from harness import Scheduler, Stack, Topology, VirtualScheduler, running
from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import Launch
from harness.core.node import Scope
from harness.runtime.base import State
from harness.virtual_time.connections import WINDOW
from harness.virtual_time.messages import message
from tests.virtual_time.room import (
    FAILED,
    NOTHING,
    Calls,
    Real,
    Room,
    Script,
    Sidecar,
    always,
)

pytestmark = [pytest.mark.real, pytest.mark.own_stack]
LONG = 60.0


@pytest.fixture
def real() -> Iterator[Stack]:
    """The real scheduler, for one test: it may not survive it."""
    with running(Topology(Scheduler()), runtime="processes") as stack:
        yield stack


@pytest.fixture(scope="module")
def virtual() -> Iterator[Stack]:
    """Ours."""
    with running(Topology(VirtualScheduler()), runtime="processes") as stack:
        yield stack


def in_room(stack: Stack, script: Script, *, leaves: bool = False) -> list[Any]:
    """What happens in a script, which may leave its jobs behind."""

    async def run() -> list[Any]:
        async with grpc.aio.insecure_channel(str(stack.book.endpoint("scheduler"))) as channel:
            room = Room(Calls(channel), Real(math.inf), "differences")
            await script(room)
            if not leaves:
                await room.close()
            return room.trace

    return asyncio.run(run())


async def zone_alone(room: Room) -> None:
    with suppress(grpc.aio.AioRpcError):
        await room.schedule("job", schedule="TZ=UTC")


def test_a_zone_without_a_schedule_ends_the_real_scheduler(real: Stack) -> None:
    """By a panic."""
    instance = real.instances["scheduler"]
    instance.expect_exit()
    (told,) = in_room(real, zone_alone)

    def ended() -> Observation:
        return Observation(instance.state is State.EXITED, str(instance.state))

    assert (seen := poll(ended, Deadline(LONG))).ok, seen.fact
    assert "UNAVAILABLE" == told[1]
    assert "slice bounds out of range" in instance.log.read_text()


def test_a_zone_without_a_schedule_is_refused_by_ours(virtual: Stack) -> None:
    """In words, and it goes on."""
    (told,) = in_room(virtual, zone_alone)
    assert ("UNKNOWN", "job failed validation: a zone without a schedule: TZ=UTC") == told[1:]


async def with_nothing_to_accept(room: Room) -> tuple[Sidecar, Any]:
    """A stream for jobs, and one for reminders that names no actor type."""
    jobs = await room.connect()
    await room.schedule("before", due_time="0s")
    await room.heard(1)
    given = {"app_id": "shop", "namespace": room.namespace, "accept_job_types": [1]}
    stream = room.calls.WatchJobs()
    await stream.write(message("WatchJobsRequest")(initial=given))
    return jobs, stream


async def the_other_stream_ends(room: Room) -> None:
    jobs, _stream = await with_nothing_to_accept(room)
    room.trace.append(await jobs.end())


async def the_other_stream_stays(room: Room) -> None:
    jobs, stream = await with_nothing_to_accept(room)
    await asyncio.wait_for(stream.initial_metadata(), LONG)
    await room.schedule("after", due_time="0s")
    await room.heard(2)
    room.trace.append(jobs.ended)


def test_a_stream_that_can_get_nothing_restarts_the_real_scheduler(real: Stack) -> None:
    """All other streams end with it."""
    trace = in_room(real, the_other_stream_ends)

    def restarted() -> Observation:
        starts = real.instances["scheduler"].log.read_text().count("Starting Cron")
        return Observation(starts > 1, f"started {starts} times")

    assert (seen := poll(restarted, Deadline(LONG))).ok, seen.fact
    assert trace[-1] is not None


def test_a_stream_that_can_get_nothing_harms_nobody_in_ours(virtual: Stack) -> None:
    """The other one gets the next job."""
    assert in_room(virtual, the_other_stream_stays)[-1] is None


MANY = 150


async def many_at_one_moment(room: Room) -> None:
    """More jobs than ours sends at once, due before anybody listens, and not answered."""
    for number in range(MANY):
        await room.schedule(f"{number:03}", due_time="0s")
    sidecar = await room.connect(judge=always(NOTHING))
    await sidecar.heard(WINDOW)
    for _ in range(2):
        await room.so_far()
        for number in sidecar.unanswered[:WINDOW]:
            await sidecar.answer(number)
        await sidecar.heard(MANY)
    for number in sidecar.unanswered[WINDOW:]:
        await sidecar.answer(number)
    await room.so_far()


def names_in(trace: list[Any]) -> list[list[str]]:
    """The names of what has fired between two looks."""
    return [[name for _, name, _ in what[0]] for kind, *what in trace if kind == "fired"]


def test_the_real_scheduler_sends_all_that_is_due_at_once_in_no_order(real: Stack) -> None:
    """However many firings are not answered."""
    (first, then, last) = names_in(in_room(real, many_at_one_moment))
    assert (MANY, [], []) == (len(first), then, last)
    assert sorted(first) != first


def test_ours_sends_a_hundred_at_once_in_the_order_of_scheduling(virtual: Stack) -> None:
    """The others follow as the first ones are answered."""
    (first, then, last) = names_in(in_room(virtual, many_at_one_moment))
    assert (WINDOW, MANY - WINDOW, []) == (len(first), len(then), last)
    assert [f"{number:03}" for number in range(MANY)] == [*first, *then]


async def a_retry_in_an_hour(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    policy = {"constant": {"interval": {"seconds": 3600}, "max_retries": 5}}
    await room.schedule("job", due_time="0s", failure_policy=policy)
    await room.heard(1)
    await room.so_far()


async def the_retry(room: Room) -> None:
    await room.connect()
    await room.heard(1)
    await room.so_far()


def test_a_retry_that_waited_is_due_at_a_restart_of_the_real_scheduler(real: Stack) -> None:
    """Not in an hour."""
    in_room(real, a_retry_in_an_hour, leaves=True)
    real.restart("scheduler")
    assert [["job"]] == names_in(in_room(real, the_retry))


def test_a_retry_that_waited_is_due_at_a_restart_of_ours_without_a_move(virtual: Stack) -> None:
    """The clock stands still meanwhile."""
    in_room(virtual, a_retry_in_an_hour, leaves=True)
    virtual.restart("scheduler")
    assert [["job"]] == names_in(in_room(virtual, the_retry))


class Elsewhere(Scheduler):
    """A scheduler on a machine whose own zone is 5:45 h east of UTC."""

    def plan(self, scope: Scope) -> Launch:
        """With the variable that Go reads."""
        return replace(super().plan(scope), env={"TZ": "Asia/Kathmandu"})


async def half_past_two(room: Room) -> None:
    await room.connect()
    for name, zone in (("utc", ""), ("kathmandu", "TZ=Asia/Kathmandu ")):
        await room.schedule(
            name, schedule=f"{zone}0 30 2 * * *", due_time="2025-01-01T00:00:00Z",
            ttl="2025-01-01T20:00:00Z",
        )  # fmt: skip
    await room.heard(3)
    await room.so_far(ordered=False)


def test_a_schedule_without_a_zone_is_in_utc_whatever_the_zone_of_the_machine() -> None:
    """After the due time, the day has a half past two in UTC, and none in Kathmandu any more."""
    with running(Topology(Elsewhere()), runtime="processes") as stack:
        (fired,) = names_in(in_room(stack, half_past_two))
    assert ["kathmandu", "utc", "utc"] == fired
