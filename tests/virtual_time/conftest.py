"""One test's view of the stack of its module, and the clock of that stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import Clock, Stack, World


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    """One test's view of the module's stack."""
    with World(stack) as found:
        yield found


@pytest.fixture
def clock(world: World) -> Clock:
    """The clock of the module's stack."""
    return world.clock
