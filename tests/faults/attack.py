"""One attack: users at work while parts are killed, stopped and away; then all is counted."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness import Stack, World
from harness.core.deadline import Deadline, Observation, poll
from tests.faults.clients import Clients, User
from tests.faults.counts import Counts, count
from tests.faults.inflict import Attacker
from tests.faults.ledger import Ledger
from tests.faults.look import Look
from tests.faults.plan import Fault

QUIET = 240.0
"""Seconds in which everything that is still under way must come; safety nets look each minute."""


@dataclass(frozen=True)
class Load:
    """What the users do during an attack.

    Attributes:
        writes: of all users together, those that must be acknowledged.
        reminders: of all users together; some that are cancelled come besides.
    """

    seed: int
    users: int
    writes: int
    reminders: int


@dataclass(frozen=True)
class Result:
    """What an attack has shown.

    Attributes:
        faults: those that were carried out.
        failed: how often a relay made a call of a kind in vain, and will have made it again.
        waiting: calls that the outboxes still held at the end.
        quiet: seconds after the last fault until everything had come.
        about: what can still be seen of the events without a notification.
    """

    ledger: Ledger
    faults: Sequence[Fault]
    counts: Counts
    failed: Mapping[str, int]
    waiting: int
    quiet: float
    about: Sequence[str]


def attack(stack: Stack, plan: Sequence[Fault], load: Load, *, quiet: float = QUIET) -> Result:
    """Have users write while a plan is carried out, wait until all is quiet, and count.

    Args:
        quiet: seconds in which all that is under way must come.
    """
    ledger, attacker = Ledger(), Attacker(stack)
    with World(stack) as world:
        clock = Deadline(max((fault.end for fault in plan), default=1.0))
        clients = Clients(world)
        users = _users(world, load, ledger, clock, clients)
        look = Look(world, {user.name for user in users})
        with attacker.keeping():
            asyncio.run(_at_once(clients, users, lambda: attacker.carry_out(plan, clock)))
            since = time.monotonic()
            attacker.recover()
            waiting = _await_quiet(look, ledger, Deadline(quiet))
            took = time.monotonic() - since
            counts = count(ledger, look.seen())
            failed, about = look.failed(), look.about(counts.lost_notifications)
            return Result(ledger, attacker.done, counts, failed, waiting, took, about)


def _users(
    world: World, load: Load, ledger: Ledger, clock: Deadline, clients: Clients
) -> list[User]:
    """Everybody wants mails and webhooks."""
    service, users = world.app("notification-service"), []
    for number in range(load.users):
        name = world.name(f"user{number}")
        contact = {"email": f"{name}@example.org", "webhook": True}
        service.put(f"/api/{name}/contact", json=contact).raise_for_status()
        writes, reminders = (_share(n, number, load.users) for n in (load.writes, load.reminders))
        dice = random.Random(f"{load.seed} {number}")
        users.append(User(name, clients.of(number), ledger, clock, writes, reminders, dice))
    return users


async def _at_once(clients: Clients, users: Sequence[User], fire: Callable[[], None]) -> None:
    async with clients:
        await asyncio.gather(asyncio.to_thread(fire), *(user.live() for user in users))


def _await_quiet(look: Look, ledger: Ledger, clock: Deadline) -> int:
    """Wait until the outboxes are empty and nothing is missing; the calls that are still held."""
    waiting = [0]

    def still() -> Observation:
        waiting[0] = look.waiting()
        return Observation(not waiting[0] and not count(ledger, look.seen()).lost)

    poll(still, clock, interval=1.0)
    return waiting[0]


def _share(total: int, number: int, parts: int) -> int:
    """The part of a total that falls to one of many."""
    return total * (number + 1) // parts - total * number // parts
