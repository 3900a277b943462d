"""What is done to the system, and when: drawn from a seed, before anything runs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

APPS = ("backend-service", "notification-service", "recurring-task-service", "frontend")
SESSION = "a process of postgres"
"""One server process of PostgreSQL; killed, it takes all sessions with it."""

PARTS = (
    *APPS, *(f"{app}-daprd" for app in APPS),
    "broker", "postgres", "placement", "scheduler",
)  # fmt: skip

How = Literal["kill", "stop"]


@dataclass(frozen=True)
class Fault:
    """Something that is done to one part.

    Attributes:
        at: seconds from the attack's beginning.
        part: a node's name, or `SESSION`.
        how: ``kill`` (SIGKILL, and started again afterwards) or ``stop`` (SIGSTOP, SIGCONT).
        seconds: for how long it is away.
    """

    at: float
    part: str
    how: How = "kill"
    seconds: float = 0.0

    @property
    def end(self) -> float:
        """When it is let back."""
        return self.at + self.seconds


def kills(
    seed: int, *, each: int, every: float, stops: int = 0, parts: Sequence[str] = (*PARTS, SESSION)
) -> list[Fault]:
    """Every part killed so many times in a drawn order, and back at once.

    Args:
        each: kills of every part.
        every: seconds between two, on average.
        stops: how often a drawn part is stopped besides, for 1 to 12 s.
    """
    dice = random.Random(seed)
    order = [part for part in parts for _ in range(each)]
    dice.shuffle(order)
    found = [Fault((n + dice.random()) * every, part) for n, part in enumerate(order)]
    end, nodes = len(order) * every, [part for part in parts if part != SESSION]
    for _ in range(stops):
        moment, part = dice.uniform(0, end), dice.choice(nodes)
        found.append(Fault(moment, part, "stop", dice.uniform(1, 12)))
    return sorted(found, key=lambda fault: fault.at)


def outages(
    seed: int, *, seconds: float, together: int, parts: Sequence[str] = PARTS
) -> list[Fault]:
    """Every part away once for so many seconds, some together, the groups one after the other."""
    dice = random.Random(seed)
    order = list(parts)
    dice.shuffle(order)
    found, begin = [], 3.0
    for group in (order[n : n + together] for n in range(0, len(order), together)):
        faults = [Fault(begin + dice.uniform(0, 3), part, "kill", seconds) for part in group]
        found += faults
        begin = max(fault.end for fault in faults) + 5
    return sorted(found, key=lambda fault: fault.at)
