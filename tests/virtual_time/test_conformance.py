"""Dapr's own scheduler and ours answer and fire the same. What the real one does is right."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import Scheduler, Stack, Topology, VirtualScheduler, World, running
from harness.core.deadline import Deadline, Observation, apoll
from harness.virtual_time.messages import SERVICE, message
from tests.virtual_time.cases import SCRIPTS
from tests.virtual_time.room import ANSWERED, Calls, Real, Room, Script, Virtual
from tests.virtual_time.texts import TEXTS

pytestmark = [pytest.mark.real, pytest.mark.own_stack]
Traces = dict[str, list[Any] | Exception]
GROUPS = 6
ALL: dict[str, Script] = SCRIPTS | TEXTS
NUMBERS = {name: number for number, name in enumerate(ALL)}
UNIT = 6.0
"""Seconds of a unit of real time. Half of it is how late any step may be."""
DAY = 86_400.0


async def traced(calls: Any, time: Real | Virtual, name: str) -> list[Any] | Exception:
    """What happens in one script, in a namespace of its own."""
    room = Room(calls, time, f"ns-{NUMBERS[name]}-{time.unit:05g}")
    try:
        await ALL[name](room)
    except Exception as error:  # noqa: BLE001 - raised by the test of this script
        return error
    finally:
        await room.close()
    return room.trace


async def answers(calls: Any, names: list[str]) -> Traces:
    """The traces of scripts that do not wait, which run together."""
    traces = [traced(calls, Real(DAY), name) for name in names]
    return dict(zip(names, await asyncio.gather(*traces), strict=True))


async def overlapping(calls: Any, names: list[str]) -> Traces:
    """The traces of scripts of which each begins when the one before it waits."""
    running = {}
    for name in names:
        time = Real(UNIT)
        running[name] = asyncio.create_task(traced(calls, time, name))
        pausing = asyncio.create_task(time.paused.wait())
        await asyncio.wait([running[name], pausing], return_when=asyncio.FIRST_COMPLETED)
        pausing.cancel()
    return {name: await trace for name, trace in running.items()}


def same(name: str, of_real: Traces, of_ours: Traces) -> None:
    """Both scripts ran to their end, and say the same."""
    for traces in (of_real, of_ours):
        if isinstance(failed := traces[name], Exception):
            raise failed
    assert of_real[name]
    assert of_real[name] == of_ours[name]


@pytest.fixture(scope="module")
def real() -> Iterator[Stack]:
    """The real scheduler, without sidecars."""
    with running(Topology(Scheduler()), runtime="processes") as stack:
        yield stack


@pytest.fixture(scope="module")
def virtual() -> Iterator[Stack]:
    """Ours."""
    with running(Topology(VirtualScheduler()), runtime="processes") as stack:
        yield stack


@pytest.fixture(scope="module")
def of_real(real: Stack) -> Traces:
    """Many scripts at once, as most of their time is waiting."""

    async def run() -> Traces:
        async with grpc.aio.insecure_channel(str(real.book.endpoint("scheduler"))) as channel:
            calls = Calls(channel)
            found: Traces = {}
            for names in (list(TEXTS)[n::GROUPS] for n in range(GROUPS)):
                found |= await answers(calls, names)
            return found | await overlapping(calls, list(SCRIPTS))

    return asyncio.run(run())


def one_by_one(stack: Stack, unit: float, names: Iterable[str]) -> Traces:
    """The traces of scripts that share a clock."""

    async def run(clock: Any) -> Traces:
        async with grpc.aio.insecure_channel(str(stack.book.endpoint("scheduler"))) as channel:
            calls, time = Calls(channel), Virtual(clock, unit)
            return {name: await traced(calls, time, name) for name in names}

    with World(stack) as world:
        return asyncio.run(run(world.clock))


@pytest.fixture(scope="module")
def of_ours(virtual: Stack) -> Traces:
    """With the same times."""
    return one_by_one(virtual, UNIT, ALL)


@pytest.fixture(scope="module")
def of_days(virtual: Stack, of_ours: Traces) -> Traces:
    """With long times."""
    assert of_ours
    return one_by_one(virtual, DAY, SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_the_same_trace_on_both(name: str, of_real: Traces, of_ours: Traces) -> None:
    """Order, count and data of what fires, and every answer."""
    same(name, of_real, of_ours)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_whose_units_are_days_has_the_same_trace(
    name: str, of_real: Traces, of_days: Traces
) -> None:
    """As with units of seconds in real time."""
    same(name, of_real, of_days)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_gets_the_same_answer_from_both(name: str, of_real: Traces, of_ours: Traces) -> None:
    """Its status and its words."""
    same(name, of_real, of_ours)


SCHEDULES = st.one_of(
    st.lists(st.text("0123456789*/-,?", min_size=1, max_size=4), min_size=5, max_size=7).map(
        " ".join
    ),
    st.text("0123456789hmsuµn.-+", max_size=8).map("@every {}".format),
    st.sampled_from(("@", "@every", "jan", "1-", "*/", "TZ=UTC ", "CRON_TZ=Asia/Tokyo ")).flatmap(
        lambda head: st.text("0123456789*/- @dailymon", max_size=12).map(head.__add__)
    ),
)
MOMENTS = st.one_of(
    st.text("PYMWDTHSR/0123456789-+.", max_size=10),
    st.text("PYMWDTHS0123456789", max_size=8).map("P{}".format),
    st.text("0123456789hmsuµn.-+", max_size=10),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.text("0123456789-:TZ+.", min_size=18, max_size=25),
)


def asked(channel: Any, job: dict[str, Any]) -> tuple[str, str]:
    """What a scheduler answers to a job."""
    request = message("ScheduleJobRequest")(
        name="job",
        job=job,
        overwrite=True,
        metadata={"app_id": "shop", "namespace": "generated", "target": {"job": {}}},
    )
    call = channel.unary_unary(
        f"/{SERVICE}/ScheduleJob",
        request_serializer=message("ScheduleJobRequest").SerializeToString,
        response_deserializer=message("ScheduleJobResponse").FromString,
    )
    try:
        call(request, timeout=ANSWERED)
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


@pytest.fixture(scope="module")
def channels(real: Stack, virtual: Stack) -> Iterator[tuple[Any, Any]]:
    """To both, for calls one after the other."""
    with (
        grpc.insecure_channel(str(real.book.endpoint("scheduler"))) as one,
        grpc.insecure_channel(str(virtual.book.endpoint("scheduler"))) as other,
    ):
        yield one, other


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=SCHEDULES)
def test_any_schedule_gets_the_same_answer_from_both(
    channels: tuple[Any, Any], schedule: str
) -> None:
    """Accepted, or refused in the same words."""
    # It never fires: its first time is far away.
    job = {"schedule": schedule, "due_time": "P9Y"}
    assert asked(channels[0], job) == asked(channels[1], job)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(due=MOMENTS, ttl=st.none() | MOMENTS)
def test_any_moment_gets_the_same_answer_from_both(
    channels: tuple[Any, Any], due: str, ttl: str | None
) -> None:
    """Accepted, or refused in the same words."""
    job = (
        {"due_time": due} if ttl is None else {"schedule": "@every 1h", "due_time": due, "ttl": ttl}
    )
    assert asked(channels[0], job) == asked(channels[1], job)


async def fired_in_the_past(stack: Stack, job: dict[str, Any]) -> int:
    """How often a job fires that was due only in the past: at once, until it is gone."""
    async with grpc.aio.insecure_channel(str(stack.book.endpoint("scheduler"))) as channel:
        room = Room(Calls(channel), Real(math.inf), "past")
        await room.connect()
        await room.schedule("job", **job)

        async def gone() -> Observation:
            await room.get("job")
            return Observation(room.trace[-1][1] == "NOT_FOUND", f"{len(room.fired)} fired")

        seen = await apoll(gone, Deadline(ANSWERED))
        assert seen.ok, seen.fact
        await room.so_far()
        await room.close()
        return len(room.trace[-1][1])


CRONS = st.builds(
    "{} 0 {} {} {} {} {}".format,
    st.sampled_from(("", "TZ=Europe/Berlin", "TZ=America/New_York", "TZ=Australia/Lord_Howe")),
    st.integers(0, 59),
    st.sampled_from(("*/6", "2", "1-3", "0,12", "23")),
    st.sampled_from(("*", "*/2", "1,15", "10-20", "28")),
    st.sampled_from(("*", "3", "oct", "1-6", "*/4")),
    st.sampled_from(("*", "sun", "mon-fri", "?")),
).map(str.strip)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    schedule=CRONS,
    begin=st.datetimes(datetime(2010, 1, 1), datetime(2025, 1, 1)),
    length=st.timedeltas(timedelta(days=1), timedelta(days=20)),
)
def test_any_schedule_fires_as_often_in_a_time_of_the_past_on_both(
    real: Stack, virtual: Stack, schedule: str, begin: datetime, length: timedelta
) -> None:
    """Days that do not exist, leap days and both changes of summer time included."""
    job = {
        "schedule": schedule,
        "due_time": f"{begin.isoformat()}Z",
        "ttl": f"{(begin + length).isoformat()}Z",
    }
    counts = [asyncio.run(fired_in_the_past(stack, job)) for stack in (real, virtual)]
    assert 0 < counts[0] == counts[1]


COUNTED = {
    "summer_time_skips_an_hour_when_it_begins": ("first", "03-29", "03-31", "04-01"),
    "summer_time_repeats_an_hour_when_it_ends": ("first", "10-25", "10-26", "10-26", "10-27"),
    "a_schedule_without_a_zone_is_in_utc": ("first", "02:30"),
    "a_31st_comes_seven_times_in_a_year": ("first", *["1", "3", "5", "7", "8", "10", "12"]),
    "a_leap_day_comes_every_four_years": ("first", "2020", "2024"),
    "a_month_after_january_31_is_march_3": ("01-31", *(["02"] * 28), "03-01", "03-02", "03-03"),
}
"""What fires in the scripts of the past, by their due times, which no trace has."""


@pytest.mark.parametrize("name", COUNTED)
def test_the_real_scheduler_catches_up_with_every_date_of_the_past(
    name: str, of_real: Traces
) -> None:
    """As docs/time.md says of dates and zones."""
    trace = of_real[name]
    assert isinstance(trace, list), trace
    (fired,) = [what for kind, what, *_ in trace if kind == "fired"]
    assert len(COUNTED[name]) == len(fired)


def test_the_suite_is_as_large_as_it_claims() -> None:
    """Every script and text is a case."""
    assert len(ALL) >= 120
