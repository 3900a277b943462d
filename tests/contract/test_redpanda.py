"""Redpanda itself, wherever its image can be had."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from harness.core.errors import Unavailable
from harness.stack.images import Images
from tests.support import ROOT

pytestmark = pytest.mark.real


SELECTED = "not generated and not own_stack"
"""What speaks to the broker: generated requests do not, and a stack of its own costs a minute."""


def test_the_selection_has_the_scenarios_of_events() -> None:
    """And hundreds of generated requests are not in it."""
    command = [sys.executable, "-m", "pytest", "-q", "scenarios", "--collect-only", "-m", SELECTED]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert 0 == done.returncode, done.stdout[-3000:]
    for name in (
        "test_every_change_of_a_task_is_an_event_in_order",
        "test_foreign_tasks_come_many",
    ):
        assert name in done.stdout
    assert "test_schemathesis" not in done.stdout


@pytest.mark.timeout(1800)
def test_the_scenarios_pass_on_redpanda(images: Images) -> None:
    """The same stories as on Kafka; skipped only if its image is not here and cannot be pulled."""
    try:
        images.reference("redpanda")
    except Unavailable as error:
        if images.find("redpanda").origin != "missing":
            raise
        pytest.skip(f"Redpanda's image cannot be had here: {error.subject}")
    command = [sys.executable, "-m", "pytest", "-q", "scenarios", "-m", SELECTED,
               "--dapr-runtime=containers"]  # fmt: skip

    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "DAPR_HARNESS_BROKER": "redpanda"},
        capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout[-3000:]
    passed = re.search(r"\n(\d+) passed.* in", done.stdout)
    assert passed, done.stdout[-3000:]
    assert int(passed[1]) > 50
