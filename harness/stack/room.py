"""Whether this machine has room for one more copy of a stack. Everything is measured."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from harness.runtime.base import Measurable
from harness.runtime.usage import IdleCores, free_memory, memory_of, usable_cores
from harness.stack.sharing import shared_nodes
from harness.stack.stack import Stack

if TYPE_CHECKING:
    from harness.stack.images import Images

IDLE, LATELY = 0.5, 0.5
"""Cores that must have been idle, and the seconds to look back: a start takes what tests leave."""


NETWORKS = 8
"""How many networks spare copies may use: an engine's own address pools have room for about 30."""


def two_for_each_core() -> int:
    """How many spare copies make sense: they are started one at a time, each by one core or two."""
    return 2 * usable_cores()


def most_copies(stack: Stack, wanted: int) -> int:
    """How many spare copies of a stack there may be, of those that are wanted.

    On containers, each needs a network; and what is free on the machine of another engine is not
    known here.
    """
    if stack.runtime != "containers":
        return wanted if stack.runtime == "processes" else 0
    return min(wanted, NETWORKS) if cast("Images", stack.tools).engine.is_local else 0


@dataclass
class Room:
    """What copies of a stack need, and whether it is free.

    Args:
        base: the running stack, whose own nodes are the first measurement of a copy's.
        patient: whether a copy is started only if the processor has nothing better to do.
    """

    base: Stack
    patient: bool

    def __post_init__(self) -> None:
        self._idle = IdleCores()
        self._whole = self._each = 0

    def measure(self, copy: Stack) -> None:
        """Take a running copy as the measure of the next one, if it is larger than others."""
        self._each = max(self._each, _memory(copy))

    def is_there(self) -> bool:
        """Whether one more copy can be started.

        Afterwards, there must still be memory for a copy to grow to twice its size, and for a test
        that starts a whole stack of its own.
        """
        if self.patient and self._idle.lately(LATELY) < IDLE:
            return False
        if not self._whole:
            self._whole = _memory(self.base)
            shared = [each.name for each in shared_nodes(self.base)]
            self._each = max(self._each, _memory(self.base, shared))
        free = free_memory()
        return free is None or free >= 2 * self._each + self._whole


def _memory(stack: Stack, without: Collection[str] = ()) -> int:
    own = (each for name, each in stack.instances.items() if name not in without)
    told, seen = [], []
    for each in own:
        if isinstance(each, Measurable):
            told.append(each.memory())
        elif each.pid:
            seen.append(each.pid)
    return sum(told) + memory_of(seen)
