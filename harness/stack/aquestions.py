"""Questions about one event or one job, which wait for the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ConfigError, ProbeTimeout
from harness.ledger.explain import explain, explain_job
from harness.ledger.model import EventPath, JobPath, Ledger
from harness.probe.matching import matches, shown
from harness.probe.waiting import Guard
from harness.stack.account import Account

__tracebackhide__ = True
"""pytest leaves out the frames of this module: a failure is shown at the test's own line."""

SHOWN = 5
"""The number of events that a message explains."""

INTERVAL = 0.02
"""Seconds between two looks, each of which asks the broker and every recorder."""


def never(_: object) -> bool:
    """Of a question whose answer can always become yes: whether it cannot any more."""
    return False


def require_records(account: Account) -> None:
    """Require that records can be counted.

    Raises:
        ConfigError: the topology has no Kafka of its own.
    """
    if not account.has_broker:
        raise ConfigError(
            "how often an event was published is not known",
            expected="a Kafka in the topology, whose records can be read",
            hint="count the deliveries: dapr.inbox(app).all(...)",
        )


class AsyncReadings(Protocol):
    """What is known of all events and jobs, as `AsyncLedgerProbe` reads it."""

    async def now(self) -> Ledger:
        """Everything that is known now."""
        ...

    async def events(self, **wanted: Any) -> list[EventPath]:
        """The events that are known now and have these fields."""
        ...

    async def jobs(self, **wanted: Any) -> list[JobPath]:
        """The jobs that are known now and have these fields."""
        ...

    async def settled(self, *, timeout: float) -> Ledger:
        """Everything that is known once nothing is in flight."""
        ...


class _AsyncTracked:
    """What questions about an event or a job have in common."""

    def __init__(
        self, ledger: AsyncReadings, wanted: dict[str, Any], account: Account, guard: Guard
    ) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._account = account
        self._guard = guard

    async def _await(
        self,
        known: Callable[[], Any],
        what: str,
        judge: Callable[[Any], bool],
        timeout: float,
        hopeless: Callable[[Any], bool] = never,
    ) -> Any:
        deadline = Deadline(timeout)
        path: Any = None

        async def look() -> Observation:
            nonlocal path
            path = self._only(await known())
            return Observation(path is not None and (judge(path) or hopeless(path)))

        await apoll(look, deadline, guard=self._guard, interval=INTERVAL)
        if path is None or not judge(path):
            raise await self._not_so(what, path, timeout)
        return path

    def _only(self, found: Sequence[Any]) -> Any:
        if len(found) > 1:
            first = "\n".join(map(told, found[:SHOWN]))
            raise ConfigError(
                f"{len(found)} events have {self._shown}",
                last=self._account.masked(f"\n{first}"),
                hint="give an id, or fields that only one of them has",
            )
        return found[0] if found else None

    @property
    def _shown(self) -> str:
        return self._account.masked(shown(self._wanted))

    async def _not_so(self, what: str, path: Any, timeout: float) -> ProbeTimeout:
        if path is not None:
            return ProbeTimeout(
                f"the {_kind(path)} with {self._shown} is not {what}",
                last=self._account.masked(told(path)),
                budget=timeout,
            )
        others = (await self._ledger.now()).events
        known = "\n".join(told(each).splitlines()[0] for each in others[-SHOWN:])
        return ProbeTimeout(
            f"nothing has {self._shown}",
            expected=what,
            last=self._account.masked(
                f"the last of {len(others)} events:\n{known}" if others else "no event at all"
            ),
            budget=timeout,
        )


class AsyncTrackedEvent(_AsyncTracked):
    """Questions about one event. Each waits until the answer is yes, and returns the event's path.

    Raises (in every method):
        ProbeTimeout: the answer is no after ``timeout`` seconds, or cannot become yes any more; the
            message explains what happened to the event instead.
        ConfigError: several events have the wanted fields.
    """

    async def path(self, *, timeout: float = 10.0) -> EventPath:
        """What is known of the event, as soon as anything is."""
        return await self._ask("known", lambda _: True, timeout)

    async def delivered_to(
        self, app: str, *, attempts: int | None = None, timeout: float = 10.0
    ) -> EventPath:
        """The app, or one of its replicas, has accepted the event.

        Args:
            app: its name, or the name of one replica.
            attempts: the number of deliveries until it was accepted first; any if None.
            timeout: seconds.
        """

        def judge(path: EventPath) -> bool:
            number = path.accepted_in(app)
            return number == attempts if attempts is not None else number > 0

        count = "" if attempts is None else f" in {attempts} attempts"
        what = f"delivered to {app}{count}"
        return await self._ask(what, judge, timeout, lambda path: path.accepted_in(app) > 0)

    async def dropped_by(self, app: str, *, timeout: float = 10.0) -> EventPath:
        """The app has answered that the event is to be dropped, or has no such route."""
        return await self._ask(
            f"dropped by {app}", lambda path: path.outcome_of(app) == "drop", timeout
        )

    async def dead_lettered(self, topic: str = "", *, timeout: float = 10.0) -> EventPath:
        """A sidecar has given it up and published it to a dead-letter topic.

        On other brokers than the topology's own Kafka, it must have been delivered from there to a
        recorded app.

        Args:
            topic: which one; any if "".
            timeout: seconds.
        """

        def judge(path: EventPath) -> bool:
            stored = [each.position.topic for each in path.dead_letters]
            came = [each.topic for each in path.attempts if each.dead_letter]
            return any(topic in ("", each) for each in (*stored, *came))

        return await self._ask(f"a dead letter {topic}".rstrip(), judge, timeout)

    async def expired(self, *, timeout: float = 10.0) -> EventPath:
        """Its time to live has ended, and no recorded app has received it."""
        return await self._ask(
            "expired",
            lambda path: path.has_expired(time.time_ns()) and not path.attempts,
            timeout,
            lambda path: bool(path.attempts) or not path.expires,
        )

    async def state_committed(self, key: str, *, timeout: float = 10.0) -> EventPath:
        """An app has written a key to a state store while it handled the event.

        Its calls must be recorded: ``App(..., calls=True)``. If it handles several events at once
        and traces are off, the write may be of another one.
        """
        return await self._ask(
            f"followed by a write of state {key!r}", lambda path: _writes(path, key), timeout
        )

    async def published_once(self, *, timeout: float = 30.0) -> EventPath:
        """Nothing is in flight any more, and the broker has stored the event once.

        Dead letters do not count, nor does what daprd keeps for its outbox.

        Raises:
            ConfigError: the topology has no Kafka of its own.
        """
        require_records(self._account)
        deadline = Deadline(timeout)
        await self._ask("published once", lambda path: bool(path.originals), timeout)
        ledger = await self._ledger.settled(timeout=deadline.remaining)
        path: EventPath | None = self._only(
            [each for each in ledger.events if fits(each, self._wanted)]
        )
        if path is None or len(path.originals) != 1:
            raise await self._not_so("published once", path, timeout)
        return path

    async def _ask(
        self,
        what: str,
        judge: Callable[[EventPath], bool],
        timeout: float,
        hopeless: Callable[[EventPath], bool] = never,
    ) -> EventPath:
        async def known() -> list[EventPath]:
            return await self._ledger.events(**self._wanted)

        path: EventPath = await self._await(known, what, judge, timeout, hopeless)
        return path


class AsyncTrackedJob(_AsyncTracked):
    """Questions about one job. Each waits until the answer is yes, and returns what is known of it.

    Raises (in every method):
        ProbeTimeout: the answer is no after ``timeout`` seconds; the message has what happened.
    """

    async def path(self, *, timeout: float = 10.0) -> JobPath:
        """What is known of the job, as soon as anything is."""
        return await self._ask("known", lambda _: True, timeout)

    async def fired(self, *, times: int | None = None, timeout: float = 10.0) -> JobPath:
        """It was delivered to the app.

        Args:
            times: how often, failed attempts included; at least once if None.
            timeout: seconds.
        """

        def judge(path: JobPath) -> bool:
            return len(path.attempts) == times if times is not None else bool(path.attempts)

        count = "" if times is None else f" {times} times"
        return await self._ask(f"fired{count}", judge, timeout)

    async def accepted(self, *, timeout: float = 10.0) -> JobPath:
        """The app's answer to its last delivery was a success."""

        def judge(path: JobPath) -> bool:
            return bool(path.attempts) and path.attempts[-1].outcome == "success"

        return await self._ask("accepted", judge, timeout)

    async def _ask(self, what: str, judge: Callable[[JobPath], bool], timeout: float) -> JobPath:
        async def known() -> list[JobPath]:
            return await self._ledger.jobs(**self._wanted)

        path: JobPath = await self._await(known, what, judge, timeout)
        return path


def _kind(path: EventPath | JobPath) -> str:
    return "job" if isinstance(path, JobPath) else "event"


def told(path: EventPath | JobPath) -> str:
    """What is known of an event or a job, in words."""
    return explain_job(path) if isinstance(path, JobPath) else explain(path)


def fits(path: EventPath, wanted: dict[str, Any]) -> bool:
    """Whether an event has the wanted fields, see `matches`; ``topic`` is one of its topics."""
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
