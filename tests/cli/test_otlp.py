"""``up --otlp``: what runs without tests is exported, too; who attaches adds traces of tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cli.test_attach import PYTEST
from tests.collector import Collector, collecting
from tests.grpc_collector import collecting_by_grpc
from tests.support import cli, environment

pytestmark = pytest.mark.real

PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "60000"}
"""Milliseconds that the end waits for the collector, however busy the machine is."""

TESTS = """
def test_asks(dapr_sync):
    assert "hello" == dapr_sync.sidecar("hello").invoke("hello", "y", verb="GET").text
"""


@pytest.mark.parametrize("listening", [collecting, collecting_by_grpc], ids=["HTTP", "gRPC"])
def test_a_stack_that_is_up_exports_until_its_end_and_tests_that_attach_are_roots_of_its_spans(
    mini: Path, listening: Callable[[], AbstractContextManager[Collector]]
) -> None:
    """A sidecar sends its spans in batches, the last one when it ends."""
    (mini / "test_it.py").write_text(TESTS)
    with listening() as collector:
        started = cli(mini, "up", "--name", "s", "--otlp", collector.url, env=PATIENT)
        assert 0 == started.returncode, started.stderr
        tests = subprocess.run(
            [*PYTEST, "--dapr-attach=s", f"--dapr-otlp={collector.url}"],
            cwd=mini, env=environment(mini, **PATIENT), capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert 0 == tests.returncode, tests.stdout
        ended = cli(mini, "down", "--name", "s")

    assert (0, "") == (ended.returncode, ended.stderr)
    (call,) = (each for each in collector.spans if each.item.name == "call")
    (span,) = (each for each in collector.spans if each.parent == call.id)
    assert ("hello", "s") == (
        span.resource["service.name"], span.resource["dapr_harness.stack"],
    )  # fmt: skip
    assert {"hello", "hello-daprd", "placement", "scheduler"} == {
        each.resource["dapr_harness.node"] for each in collector.logs
    }
    assert {"hello-daprd"} == {each.resource["dapr_harness.node"] for each in collector.metrics}


def test_down_tells_what_a_collector_has_refused(mini: Path) -> None:
    with collecting() as collector:
        collector.status = 401
        started = cli(mini, "up", "--otlp", collector.url, env=PATIENT)
        assert 0 == started.returncode, started.stderr
        ended = cli(mini, "down")

    assert 0 == ended.returncode
    assert "warning: " in ended.stderr
    assert f"could not be sent to {collector.url}: it responded 401" in " ".join(
        ended.stderr.split()
    )
