"""A stack on containers: what is seen of it, its page, its exported signals, and a replay on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.inspection.inspection import Inspection
from harness.stack.images import Images
from tests.cli.test_attach import PYTEST
from tests.cli.test_inspecting import awaited, opened, publish, row_of
from tests.cli.test_seen_compose import TOPOLOGY, state_of
from tests.cli.test_ui import messages
from tests.collector import Collector, collecting
from tests.contract.test_ledger import APP, RESOURCES
from tests.going_on import going_on
from tests.projects import PYPROJECT
from tests.support import cli, environment, leftovers, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

FAILING = """
def test_order(dapr_sync):
    data = {"status": 500, "times": 1, "name": dapr_sync.id}
    dapr_sync.sidecar("shop").publish("bus", "orders", data)
    dapr_sync.ledger.event(topic="orders", data={"name": dapr_sync.id}).dead_lettered(timeout=1)
"""
"""The app accepts the event at the second attempt, so it is never a dead letter."""


@pytest.fixture(scope="module")
def exported() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def up(
    images: Images, exported: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A project whose stack is up on containers, and exports."""
    files = {"app_py": APP.read_text(), "topology_py": TOPOLOGY, "r__all_yaml": RESOURCES}
    folder = project(tmp_path_factory.mktemp("contained"), pyproject_toml=PYPROJECT, **files)
    started = cli(folder, "up", "--runtime", "containers", "--otlp", exported.url, timeout=120)
    assert 0 == started.returncode, started.stderr
    yield folder
    assert 0 == cli(folder, "down").returncode
    assert [] == leftovers(folder)


@pytest.fixture
def seen(up: Path) -> Iterator[Inspection]:
    with opened(up) as inspection:
        yield inspection


def test_an_event_and_the_logs_of_containers_are_seen(seen: Inspection) -> None:
    publish(seen, "judged", "e-dropped", {"status": 200, "answer": '{"status": "DROP"}'})
    row = awaited(lambda: row_of(seen, "e-dropped"), "dead_letter")

    def handled() -> Observation:
        topics = [each for each in seen.overview().topics if each.name == "judged"]
        lags = [each.lag for topic in topics for each in topic.subscribers]
        return Observation([0] == lags, str(lags))

    caught_up, found = poll(handled, Deadline(60)), seen.overview()

    assert caught_up.ok, caught_up.fact
    assert ["shop-daprd"] == sorted({each.node for each in seen.event(row.key).logs})
    assert "containers" == found.runtime
    assert {"running"} == {each.state for each in found.nodes}
    assert [] == found.missing


def test_a_container_that_is_paused_or_killed_is_shown_as_such(seen: Inspection) -> None:
    """A frozen container has no stopped process: its engine knows that it is paused."""
    states = []
    for action in ("pause", "resume", "kill", "restart"):
        seen.act(action, "shop")
        states.append(state_of(seen, "shop"))

    assert ["paused", "running", "exited", "running"] == states


def test_the_page_of_a_stack_on_containers_shows_its_nodes_and_logs(up: Path) -> None:
    with going_on(up, "ui", "--no-browser") as page:
        address = page.line().split()[-1]
        with httpx.stream("GET", f"{address}stream", trust_env=False, timeout=60) as stream:
            told = messages(stream.iter_lines())
            overview = next(data for kind, data in told if kind == "overview")
            pages = (data["lines"] for kind, data in told if kind == "logs")
            logged = any(each["node"] == "shop-daprd" for lines in pages for each in lines)

    assert "containers" == overview["runtime"]
    assert {"kafka", "shop", "shop-daprd"} <= {each["name"] for each in overview["nodes"]}
    assert logged


def test_containers_export_their_logs_and_the_metrics_of_sidecars(
    up: Path, exported: Collector
) -> None:
    def look() -> Observation:
        logs = {each.resource["dapr_harness.node"] for each in exported.logs}
        metrics = {each.resource["dapr_harness.node"] for each in exported.metrics}
        enough = {"kafka", "shop-daprd"} <= logs and "shop-daprd" in metrics
        return Observation(enough, f"logs of {logs}, metrics of {metrics}")

    found = poll(look, Deadline(60))
    assert found.ok, found.fact


def test_a_test_that_failed_on_containers_is_replayed_on_containers(up: Path) -> None:
    (up / "test_it.py").write_text(FAILING)
    failed = subprocess.run(
        [*PYTEST, "--dapr-attach"], cwd=up, env=environment(up), capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    (archive,) = up.glob("artefacts/*test_order.zip")

    done = cli(up, "replay", str(archive), "--speed", "0", "--json", timeout=120)

    assert 1 == failed.returncode, failed.stdout
    (found,) = json.loads(done.stdout)
    assert found["reproduced"], json.dumps(found, indent=1) + failed.stdout
    # A replay exports nothing.
    assert ["the node otlp does not exist any more"] == found["differences"]
    assert [] == found["not_repeated"]
    page = (up / found["page"]).read_text()
    assert "delivered to shop, attempt 2: status 200" in page
