"""How the workers of this suite share it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers import ENGINE, scope_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        ("scenarios/test_series.py::test_x[containers]", "containers"),
        ("scenarios/test_brokers.py::test_x[rabbitmq-containers]", "containers"),
        ("scenarios/test_brokers.py::test_x[processes-containers of milk]", "processes"),
        ("scenarios/test_page.py::test_x", "processes"),
        ("tests/claims/test_jobs.py::test_x[containers]", "tests/claims/test_jobs.py"),
        ("tests/contract/test_engine.py::test_x", "engine"),
        ("tests/cli/test_containers.py::test_x[containers]", "engine"),
        ("tests/cli/test_seen_compose.py::test_x", "engine"),
        ("tests/kubernetes/test_cluster.py::test_x", "cluster"),
    ],
)
def test_a_scope_has_what_needs_one_stack_or_one_engine(nodeid: str, scope: str) -> None:
    """All tests of a scope run on one worker."""
    assert scope == scope_of(nodeid)


def test_every_file_that_needs_the_engine_for_itself_is_there() -> None:
    """A renamed one would run beside the others."""
    assert [] == [file for file in ENGINE if not (ROOT / file).is_file()]
