"""The delivery ledger as tests use it: questions about events, which wait for the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ConfigError, ProbeTimeout
from harness.ledger.explain import explain
from harness.ledger.model import EventPath, JobPath, Ledger
from harness.probe.aeventually import aexplained
from harness.probe.matching import matches, shown
from harness.probe.waiting import Guard
from harness.stack.account import Account

SHOWN = 5
"""The number of events that a message explains."""

INTERVAL = 0.02
"""Seconds between two looks, each of which asks the broker and every recorder."""

Judge = Callable[[EventPath], bool]


class AsyncLedgerProbe:
    """Where each event went since this world began; see docs/ledger.md.

    Args:
        account: reads what was observed.
        guard: ends a wait by raising.

    Raises (in every method that reads):
        ProbeError: the broker or a recorder does not respond.
    """

    def __init__(self, account: Account, guard: Guard) -> None:
        self._account = account
        self._guard = guard

    async def now(self) -> Ledger:
        """Everything that is known now."""
        async with aexplained(self._guard):
            return await ablocking(self._account.read)

    async def events(self, **wanted: Any) -> list[EventPath]:
        """The events that are known now and have these fields, in the order of time.

        Args:
            wanted: fields of `EventPath`, see `matches`; ``topic`` is one of its topics.
        """
        return [each for each in (await self.now()).events if _fits(each, wanted)]

    async def jobs(self, **wanted: Any) -> list[JobPath]:
        """The jobs that are known now and have these fields: ``app``, ``name``."""
        return [each for each in (await self.now()).jobs if matches(each, wanted)]

    def event(self, event_id: str = "", **wanted: Any) -> AsyncTrackedEvent:
        """One event, to ask questions about; it need not exist yet.

        Args:
            event_id: the id of the CloudEvent; if "", the other fields must identify it.
            wanted: fields of `EventPath`, see `matches`; ``topic`` is one of its topics.
        """
        if event_id:
            wanted["id"] = event_id
        if not wanted:
            raise ConfigError("which event?", expected="an id, or fields such as topic and data")
        return AsyncTrackedEvent(self, wanted, self._guard)

    async def settled(self, *, timeout: float = 30.0) -> Ledger:
        """Wait until nothing is in flight; everything that is known then.

        Each consumer group has then committed every record of the topology's Kafka, no recorded app
        handles a delivery, and no further event was published meanwhile. What an app will still
        publish by itself, from its outbox or by a job, is not waited for.

        Raises:
            ProbeTimeout: something is still in flight after ``timeout`` seconds.
        """
        async with aexplained(self._guard):
            return await ablocking(self._account.settled, Deadline(timeout))


class AsyncTrackedEvent:
    """Questions about one event. Each waits until the answer is yes, and returns the event's path.

    Args:
        ledger: what is known.
        wanted: the fields that identify the event.
        guard: ends a wait by raising.

    Raises (in every method):
        ProbeTimeout: the answer is no after ``timeout`` seconds; the message explains what happened
            to the event instead.
        ConfigError: several events have the wanted fields.
    """

    def __init__(self, ledger: AsyncLedgerProbe, wanted: dict[str, Any], guard: Guard) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._guard = guard

    async def path(self, *, timeout: float = 10.0) -> EventPath:
        """What is known of the event, as soon as anything is."""
        return await self._await("known", lambda _: True, timeout)

    async def delivered_to(
        self, app: str, *, attempts: int | None = None, timeout: float = 10.0
    ) -> EventPath:
        """The app, or one of its replicas, has accepted the event.

        Args:
            app: its name.
            attempts: the number of deliveries that this took, counted when it is accepted.
            timeout: seconds.
        """

        def judge(path: EventPath) -> bool:
            return path.outcome_of(app) == "success" and attempts in (
                None,
                len(path.attempts_of(app)),
            )

        count = "" if attempts is None else f" in {attempts} attempts"
        return await self._await(f"delivered to {app}{count}", judge, timeout)

    async def dropped_by(self, app: str, *, timeout: float = 10.0) -> EventPath:
        """The app has answered that the event is to be dropped."""
        return await self._await(
            f"dropped by {app}", lambda path: path.outcome_of(app) == "drop", timeout
        )

    async def dead_lettered(self, topic: str = "", *, timeout: float = 10.0) -> EventPath:
        """A sidecar has given it up and published it to a dead-letter topic.

        Args:
            topic: which one; any if "".
            timeout: seconds.
        """

        def judge(path: EventPath) -> bool:
            return any(topic in ("", each.position.topic) for each in path.dead_letters)

        return await self._await(f"a dead letter {topic}".rstrip(), judge, timeout)

    async def state_committed(self, key: str, *, timeout: float = 10.0) -> EventPath:
        """An app has written a key to a state store while it handled the event.

        Its calls must be recorded: ``App(..., calls=True)``.
        """
        return await self._await(
            f"followed by a write of state {key!r}", lambda path: _writes(path, key), timeout
        )

    async def published_once(self, *, timeout: float = 30.0) -> EventPath:
        """Nothing is in flight any more, and the broker has stored the event once.

        Dead letters do not count.
        """
        ledger = await self._ledger.settled(timeout=timeout)
        found = [each for each in ledger.events if _fits(each, self._wanted)]
        path = self._only(found)
        if path is None or len(path.originals) != 1:
            raise self._not_so("published once", path, found, timeout)
        return path

    async def _await(self, what: str, judge: Judge, timeout: float) -> EventPath:
        deadline = Deadline(timeout)
        path: EventPath | None = None

        async def look() -> Observation:
            nonlocal path
            path = self._only(await self._ledger.events(**self._wanted))
            return Observation(path is not None and judge(path))

        seen = await apoll(look, deadline, guard=self._guard, interval=INTERVAL)
        if path is None or not seen.ok:
            raise self._not_so(what, path, (await self._ledger.now()).events, timeout)
        return path

    def _only(self, found: list[EventPath]) -> EventPath | None:
        if len(found) > 1:
            raise ConfigError(
                f"{len(found)} events have {shown(self._wanted)}",
                last="\n" + "\n".join(explain(each) for each in found[:SHOWN]),
                hint="give an id, or fields that only one of them has",
            )
        return found[0] if found else None

    def _not_so(
        self, what: str, path: EventPath | None, others: Any, timeout: float
    ) -> ProbeTimeout:
        if path is not None:
            return ProbeTimeout(
                f"the event with {shown(self._wanted)} is not {what}",
                last=explain(path),
                budget=timeout,
            )
        known = "\n".join(explain(each).splitlines()[0] for each in [*others][-SHOWN:])
        return ProbeTimeout(
            f"no event has {shown(self._wanted)}",
            expected=what,
            last=f"the last of {len(others)} events:\n{known}" if others else "no event at all",
            budget=timeout,
        )


def _fits(path: EventPath, wanted: dict[str, Any]) -> bool:
    topic = wanted.get("topic")
    if topic is not None and topic not in path.topics:
        return False
    return matches(path, {name: each for name, each in wanted.items() if name != "topic"})


def _writes(path: EventPath, key: str) -> bool:
    return any(
        call.facts["api"] == "state"
        and call.facts["method"] in ("POST", "PUT", "DELETE")
        and key in call.facts["keys"]
        and call.facts["status"] in range(200, 300)
        for attempt in path.attempts
        for call in attempt.effects
    )
