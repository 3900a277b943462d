"""The delivery ledger as tests use it: questions about events, jobs and keys, which wait."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ConfigError, ProbeTimeout
from harness.ledger.keys import KeyPath
from harness.ledger.model import EventPath, JobPath, Ledger
from harness.ledger.order import stored
from harness.probe.aeventually import aexplained
from harness.probe.atap import AsyncSubscriptionTap, AsyncTap
from harness.probe.matching import matches, shown
from harness.probe.waiting import Guard
from harness.stack.account import Account
from harness.stack.akeys import AsyncTrackedKey
from harness.stack.aquestions import (
    INTERVAL,
    SHOWN,
    AsyncTrackedEvent,
    AsyncTrackedJob,
    fits,
    require_records,
    told,
)
from harness.stack.arequests import AsyncTrackedRequests

__tracebackhide__ = True
"""pytest leaves out the frames of this module: a failure is shown at the test's own line."""


class AsyncLedgerProbe:
    """What happened to each event, job and key since this world began; see docs/ledger.md.

    Args:
        account: reads what was observed.
        taps: those of the world, which are read first.
        guard: ends a wait by raising.

    Raises (in every method that reads):
        ProbeError: the broker or a recorder does not respond.
        HarnessError: more has happened than a ledger can tell.
    """

    def __init__(self, account: Account, taps: Collection[AsyncTap], guard: Guard) -> None:
        self._account = account
        self._taps = taps
        self._guard = guard

    async def now(self) -> Ledger:
        """Everything that is known now."""
        for tap in [*self._taps]:
            if isinstance(tap, AsyncSubscriptionTap):
                await tap.all()
        async with aexplained(self._guard):
            return await ablocking(self._account.read)

    async def events(self, **wanted: Any) -> list[EventPath]:
        """The events that are known now and have these fields, in the order of time.

        Args:
            wanted: fields of `EventPath`, see `matches`; ``topic`` is one of its topics.
        """
        return [each for each in (await self.now()).events if fits(each, wanted)]

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
        return AsyncTrackedEvent(self, wanted, self._account, self._guard)

    def job(self, app: str, name: str) -> AsyncTrackedJob:
        """One job of an app, to ask questions about; it need not exist yet."""
        return AsyncTrackedJob(self, {"app": app, "name": name}, self._account, self._guard)

    async def keys(self, **wanted: Any) -> list[KeyPath]:
        """The keys of state stores that are known now and have these fields.

        Args:
            wanted: fields of `KeyPath`, see `matches`: ``store``, ``key``, ``app``.
        """
        return [each for each in (await self.now()).keys if matches(each, wanted)]

    def state(self, store: str, key: str, **wanted: Any) -> AsyncTrackedKey:
        """One key of a state store, to ask questions about; it need not exist yet.

        Args:
            store: the component.
            key: as apps call it.
            wanted: other fields of `KeyPath`, see `matches`; ``app`` if apps have equal keys.
        """
        return AsyncTrackedKey(self._account, self._guard, {"store": store, "key": key, **wanted})

    def requests(self, app: str, path: str = "", **wanted: Any) -> AsyncTrackedRequests:
        """Requests of the app's sidecar that are neither events nor jobs, to ask questions about.

        Args:
            app: which was invoked, or has an input binding; its deliveries must be recorded.
            path: of the requests, without a query; any if "".
            wanted: other fields of `Request`, see `matches`, such as ``method`` and ``data``.
        """
        if path:
            wanted["path"] = path
        return AsyncTrackedRequests(self._account, self._guard, {"app": app, **wanted})

    async def published(self, *types: str, timeout: float = 30.0, **wanted: Any) -> list[EventPath]:
        """Nothing is in flight any more, and of these events the broker has these and no others.

        Events of one partition are in the order of their offsets, those of several in that of
        time. Dead letters do not count, nor does what daprd keeps for its outbox.

        Args:
            types: the type of each event, in order; none if nothing was published.
            timeout: seconds.
            wanted: fields of `EventPath`, see `matches`; ``topic`` is one of its topics.

        Returns:
            their paths, in order.

        Raises:
            ProbeTimeout: other events have these fields; the message explains each.
            ConfigError: the topology has no Kafka of its own.
        """
        require_records(self._account)
        deadline = Deadline(timeout)
        found: list[EventPath] = []

        async def look() -> Observation:
            nonlocal found
            found = stored(await self.events(**wanted))
            return Observation(len(found) >= len(types))

        if (await apoll(look, deadline, guard=self._guard, interval=INTERVAL)).ok:
            ledger = await self.settled(timeout=deadline.remaining)
            found = stored(each for each in ledger.events if fits(each, wanted))
        if [each.type for each in found] != [*types]:
            raise self._others(types, found, wanted, timeout)
        return found

    def _others(
        self, types: Sequence[str], found: Sequence[EventPath], wanted: Any, budget: float
    ) -> ProbeTimeout:
        paths = "\n".join(told(each) for each in found[: SHOWN + len(types)])
        return ProbeTimeout(
            self._account.masked(f"other events were published with {shown(wanted)}"),
            expected=", ".join(types) or "no event",
            last=self._account.masked(
                f"{', '.join(each.type for each in found)}\n{paths}" if found else "no event"
            ),
            budget=budget,
        )

    async def settled(self, *, timeout: float = 30.0) -> Ledger:
        """Wait until nothing is in flight; everything that is known then.

        The consumer groups of the sidecars have then handled every record of the topology's Kafka,
        no recorded app handles a delivery, and no further event was published meanwhile. What an
        app will still publish by itself, from its outbox or by a job, is not waited for, nor is
        what other brokers have.

        Raises:
            ProbeTimeout: something is still in flight after ``timeout`` seconds.
        """
        try:
            async with aexplained(self._guard):
                return await ablocking(self._account.settled, Deadline(timeout))
        except ProbeTimeout as missed:
            # As for the other questions, pytest shows the test's own line.
            raise missed.with_traceback(None) from missed.__cause__
