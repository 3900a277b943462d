"""Redpanda itself, wherever its image can be had."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from harness.stack.images import Images
from tests.support import ROOT

pytestmark = pytest.mark.real


@pytest.fixture
def redpanda(images: Images) -> str:
    """Redpanda's image, which provisioning of the tests has pulled where its registry answers."""
    found = images.find("redpanda")
    if found.origin == "missing":
        pytest.skip(f"Redpanda's image {found.reference} can be had from its registry only")
    return found.reference


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("redpanda")
def test_the_scenarios_pass_on_redpanda() -> None:
    """The same stories as on Kafka; skipped where its image could not be pulled."""
    command = [sys.executable, "-m", "pytest", "-q", "scenarios", "--dapr-runtime=containers"]

    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "DAPR_HARNESS_BROKER": "redpanda"},
        capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout[-3000:]
    assert re.search(r"\n\d\d+ passed in", done.stdout)
