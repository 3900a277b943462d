"""One topology on two runtimes: what is observed is the same, but for a list with reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import Settings, running
from harness.stack.images import Images
from scenarios.topology import reference
from tests.parity.compare import stale, unexplained
from tests.parity.observe import observe

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

DIFFERENCES = {
    "metadata/*/appConnectionProperties/port": "ports are reserved anew for every run",
    "metadata/*/scheduler/connected_addresses/0": "processes meet on loopback, containers by name",
}
"""Paths that must differ, each with its reason. Anything else that differs is a defect.

Those between processes and a cluster are in tests/kubernetes/test_reference_in_cluster.py."""


@pytest.fixture(scope="module")
def observed(images: Images) -> dict[str, dict[str, Any]]:
    """What was seen on each runtime."""
    found = {}
    for runtime in ("processes", "containers"):
        settings = Settings.load(start=Path(__file__).parent, runtime=runtime, broker="kafka")
        with running(reference, settings) as stack:
            found[runtime] = observe(stack)
    return found


def test_what_is_observed_is_the_same_on_both_runtimes(
    observed: dict[str, dict[str, Any]],
) -> None:
    """Events and their order per key, notifications, state, metadata, jobs."""
    found = unexplained(observed["processes"], observed["containers"], DIFFERENCES)

    assert {} == found, json.dumps(found, indent=1)


def test_every_listed_difference_is_one(observed: dict[str, dict[str, Any]]) -> None:
    """A list that has grown stale would hide the next defect."""
    assert [] == stale(observed["processes"], observed["containers"], DIFFERENCES)


def test_enough_was_observed(observed: dict[str, dict[str, Any]]) -> None:
    """An empty observation would be equal to any other."""
    seen = observed["processes"]

    assert 100 < len(seen)
    for story in ("task story", "state story", "reminder story", "metadata", "addresses"):
        assert any(path.startswith(story) for path in seen)
