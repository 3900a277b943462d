"""What Dapr's scheduler and ours do differently on purpose: each is as docs/time.md says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

from harness import Scheduler, Stack, Topology, VirtualScheduler, running
from harness.core.deadline import Deadline, Observation, poll
from harness.runtime.base import State
from harness.virtual_time.messages import message
from tests.virtual_time.room import Calls, Real, Room, Script, Sidecar

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


def in_room(stack: Stack, script: Script) -> list[Any]:
    """What happens in a script."""

    async def run() -> list[Any]:
        async with grpc.aio.insecure_channel(str(stack.book.endpoint("scheduler"))) as channel:
            room = Room(Calls(channel), Real(LONG), "differences")
            await script(room)
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
