"""A plugin for a pytest of its own: topologies are resolved, noted, and not started."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness import Topology
from harness.core.node import Target
from tests import provision

NOTES = "NOTES_OF_TOPOLOGIES"
"""The variable with the path of the notes: a line of JSON for each topology."""

resolve = Topology.resolved


def resolved(topology: Topology, target: Target) -> Topology:
    """Resolve as always; then the test that wanted to start it has done its part."""
    made = resolve(topology, target)
    brokers = [
        [type(node).__name__, node.name, node.sasl] for node in made.nodes if hasattr(node, "sasl")
    ]
    with Path(os.environ[NOTES]).open("a") as notes:
        notes.write(json.dumps([target.runtime, target.broker, brokers]) + "\n")
    pytest.skip("not started")


def provide(*_: object, **__: Any) -> dict[str, Path]:
    """Nothing is started, so nothing is installed."""
    return {}


def pytest_configure() -> None:
    """Not at the import: the test that names this module must not be changed by it."""
    Topology.resolved = resolved  # type: ignore[method-assign,assignment]
    provision.provide = provide


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests of one module with the same fixtures and parameters, the first is enough."""
    alike = {
        (each.path, each.name.partition("[")[2], _fixtures(each)): each for each in [*items][::-1]
    }
    items[:] = [each for each in items if each in alike.values()]


def _fixtures(item: pytest.Item) -> frozenset[str]:
    return frozenset(getattr(item, "fixturenames", ()))
