"""The reference system in a real node of Kubernetes: its broker, its database, its scenarios."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.nodes.dapr_cluster import DaprClusterNode
from tests.kubernetes.clusters import obstacle
from tests.support import ROOT, environment

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

SCENARIOS = (
    # A tap, whose sidecar is a pod of its own.
    "test_task_events.py::test_every_change_of_a_task_is_an_event_in_order",
    # The database.
    "test_task_events.py::test_an_event_that_is_published_twice_is_notified_once",
    # The inbox, which makes deliveries fail.
    "test_task_events.py::test_a_handler_that_fails_twice_gets_the_event_until_it_succeeds",
    # The receiver of webhooks.
    "test_send_notification.py::test_a_service_notifies_a_user_by_invocation",
)


def test_scenarios_of_the_reference_system_pass_in_a_cluster(tmp_path: Path) -> None:
    if reason := obstacle(DaprClusterNode):
        pytest.skip(reason)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=600"]
    place = environment(tmp_path, DAPR_HARNESS_BROKER="kafka")

    done = subprocess.run(
        [*words, "--dapr-runtime=kubernetes", *(f"scenarios/{each}" for each in SCENARIOS)],
        cwd=ROOT, env=place, capture_output=True, text=True,
    )  # fmt: skip

    assert re.search(rf"\b{len(SCENARIOS)} passed", done.stdout), done.stdout + done.stderr
