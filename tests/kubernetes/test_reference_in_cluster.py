"""The reference system in a cluster: what can be seen of it, compared with processes; scenarios."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Settings, Stack, running
from harness.nodes.dapr_cluster import DaprClusterNode
from scenarios.topology import reference
from tests.kubernetes.clusters import Place, obstacle, run
from tests.parity.compare import stale, unexplained
from tests.parity.observe import observe
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

DIFFERENCES = {
    "metadata/*/appConnectionProperties/port": "ports are reserved anew for every run",
    "metadata/*/scheduler/connected_addresses/0": "the scheduler is that of the cluster",
    "metadata/*/components/*": "Dapr's operator reads Secrets: there is no store of local secrets",
}
"""Paths that must differ, each with its reason; the last one comes last in the sorted lists."""

SECRETS = {"name": "secrets", "type": "secretstores.local.env", "version": "v1"}
"""The store of local secrets, in its three leaves."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The environment of commands for the stack ``default``, which is up in a cluster."""
    if reason := obstacle(DaprClusterNode):
        pytest.skip(reason)
    place = environment(tmp_path_factory.mktemp("stacks"), DAPR_HARNESS_BROKER="kafka")
    run(place, "up", "--runtime", "kubernetes")
    try:
        yield place
    finally:
        run(place, "down")


@pytest.fixture(scope="module")
def observed(home: Place) -> dict[str, dict[str, Any]]:
    """What was seen in each place."""
    settings = Settings.load(ROOT, home)
    with Stack.attach("default", reference, settings) as stack:
        found = {"kubernetes": observe(stack)}
    own = Settings.load(Path(__file__).parent, home, runtime="processes")
    with running(reference, own) as stack:
        return {**found, "processes": observe(stack)}


def test_what_is_observed_is_the_same_as_on_processes(observed: dict[str, dict[str, Any]]) -> None:
    """Events and their order per key, notifications, state, metadata, jobs."""
    found = unexplained(observed["processes"], observed["kubernetes"], DIFFERENCES)

    assert 100 < len(observed["kubernetes"])
    assert {} == found, json.dumps(found, indent=1)


def test_every_listed_difference_is_one(observed: dict[str, dict[str, Any]]) -> None:
    """A list that has grown stale would hide the next defect."""
    assert [] == stale(observed["processes"], observed["kubernetes"], DIFFERENCES)


def test_the_only_component_that_is_missing_in_a_cluster_is_the_store_of_local_secrets(
    observed: dict[str, dict[str, Any]],
) -> None:
    one, other = observed["processes"], observed["kubernetes"]
    paths = [path for path in one.keys() | other.keys() if "/components/" in path]
    found = {path: one[path] for path in paths if one.get(path) != other.get(path)}

    assert found
    assert not [path for path in found if path in other]
    assert set(SECRETS.items()) == {(path.rpartition("/")[2], each) for path, each in found.items()}


def test_scenarios_of_the_reference_system_pass_in_a_cluster(home: Place) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=600"]

    done = subprocess.run(
        [*words, "--dapr-attach=default", *(f"scenarios/{each}" for each in SCENARIOS)],
        cwd=ROOT, env=home, capture_output=True, text=True,
    )  # fmt: skip

    assert re.search(rf"\b{len(SCENARIOS)} passed", done.stdout), done.stdout + done.stderr
