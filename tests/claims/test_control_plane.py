"""Claims about a daprd that is alone, and what it needs of Dapr's other services."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.dapr.client import DaprClient
from harness.dapr.health import HealthCheck
from harness.ready.loopback import client as http
from harness.runtime.base import Instance, State
from harness.runtime.processes import ProcessRuntime
from tests.claims.alone import LONG, alive, start
from tests.claims.test_components import component
from tests.support import project

pytestmark = pytest.mark.real

CONFIGURATION = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {{name: c}}
spec: {{mtls: {{enabled: {enabled}}}}}
"""


@pytest.fixture(scope="module")
def runtime() -> Iterator[ProcessRuntime]:
    with ProcessRuntime({"PATH": os.environ["PATH"]}) as opened:
        yield opened


def configured(folder: Path, enabled: str) -> Path:
    """A folder with a component, and with a Configuration of mTLS."""
    return project(
        folder, r__c_yaml=component("state.in-memory", "state"),
        config_yaml=CONFIGURATION.format(enabled=enabled),
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(
    runtime: ProcessRuntime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Instance, DaprClient]]:
    """A daprd with neither flag, whose Configuration enables mTLS."""
    folder = configured(tmp_path_factory.mktemp("alone"), "true")
    daprd, client = start(runtime, 0, folder, {"config": str(folder / "config.yaml")})
    with client:
        check = HealthCheck(client, outbound=True, name="outbound")
        assert (seen := poll(lambda: alive(daprd, check.observe()), Deadline(LONG))).ok, seen
        yield daprd, client


def test_without_a_scheduler_daprd_works_and_jobs_do_not(
    alone: tuple[Instance, DaprClient],
) -> None:
    """Each call is refused at once, by either path."""
    _, client = alone
    client.save_state("state", "k", 1)

    assert 1 == client.get_state("state", "k").value
    for version in ("v1.0", "v1.0-alpha1"):
        with http(client.endpoint.http, timeout=60) as sidecar:
            body = {"dueTime": "0s", "data": None}
            refused = sidecar.post(f"/{version}/jobs/j", json=body)
        assert 500 == refused.status_code
        assert "scheduler clients are disabled" in refused.json()["message"]


def test_a_configuration_with_mtls_does_not_replace_the_flag(
    alone: tuple[Instance, DaprClient],
) -> None:
    """daprd is healthy without a sentry, and says why."""
    daprd, _ = alone

    assert "mTLS is disabled. Skipping certificate request" in daprd.log.read_text()


def test_a_configuration_without_mtls_does_not_overrule_the_flag(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    """daprd wants the certificates of a sentry, and ends without."""
    folder = configured(tmp_path, "false")
    flags = {"config": str(folder / "config.yaml"), "enable-mtls": "true"}
    daprd, client = start(runtime, 1, folder, flags)
    client.close()

    def ended() -> Observation:
        return Observation(daprd.state is State.EXITED, "daprd is running")

    assert (seen := poll(ended, Deadline(LONG))).ok, seen
    assert "trust anchors are required" in daprd.log.read_text()
