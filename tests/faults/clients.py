"""The users: each does one thing after the other, and again whatever was not acknowledged."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx

from harness import World
from harness.core.closing import AsyncClosing
from harness.core.deadline import Deadline, aticks
from harness.ready import loopback
from scenarios.signing import sign
from tests.faults.ledger import Fate, Ledger, Reminder

PATIENCE = 20.0
"""Seconds after which a user gives up waiting and asks again. Who gives up sooner on a busy machine
adds requests that nobody waits for, until no answer comes in time any more."""

AGAIN = 0.25
"""Seconds until then."""

LONGEST = 3600.0
"""Seconds after which nothing that is refused is asked for again: something is broken for good."""

FATES: tuple[Fate, ...] = ("due", "due", "moved", "due", "due", "cancelled")


@dataclass
class User:
    """One user.

    Args:
        client: the way to the backend.
        writes: how many must be acknowledged.
        reminders: how many tasks with a reminder are among them; some are cancelled besides.
        clock: counts down from the attack's beginning; writes are spread over it.
    """

    name: str
    client: httpx.AsyncClient
    ledger: Ledger
    clock: Deadline
    writes: int
    reminders: int
    dice: random.Random
    written: int = 0
    reminded: int = 0
    patience: Deadline = field(default_factory=lambda: Deadline(LONGEST))

    async def live(self) -> None:
        """Make tasks, change and complete them, until everything was acknowledged."""
        while self.written < self.writes or self.reminded < self.reminders:
            # Spread evenly, the reminders are due all along.
            if self.reminded * self.writes <= self.written * self.reminders:
                await self._remind(FATES[(self.reminded + self.dice.randrange(6)) % 6])
            else:
                await self._task()

    async def _task(self) -> None:
        """Made, changed a few times, completed; a third of them come again."""
        series = self.dice.random() < 1 / 3
        more: dict[str, Any] = {}
        if series:
            more = {"due_at": _iso(time.time() + 86_400), "recurrence": {"frequency": "daily"}}
        task = await self._create(more)
        for _ in range(self.dice.randrange(1, 5)):
            if task is not None and self.written < self.writes:
                task = await self._change(task, "PUT", "", {"title": self._title()})
        if task is not None and self.written < self.writes:
            task = await self._change(task, "POST", "/complete")
            if series and task is not None:
                self.ledger.completed.add(task["id"])

    async def _remind(self, fate: Fate) -> None:
        due = time.time() + self.dice.uniform(3, max(4, self.clock.remaining))
        if fate == "moved":
            due += 5
        task = await self._create({"remind_at": _iso(due)})
        if task is None:
            return
        reminder = Reminder(task["id"], task["title"], due)
        if fate == "moved":
            reminder.was_due, reminder.due = due, due + self.dice.uniform(1, 5)
            task = await self._change(task, "PUT", "", {"remind_at": _iso(reminder.due)})
        elif fate == "cancelled":
            reminder.was_due = due
            task = await self._change(task, "POST", "/complete")
        reminder.fate, reminder.settled = fate, time.time()
        self.ledger.reminders[reminder.task] = reminder
        # What was cancelled proves something, but is none that must come.
        self.reminded += fate != "cancelled"

    async def _create(self, more: Mapping[str, Any]) -> dict[str, Any] | None:
        return await self._acknowledged("POST", "", {"title": self._title(), **more})

    async def _change(
        self, task: dict[str, Any], verb: str, action: str, body: Any = None
    ) -> dict[str, Any] | None:
        return await self._acknowledged(verb, f"/{task['id']}{action}", body, task["id"])

    async def _acknowledged(
        self, verb: str, path: str, body: Any, task: str = ""
    ) -> dict[str, Any] | None:
        """The task as the first answer that acknowledges says it; None when it has vanished."""
        await self._turn()
        async for _ in aticks(self.patience, AGAIN):
            answer = await self._ask(verb, path, body)
            made = _task_in(answer)
            if made is not None:
                self.ledger.note(made)
                self.written += 1
                return made
            if answer is not None and answer.status_code == httpx.codes.NOT_FOUND and task:
                self.ledger.vanished.add(task)
                return None
        raise AssertionError(f"{verb} of {self.name} was refused for {LONGEST:.0f} s")

    async def _ask(self, verb: str, path: str, body: Any) -> httpx.Response | None:
        url = f"/api/{self.name}/tasks{path}"
        try:
            answer = await self.client.request(verb, url, json=body)
        except httpx.HTTPError as error:
            self.ledger.refused[type(error).__name__] += 1
            return None
        if not answer.is_success:
            self.ledger.refused[str(answer.status_code)] += 1
        return answer

    async def _turn(self) -> None:
        """Wait until the next write is due."""
        at = self.clock.budget * self.written / self.writes
        left = Deadline(max(0.0, at - (self.clock.budget - self.clock.remaining)))
        async for _ in aticks(left, max(left.budget, 0.001)):
            pass

    def _title(self) -> str:
        return f"{self.name} {self.dice.getrandbits(48):012x}"


class Clients(AsyncClosing):
    """The ways to the backend: to the app itself, and through another app's sidecar."""

    def __init__(self, world: World) -> None:
        endpoint, token = world.sidecar_address("frontend")
        through = f"{endpoint.http}/v1.0/invoke/backend-service/method"
        signed = partial(sign, token_of=world.token)
        self._all = [
            loopback.aclient(world.url("backend-service"), timeout=PATIENCE, sign=signed),
            loopback.aclient(through, timeout=PATIENCE, token=token, sign=signed),
        ]

    def of(self, number: int) -> httpx.AsyncClient:
        """The one of a user."""
        return self._all[number % len(self._all)]

    async def aclose(self) -> None:
        """Close all of them."""
        for each in self._all:
            await each.aclose()


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _task_in(answer: httpx.Response | None) -> dict[str, Any] | None:
    """The task of an answer that acknowledges it; None for any other.

    A sidecar whose app is killed while it answers can pass on the status without the body: who
    asked knows nothing of a task then, so nothing was acknowledged.
    """
    if answer is None or not answer.is_success or not answer.content:
        return None
    task: dict[str, Any] = answer.json()
    return task
