"""What a scheduler is asked, as scripts that the real one and ours run.

They count in units. Due times lie a unit apart, and time passes up to half a unit after one: then
a busy machine cannot change what is seen when. Where jobs are due at once, only their number is
compared.
Nothing that a script compares depends on the second for which the default policy waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.virtual_time.room import FAILED, NOTHING, OK, Room, Script, always

SCRIPTS: dict[str, Script] = {}
CRON = 6
"""Seconds between two firings of a cron: no more than a unit, and a divisor of 60."""


def script(function: Script) -> Script:
    """Add a script by its name."""
    SCRIPTS[function.__name__] = function
    return function


def every(room: Room, units: float = 1) -> str:
    """A schedule with a constant pause."""
    return f"@every {room.span(units)}"


def constant(seconds: float | None = None, retries: int | None = None) -> dict[str, Any]:
    """A failure policy."""
    given: dict[str, Any] = {}
    if seconds is not None:
        given["interval"] = {"seconds": int(seconds), "nanos": int(seconds % 1 * 1e9)}
    if retries is not None:
        given["max_retries"] = retries
    return {"constant": given}


def again(room: Room, units: float, retries: int | None = None) -> dict[str, Any]:
    """A failure policy whose pause is in units."""
    return constant(units * room.time.unit, retries)


DROP: dict[str, Any] = {"drop": {}}


def first_fails(count: int) -> Callable[[str, int], str]:
    """Fail so many firings of each job, then succeed."""
    return lambda _name, number: FAILED if number <= count else OK


@script
async def a_job_fires_once_and_is_gone(room: Room) -> None:
    await room.connect()
    await room.schedule("one", due_time=room.span(1))
    await room.get("one")
    await room.run(0.5)
    await room.run(1)
    await room.get("one")
    await room.run(1)


@script
async def a_due_time_of_nothing_fires_at_once(room: Room) -> None:
    await room.connect()
    for name, due in (("a", "0s"), ("b", "2020-01-01T00:00:00Z"), ("c", "-5s"), ("d", "PT0S")):
        await room.schedule(name, due_time=due)
    await room.run(0.5, ordered=False)


@script
async def a_due_time_can_be_iso_or_absolute(room: Room) -> None:
    await room.connect()
    await room.schedule("iso", due_time=room.iso(1))
    await room.schedule("absolute", due_time=room.moment(2))
    await room.schedule("go", due_time=room.span(3))
    await room.run(0.5)
    await room.run(1)
    await room.run(1)
    await room.run(1)


@script
async def jobs_fire_in_the_order_of_their_times(room: Room) -> None:
    await room.connect()
    for name, due in (("c", 3), ("a", 1), ("b", 2)):
        await room.schedule(name, due_time=room.span(due))
    await room.run(1.5)
    await room.run(1)
    await room.run(1)


@script
async def a_schedule_with_repeats_ends(room: Room) -> None:
    await room.connect()
    await room.schedule("three", schedule=every(room), repeats=3)
    await room.run(0.5)
    await room.run(1)
    await room.run(2)
    await room.get("three")
    await room.run(1)


@script
async def a_due_time_is_the_first_firing_of_a_schedule(room: Room) -> None:
    await room.connect()
    await room.schedule("two", schedule=every(room, 2), due_time=room.span(1), repeats=2)
    await room.run(1.5)
    await room.run(1)
    await room.run(1)
    await room.get("two")


@script
async def a_cron_of_seconds_fires(room: Room) -> None:
    await room.connect()
    await room.schedule("cron", schedule=f"*/{CRON} * * * * *", repeats=2)
    await room.run(3)
    await room.get("cron")


@script
async def a_zone_is_taken(room: Room) -> None:
    await room.connect()
    await room.schedule("zone", schedule=f"TZ=Asia/Kolkata */{CRON} * * * * *", repeats=2)
    await room.run(3)


@script
async def a_ttl_ends_a_schedule(room: Room) -> None:
    await room.connect()
    await room.schedule("ttl", schedule=every(room), ttl=room.span(2.5))
    await room.run(1.5)
    await room.run(1)
    await room.run(1)
    await room.get("ttl")


@script
async def a_ttl_counts_from_the_due_time(room: Room) -> None:
    await room.connect()
    await room.schedule("ttl", schedule=every(room), due_time=room.span(1), ttl=room.span(1.5))
    await room.run(1.5)
    await room.run(1)
    await room.run(1)
    await room.get("ttl")


@script
async def a_ttl_of_nothing_after_the_due_time_fires_once(room: Room) -> None:
    await room.connect()
    await room.schedule("ttl", schedule=every(room), due_time=room.span(1), ttl="0s")
    await room.run(1.5)
    await room.run(1)


@script
async def a_ttl_can_be_iso_or_absolute(room: Room) -> None:
    await room.connect()
    await room.schedule("iso", schedule=every(room), ttl=room.iso(2))
    await room.schedule("absolute", schedule=every(room), ttl=room.moment(2.5))
    await room.run(1.5, ordered=False)
    await room.run(1, ordered=False)
    await room.run(1, ordered=False)


@script
async def a_ttl_before_the_first_firing_leaves_nothing(room: Room) -> None:
    await room.connect()
    await room.schedule("never", schedule=every(room, 2), ttl=room.span(1))
    await room.run(0.5)
    await room.get("never")
    await room.run(2)


@script
async def a_ttl_in_the_past_leaves_nothing(room: Room) -> None:
    await room.connect()
    await room.schedule("never", schedule=every(room), ttl="-1m")
    await room.run(0.5)
    await room.list()
    await room.run(1)


@script
async def the_default_policy_tries_three_times_again(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    await room.schedule("fails", due_time="0s")
    await room.get("fails")
    await room.run(1)
    await room.get("fails")
    await room.run(1)


@script
async def a_dropped_job_is_tried_once(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    await room.schedule("drop", due_time="0s", failure_policy=DROP)
    await room.run(1.5)
    await room.get("drop")


@script
async def a_dropped_firing_does_not_end_a_schedule(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    await room.schedule("drop", schedule=every(room), repeats=2, failure_policy=DROP)
    await room.run(1.5)
    await room.run(2)
    await room.get("drop")


@script
async def a_constant_policy_has_its_interval_and_limit(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    await room.schedule("two", due_time="0s", failure_policy=again(room, 2, 2))
    await room.run(1)
    await room.run(2)
    await room.run(2)
    await room.run(2)
    await room.get("two")


@script
async def a_constant_policy_without_a_limit_goes_on(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    await room.schedule("on", due_time="0s", failure_policy=again(room, 1))
    await room.run(2.5)
    await room.run(1)
    await room.run(1)
    await room.delete("on")
    await room.run(1)


@script
async def a_constant_policy_without_an_interval_tries_at_once(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    await room.schedule("now", due_time="0s", failure_policy=constant(retries=3))
    await room.run(0.5)
    await room.get("now")


@script
async def a_policy_without_retries_tries_once(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    await room.schedule("once", due_time="0s", failure_policy=again(room, 1, 0))
    await room.run(1.5)
    await room.get("once")


@script
async def a_policy_of_no_kind_is_the_default(room: Room) -> None:
    await room.schedule("empty", due_time="1h", failure_policy={})
    await room.get("empty")


@script
async def a_success_ends_the_attempts(room: Room) -> None:
    await room.connect(judge=first_fails(1))
    await room.schedule("heals", due_time="0s", failure_policy=again(room, 1, 3))
    await room.run(0.5)
    await room.run(1)
    await room.run(1)
    await room.get("heals")


@script
async def a_schedule_goes_on_from_the_time_before_the_retries(room: Room) -> None:
    await room.connect(judge=first_fails(1))
    policy = again(room, 1, 3)
    await room.schedule("pace", schedule=every(room, 2), repeats=2, failure_policy=policy)
    await room.run(2.5)
    await room.run(1)
    await room.run(1)
    await room.run(1)


@script
async def retries_beyond_the_next_time_catch_up(room: Room) -> None:
    await room.connect(judge=first_fails(3))
    policy = again(room, 1, 3)
    await room.schedule("late", schedule=every(room), repeats=4, failure_policy=policy)
    for units in (1.5, 1, 1, 1, 1):
        await room.run(units)
    await room.get("late")


@script
async def a_firing_that_failed_for_good_counts_as_a_repeat(room: Room) -> None:
    await room.connect(judge=always(FAILED))
    given: dict[str, Any] = {
        "schedule": every(room, 2),
        "repeats": 2,
        "failure_policy": again(room, 1, 1),
    }
    await room.schedule("twice", **given)
    await room.run(2.5)
    await room.run(1)
    await room.run(1)
    await room.run(1)
    await room.get("twice")


@script
async def a_name_is_taken_until_its_job_is_done(room: Room) -> None:
    await room.connect()
    await room.schedule("name", due_time=room.span(1))
    await room.schedule("name", due_time=room.span(2))
    await room.run(1.5)
    await room.schedule("name", due_time="0s")
    await room.run(0.5)


@script
async def a_wrong_job_is_refused_before_its_name_is_looked_at(room: Room) -> None:
    await room.schedule("name", due_time="1h")
    await room.schedule("name", due_time="soon")


@script
async def overwriting_replaces_time_and_data(room: Room) -> None:
    await room.connect()
    await room.schedule("job", due_time=room.span(1))
    data = {"type_url": "text", "value": b"new"}
    await room.schedule("job", due_time=room.span(2), overwrite=True, data=data)
    await room.get("job")
    await room.run(1.5)
    await room.run(1)


@script
async def overwriting_starts_to_count_again(room: Room) -> None:
    await room.connect()
    await room.schedule("job", schedule=every(room), repeats=2)
    await room.run(1.5)
    await room.schedule("job", schedule=every(room), repeats=2, overwrite=True)
    await room.run(2.5)
    await room.run(1)


@script
async def overwriting_with_a_wrong_job_changes_nothing(room: Room) -> None:
    await room.connect()
    await room.schedule("job", due_time=room.span(1))
    await room.schedule("job", schedule="never", overwrite=True)
    await room.run(1.5)


@script
async def a_deleted_job_does_not_fire(room: Room) -> None:
    await room.connect()
    await room.schedule("job", due_time=room.span(1))
    await room.delete("job")
    await room.get("job")
    await room.run(1.5)
    await room.delete("job")


@script
async def an_unknown_job_is_not_found_and_can_be_deleted(room: Room) -> None:
    await room.get("nobody")
    await room.delete("nobody")
    await room.list()


async def _some(room: Room, *, due: str = "1h") -> None:
    for name in ("a1", "a2", "b1"):
        await room.schedule(name, due_time=due)
    await room.schedule("a1", due_time=due, metadata=room.metadata("shop2"))
    for kind, who in (("Cart", "1"), ("Cart", "12"), ("Cart2", "1"), ("Box", "1")):
        await room.schedule("a1", due_time=due, metadata=room.metadata(actor=(kind, who)))


async def _left(room: Room) -> None:
    await room.list()
    await room.list(room.metadata("shop2"))
    for kind in ("Cart", "Cart2", "Box"):
        await room.list(room.metadata(actor=(kind, "")))


@script
async def jobs_are_listed_by_whose_they_are(room: Room) -> None:
    await _some(room)
    await _left(room)
    await room.list(room.metadata(actor=("Cart", "1")))
    await room.list(room.metadata(actor=("Cart", "2")))


@script
async def a_list_is_in_the_order_of_names(room: Room) -> None:
    for name in ("b", "a", "Z", "ä", "a b", "10", "9"):
        await room.schedule(name, due_time="1h")
    await room.list()


@script
async def jobs_are_deleted_by_the_prefix_of_their_names(room: Room) -> None:
    await _some(room)
    metadata = room.metadata()
    await room.call("DeleteByNamePrefix", name_prefix="a", metadata=metadata)
    await _left(room)
    await room.call("DeleteByNamePrefix", name_prefix="none", metadata=metadata)
    await _left(room)


@script
async def an_empty_prefix_deletes_all_of_an_app(room: Room) -> None:
    await _some(room)
    await room.call("DeleteByNamePrefix", metadata=room.metadata())
    await _left(room)


@script
async def a_prefix_of_an_actor_deletes_only_its_reminders(room: Room) -> None:
    await _some(room)
    metadata = room.metadata(actor=("Cart", "1"))
    await room.call("DeleteByNamePrefix", name_prefix="a", metadata=metadata)
    await _left(room)


@script
async def jobs_are_deleted_by_app(room: Room) -> None:
    await _some(room)
    await room.call("DeleteByMetadata", metadata=room.metadata())
    await _left(room)


@script
async def the_prefix_of_an_app_also_deletes_those_of_longer_names(room: Room) -> None:
    await _some(room)
    await room.call("DeleteByMetadata", metadata=room.metadata(), id_prefix_match=True)
    await _left(room)


@script
async def reminders_are_deleted_by_actor(room: Room) -> None:
    await _some(room)
    await room.call("DeleteByMetadata", metadata=room.metadata(actor=("Cart", "1")))
    await _left(room)


@script
async def reminders_are_deleted_by_the_prefix_of_an_actor(room: Room) -> None:
    await _some(room)
    metadata = room.metadata(actor=("Cart", "1"))
    await room.call("DeleteByMetadata", metadata=metadata, id_prefix_match=True)
    await _left(room)


@script
async def reminders_are_deleted_by_actor_type(room: Room) -> None:
    await _some(room)
    await room.call("DeleteByMetadata", metadata=room.metadata(actor=("Cart", "")))
    await _left(room)


@script
async def deleted_jobs_do_not_fire(room: Room) -> None:
    await room.connect(actor_types=["Cart", "Cart2", "Box"])
    await _some(room, due=room.span(1))
    await room.call("DeleteByNamePrefix", name_prefix="a", metadata=room.metadata())
    await room.call("DeleteByMetadata", metadata=room.metadata(actor=("Cart", "1")))
    await room.run(1.5, ordered=False)


@script
async def a_due_job_waits_for_its_app(room: Room) -> None:
    await room.schedule("waits", due_time="0s")
    await room.run(0.5)
    await room.get("waits")
    await room.connect()
    await room.heard(1)
    await room.run(0.5)
    await room.get("waits")


@script
async def a_schedule_catches_up_after_its_app_was_away(room: Room) -> None:
    await room.schedule("missed", schedule=every(room), repeats=3)
    await room.run(3.5)
    await room.connect()
    await room.heard(3)
    await room.run(0.5)
    await room.get("missed")


@script
async def a_job_that_waited_fires_after_its_ttl(room: Room) -> None:
    await room.schedule("late", schedule=every(room), ttl=room.span(1.5))
    await room.run(2.5)
    await room.connect()
    await room.heard(1)
    await room.run(0.5)
    await room.get("late")


@script
async def an_app_that_comes_back_goes_on(room: Room) -> None:
    sidecar = await room.connect(who="first")
    await room.schedule("job", schedule=every(room), repeats=3)
    await room.run(1.5)
    await sidecar.close()
    await room.run(1)
    await room.connect(who="second")
    await room.heard(1)
    await room.run(1)
    await room.get("job")


@script
async def what_is_unanswered_goes_to_whoever_comes(room: Room) -> None:
    sidecar = await room.connect(judge=always(NOTHING), who="first")
    await room.schedule("job", due_time="0s")
    await sidecar.heard(1)
    await sidecar.close()
    await room.connect(who="second")
    await room.heard(2)
    await room.run(0.5)
    await room.get("job")


@script
async def what_is_unanswered_goes_to_another_stream(room: Room) -> None:
    sidecar = await room.connect(judge=always(NOTHING), who="first")
    await room.schedule("job", due_time="0s")
    await sidecar.heard(1)
    await room.connect(who="second")
    await sidecar.close()
    await room.heard(2)
    await room.run(0.5)
    await room.get("job")


@script
async def streams_of_one_app_take_turns(room: Room) -> None:
    for who in ("first", "second"):
        await room.connect(who=who)
        while all(each[0] != who for each in room.fired):
            # Whose turn it is first depends on when the scheduler has noticed the second stream.
            await _next_turn(room)
    del room.fired[:-1]
    for _ in range(4):
        await _next_turn(room)
    turns = [who for who, *_ in room.fired]
    room.trace[:] = [[turns[0] == who for who in turns]]


async def _next_turn(room: Room) -> None:
    count = len(room.fired) + 1
    await room.schedule(f"job-{len(room.trace)}", due_time="0s")
    await room.heard(count)


@script
async def a_job_is_for_its_own_app(room: Room) -> None:
    await room.connect("other")
    await room.schedule("job", due_time="0s")
    await room.run(0.5)
    await room.connect("shop")
    await room.heard(1)
    await room.run(0.5)


@script
async def namespaces_do_not_see_each_other(room: Room) -> None:
    other = Room(room.calls, room.time, f"{room.namespace}-b")
    await room.connect(who="mine")
    await room.connect(who="theirs", namespace=other.namespace)
    for each in (room, other):
        await each.schedule("job", due_time=room.span(1))
    await other.schedule("kept", due_time=room.span(1))
    await room.call("DeleteByNamePrefix", metadata=room.metadata())
    await room.list()
    await room.run(1.5, ordered=False)
    await other.list()
    room.trace += other.trace


@script
async def a_reminder_goes_to_whoever_has_the_actor_type(room: Room) -> None:
    await room.connect("host", actor_types=["Cart"])
    await room.schedule("wake", due_time="0s", metadata=room.metadata(actor=("Cart", "7")))
    await room.run(0.5)
    await room.get("wake", room.metadata(actor=("Cart", "7")))


@script
async def a_reminder_waits_for_its_actor_type(room: Room) -> None:
    await room.connect(actor_types=["Box"])
    await room.schedule("wake", due_time="0s", metadata=room.metadata(actor=("Cart", "7")))
    await room.run(0.5)
    await room.connect(actor_types=["Cart"], who="later")
    await room.heard(1)
    await room.run(0.5)


@script
async def a_stream_for_jobs_only_gets_no_reminders(room: Room) -> None:
    await room.connect(accept=[0])
    await room.schedule("job", due_time="0s")
    await room.schedule("wake", due_time="0s", metadata=room.metadata(actor=("Cart", "7")))
    await room.run(0.5)


@script
async def a_stream_for_reminders_only_gets_no_jobs(room: Room) -> None:
    await room.connect(accept=[1], actor_types=["Cart"])
    await room.schedule("job", due_time="0s")
    await room.schedule("wake", due_time="0s", metadata=room.metadata(actor=("Cart", "7")))
    await room.run(0.5)


@script
async def a_limit_holds_back_reminders_of_a_type(room: Room) -> None:
    limit = {"max_concurrent": 1, "actor": {"type": "Cart"}}
    sidecar = await room.connect(judge=always(NOTHING), actor_types=["Cart"], limits=[limit])
    for name in ("wake", "wake2"):
        await room.schedule(name, due_time="0s", metadata=room.metadata(actor=("Cart", "7")))
        await sidecar.heard(1)
    await room.so_far()
    await sidecar.answer(sidecar.unanswered[0])
    await sidecar.heard(2)
    await room.so_far()
    await sidecar.answer(sidecar.unanswered[1])
    await room.run(0.5)
    await room.list(room.metadata(actor=("Cart", "7")))


@script
async def a_limit_of_a_key_holds_back_only_that_key(room: Room) -> None:
    limit = {"max_concurrent": 1, "name": "slow", "actor": {"type": "Cart"}}
    sidecar = await room.connect(judge=always(NOTHING), actor_types=["Cart"], limits=[limit])
    for name, key in (("slow1", "slow"), ("slow2", "slow"), ("fast1", "fast")):
        metadata = room.metadata(actor=("Cart", "7"), concurrency_key=key)
        await room.schedule(name, due_time="0s", metadata=metadata)
    await sidecar.heard(2)
    await room.so_far(ordered=False)
    for number in list(sidecar.unanswered):
        await sidecar.answer(number)
    await sidecar.heard(3)
    await sidecar.answer(sidecar.unanswered[2])
    await room.run(0.5, ordered=False)


@script
async def the_answer_of_a_deleted_job_counts_no_more(room: Room) -> None:
    sidecar = await room.connect(judge=always(NOTHING))
    await room.schedule("job", schedule=every(room), due_time="0s")
    await sidecar.heard(1)
    await room.delete("job")
    await sidecar.answer(sidecar.unanswered[0])
    await room.run(1.5)
    await room.get("job")


@script
async def the_answer_of_a_job_that_was_replaced_counts_no_more(room: Room) -> None:
    answers = {1: NOTHING}
    sidecar = await room.connect(judge=lambda _name, number: answers.get(number, OK))
    await room.schedule("job", due_time="0s")
    await sidecar.heard(1)
    await room.schedule("job", due_time=room.span(1), overwrite=True)
    await sidecar.answer(sidecar.unanswered[0])
    await room.run(0.5)
    await room.get("job")
    await room.run(1)


@script
async def an_answer_to_what_was_never_sent_ends_the_stream(room: Room) -> None:
    sidecar = await room.connect()
    await sidecar.answer(5)
    room.trace.append(await sidecar.end())


@script
async def a_second_answer_ends_the_stream(room: Room) -> None:
    sidecar = await room.connect(judge=always(NOTHING))
    await room.schedule("job", due_time="0s")
    await sidecar.heard(1)
    await sidecar.answer(1)
    await sidecar.answer(1)
    room.trace.append(await sidecar.end())
    await room.run(0.5)


@script
async def a_stream_needs_an_app_and_a_namespace(room: Room) -> None:
    sidecar = await room.connect("")
    room.trace.append(await sidecar.end())


@script
async def a_stream_names_each_kind_once(room: Room) -> None:
    sidecar = await room.connect(accept=[0, 0])
    room.trace.append(await sidecar.end())


@script
async def names_with_delimiters_are_kept(room: Room) -> None:
    await room.connect(actor_types=["Cart||x"])
    await room.schedule("my||job|name", due_time=room.span(1))
    reminder = room.metadata(actor=("Cart||x", "a||b"))
    await room.schedule("wake||up", due_time=room.span(1), metadata=reminder)
    await room.list()
    await room.list(reminder)
    await room.run(1.5, ordered=False)


@script
async def a_job_without_data_has_none(room: Room) -> None:
    await room.connect()
    await room.schedule("bare", due_time=room.span(1), data=None)
    await room.get("bare")
    await room.run(1.5)


@script
async def a_schedule_without_a_pause_fires_at_once(room: Room) -> None:
    await room.connect()
    await room.schedule("zero", schedule="@every 0s", repeats=3)
    await room.schedule("back", schedule="@every -1s", repeats=3)
    await room.run(0.5, ordered=False)
    await room.list()


@script
async def a_date_that_never_comes_fires_at_once(room: Room) -> None:
    await room.connect()
    await room.schedule("never", schedule="0 0 0 30 2 *", repeats=3)
    await room.run(0.5)
    await room.get("never")


async def _past(room: Room, schedule: str, due_time: str, ttl: str) -> None:
    """Everything that was due between two moments of the past: it fires at once."""
    await room.connect()
    await room.schedule("past", schedule=schedule, due_time=due_time, ttl=ttl)
    await room.run(1)
    await room.get("past")


@script
async def summer_time_skips_an_hour_when_it_begins(room: Room) -> None:
    daily = "TZ=Europe/Berlin 0 30 2 * * *"
    await _past(room, daily, "2025-03-28T12:00:00Z", "2025-04-01T12:00:00Z")


@script
async def summer_time_repeats_an_hour_when_it_ends(room: Room) -> None:
    daily = "TZ=Europe/Berlin 0 30 2 * * *"
    await _past(room, daily, "2025-10-24T12:00:00Z", "2025-10-27T12:00:00Z")


@script
async def a_schedule_without_a_zone_is_in_utc(room: Room) -> None:
    await _past(room, "0 30 2 * * *", "2025-01-01T00:00:00Z", "2025-01-01T02:30:00Z")


@script
async def a_31st_comes_seven_times_in_a_year(room: Room) -> None:
    await _past(room, "0 0 9 31 * *", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")


@script
async def a_leap_day_comes_every_four_years(room: Room) -> None:
    await _past(room, "0 0 0 29 2 *", "2019-01-01T00:00:00Z", "2025-01-01T00:00:00Z")


@script
async def a_month_after_january_31_is_march_3(room: Room) -> None:
    await _past(room, "@every 24h", "2025-01-31T00:00:00Z", "P1M")


@script
async def everything_that_was_said_is_read_back(room: Room) -> None:
    given: dict[str, Any] = {
        "schedule": "@every 1h",
        "due_time": "90m",
        "ttl": "PT5H",
        "repeats": 4,
    }
    await room.schedule("full", **given, failure_policy=constant(2.5, 7))
    await room.schedule("drop", due_time="1h", failure_policy=DROP)
    await room.schedule("endless", due_time="1h", failure_policy=constant(1))
    await room.schedule("plain", due_time="1h")
    for name in ("full", "drop", "endless", "plain"):
        await room.get(name)


@script
async def whoever_asks_must_say_so(room: Room) -> None:
    nobody = {"namespace": room.namespace, "target": {"job": {}}}
    nowhere = {"app_id": "shop", "target": {"job": {}}}
    nothing = {"app_id": "shop", "namespace": room.namespace}
    for metadata in (nobody, nowhere, nothing):
        await room.call("ScheduleJob", name="x", job={"due_time": "1h"}, metadata=metadata)
        await room.call("GetJob", name="x", metadata=metadata)
        await room.call("DeleteJob", name="x", metadata=metadata)
        await room.call("ListJobs", metadata=metadata)
        await room.call("DeleteByMetadata", metadata=metadata)
        await room.call("DeleteByNamePrefix", metadata=metadata)
