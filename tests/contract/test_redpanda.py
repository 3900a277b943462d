"""Redpanda itself, wherever its image can be had."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from harness.stack.images import Images
from tests.provision import required_images
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


@pytest.fixture
def redpanda(images: Images) -> str:
    """Redpanda's image, which provisioning of the tests has pulled where its registry answers.

    A job that requires it fails without.
    """
    found = images.find("redpanda")
    if found.origin == "missing":
        end = pytest.fail if "redpanda" in required_images() else pytest.skip
        end(f"Redpanda's image {found.reference} can be had from its registry only")
    return found.reference


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("redpanda")
def test_the_scenarios_pass_on_redpanda() -> None:
    """The same stories as on Kafka; skipped where its image is neither here nor required."""
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
