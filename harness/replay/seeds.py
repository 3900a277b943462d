"""The seed with which pytest-randomly has begun the recorded session."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from harness.bundle.recording import Origin

RANDOMLY = "pytest-randomly"


@contextmanager
def seeded(origin: Origin) -> Iterator[None]:
    """Have ``random`` begin as in the recorded session, and then as if nothing had been drawn.

    It is for what the project itself draws in this process while its topology is made, such as a
    name or a number of replicas. Apps are other processes: neither pytest-randomly nor this seeds
    them.

    Args:
        origin: of the recording.
    """
    seed = origin.seeds.get(RANDOMLY, "")
    if not seed.isascii() or not seed.isdecimal():
        yield
        return
    before = random.getstate()
    random.seed(int(seed))
    try:
        yield
    finally:
        random.setstate(before)
