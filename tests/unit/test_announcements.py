"""What an instance makes of an operation that a client of its run is about to carry out."""

from __future__ import annotations

import pytest

from harness.core.launch import Launch
from harness.runtime.base import BaseInstance


@pytest.mark.parametrize(
    ("act", "own", "expected", "fate"),
    [
        ("restart", True, True, ""),
        ("restart", False, True, ""),
        ("kill", True, True, ""),
        ("stop", True, True, ""),
        ("kill", False, False, "kill was requested by x"),
        ("stop", False, False, "stop was requested by x"),
        ("pause", False, False, ""),
        ("hold", True, False, ""),
    ],
)
def test_an_exit_requested_by_another_client_ends_waits_unless_the_node_restarts(
    act: str, own: bool, expected: bool, fate: str
) -> None:
    """An exit that another client wants ends our waits, unless the node comes back."""
    life = BaseInstance(Launch("a", ("true",)))

    life.announce(act, "x", own=own)

    assert (expected, fate) == (life.exit_expected, life.exit_reason)
