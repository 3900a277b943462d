"""Whether this machine has room for one more copy of a stack. Everything is measured."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from harness.runtime.usage import IdleCores, free_memory, memory_of, usable_cores
from harness.stack.sharing import shared_nodes
from harness.stack.stack import Stack

IDLE, LATELY = 0.5, 0.5
"""Cores that must have been idle, and the seconds to look back: a start takes what tests leave."""


def two_for_each_core() -> int:
    """How many spare copies make sense: they are started one at a time, each by one core or two."""
    return 2 * usable_cores()


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
    return memory_of(each.pid for each in own if each.pid)
