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


@pytest.mark.timeout(900)
def test_the_scenarios_pass_on_redpanda(images: Images) -> None:
    """The same stories as on Kafka; skipped where its image cannot be pulled."""
    try:
        images.reference("redpanda")
    except Unavailable as error:
        pytest.skip(f"Redpanda's image cannot be had here: {error.subject}")
    command = [sys.executable, "-m", "pytest", "-q", "scenarios", "--dapr-runtime=containers"]

    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "DAPR_HARNESS_BROKER": "redpanda"},
        capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout[-3000:]
    assert re.search(r"\n\d\d+ passed in", done.stdout)
