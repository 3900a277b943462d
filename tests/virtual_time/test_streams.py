"""Sidecars that come and go at any moment, which daprd does when it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import grpc
import pytest

from harness import Clock, Stack, Topology, VirtualScheduler, World, running
from harness.virtual_time.messages import message
from tests.virtual_time.room import ANSWERED, Calls, Room, Virtual

pytestmark = [pytest.mark.real, pytest.mark.own_stack]


@pytest.fixture(scope="module")
def virtual() -> Iterator[Stack]:
    """The scheduler alone."""
    with running(Topology(VirtualScheduler()), runtime="processes") as stack:
        yield stack


def initial(room: Room) -> object:
    """What a sidecar says first."""
    given = {"app_id": "shop", "namespace": room.namespace}
    return message("WatchJobsRequest")(initial=given)


@pytest.mark.parametrize("turns", range(6))
def test_a_stream_that_is_given_up_at_once_gets_nothing(virtual: Stack, turns: int) -> None:
    """However far the scheduler has come with it."""

    async def run(clock: Clock) -> int:
        async with grpc.aio.insecure_channel(str(virtual.book.endpoint("scheduler"))) as channel:
            room = Room(Calls(channel), Virtual(clock, 1), f"given-up-{turns}")
            for _ in range(20):
                stream = room.calls.WatchJobs()
                await stream.write(initial(room))
                for _ in range(turns):
                    await asyncio.to_thread(clock.now)
                stream.cancel()
            await room.connect()
            await room.schedule("job", schedule="@every 1s", repeats=30)
            fired = await asyncio.to_thread(clock.advance, "60s", timeout=ANSWERED)
            await room.close()
            return fired.fired

    with World(virtual) as world:
        assert 30 <= asyncio.run(run(world.clock))
        assert () == world.clock.waiting
