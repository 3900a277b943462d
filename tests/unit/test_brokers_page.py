"""What docs/brokers.md says about scenarios and tests is what there is."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

import pytest

from scenarios import test_brokers
from tests.contract import test_broker_differences
from tests.support import ROOT

PAGE = (ROOT / "docs" / "brokers.md").read_text()
OF_EVENTS = [
    importlib.import_module(f"scenarios.test_{name}")
    for name in (
        "bulk", "contacts", "frontend", "outbox", "readiness", "reminders", "replicas", "restarts",
        "send_notification", "series", "task_events",
    )
]  # fmt: skip
"""The modules whose subject is events, or what follows from them."""


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def own_tests(module: ModuleType) -> set[str]:
    """The tests that a module defines itself."""
    return {
        name for name, each in vars(module).items()
        if name.startswith("test_") and each.__module__ == module.__name__
    }  # fmt: skip


KAFKA_ONLY = set(re.findall(r"`(test_\w+(?:\.py)?)`", section("Scenarios on Kafka only")))
HERE = {name for name in vars(test_brokers) if name.startswith("test_")}


@pytest.mark.parametrize("module", OF_EVENTS, ids=lambda each: each.__name__)
def test_every_scenario_of_events_runs_on_all_brokers_or_is_listed(module: ModuleType) -> None:
    """By its name, or by that of its module; and not both."""
    file, names = f"{module.__name__.rpartition('.')[2]}.py", own_tests(module)
    listed = names if file in KAFKA_ONLY else names & KAFKA_ONLY

    assert names
    assert names - listed == names & HERE


def test_the_list_names_no_scenario_that_is_gone() -> None:
    known = {f"{each.__name__.rpartition('.')[2]}.py" for each in OF_EVENTS}

    assert KAFKA_ONLY <= known.union(*map(own_tests, OF_EVENTS))


def test_every_row_about_differences_names_a_test_that_exists() -> None:
    """In its last column."""
    rows = [
        row.strip("|").split("|") for row in section("What differs").splitlines()
        if row.startswith("|")
    ][2:]  # fmt: skip
    there = {name for name in vars(test_broker_differences) if name.startswith("test_")}

    assert 7 == len(rows)
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row[-1])
        assert named
        assert {*named} <= there, row[0]
