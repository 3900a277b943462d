"""What is seen of a compose project that nobody has started with the harness, and done to it."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ConfigError
from harness.core.settings import Settings
from harness.inspection.inspection import Inspection
from harness.inspection.model import EventRow
from harness.render.compose.attach import looked_at
from harness.render.compose.project import SECRETS, read_env
from harness.stack.images import Images
from tests.cli.test_containers import composer
from tests.cli.test_ui import messages
from tests.contract.test_ledger import APP, RESOURCES, TOPICS
from tests.going_on import going_on
from tests.projects import PYPROJECT
from tests.support import cli, environment, leftovers, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

FILE = "compose/compose.yaml"

TOPOLOGY = f"""
import sys
from harness import App, Kafka, Topology

mini = Topology(
    Kafka(topics={TOPICS!r}),
    App("shop", command=[sys.executable, "app.py"], record=True),
    resources="r",
)
"""


ABSENT = """
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: absent}
spec:
  type: state.postgresql
  version: v2
  ignoreErrors: true
  metadata:
  - {name: connectionString, value: "host=127.0.0.1 port=1 user=nobody connect_timeout=1"}
"""


def compose(folder: Path, *arguments: str) -> None:
    """Compose itself, on the project in a folder."""
    env = {key: each for key, each in os.environ.items() if not key.startswith("DAPR_HARNESS_")}
    command = [*composer(), "-f", FILE, *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def composed(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose compose project is up."""
    if not any((Path(each) / composer()[0]).is_file() for each in os.environ["PATH"].split(":")):
        pytest.skip("neither `docker compose` nor docker-compose is installed")
    files = {"app_py": APP.read_text(), "topology_py": TOPOLOGY, "r__all_yaml": RESOURCES + ABSENT}
    folder = project(tmp_path_factory.mktemp("composed"), pyproject_toml=PYPROJECT, **files)
    assert 0 == cli(folder, "render", "compose").returncode
    assert 0 == cli(folder, "render", "compose", "--secrets").returncode
    try:
        compose(folder, "up", "-d")
        yield folder
    finally:
        compose(folder, "down", "-v", "-t", "1")
    assert [] == leftovers(folder)


def opened(folder: Path) -> Inspection:
    """An inspection in this process."""
    settings = Settings.load(folder, environment(folder))
    topology = runpy.run_path(str(folder / "topology.py"))["mini"]
    return Inspection(*looked_at(FILE, folder / FILE, topology, settings))


@pytest.fixture
def seen(composed: Path) -> Iterator[Inspection]:
    with opened(composed) as inspection:
        yield inspection


def published(folder: Path, number: int, data: Mapping[str, Any]) -> None:
    """An event by the command, as soon as the sidecar is ready for one."""

    def look() -> Observation:
        text = json.dumps({"number": f"n-{number}", **data})
        done = cli(folder, "publish", "judged", text, "-n", FILE)
        return Observation(done.returncode == 0, done.stderr)

    found = poll(look, Deadline(90))
    assert found.ok, found.fact


def judged(seen: Inspection, number: int, outcome: str) -> EventRow:
    """The row of the event with this number as soon as it has an outcome."""
    rows: list[EventRow] = []

    def look() -> Observation:
        rows[:] = seen.events(topic="judged", text=f"n-{number}").rows
        return Observation(any(each.outcome == outcome for each in rows), str(rows))

    found = poll(look, Deadline(60))
    assert found.ok, found.fact
    return next(each for each in rows if each.outcome == outcome)


def state_of(seen: Inspection, node: str) -> str:
    """The state of a node now."""
    return next(each.state for each in seen.nodes() if each.name == node)


def test_the_commands_take_the_compose_file_as_a_stack(composed: Path, seen: Inspection) -> None:
    """They tell of an event of that project what they tell of a stack that `up` has started."""
    published(composed, 1, {"status": 200, "answer": '{"status": "DROP"}'})
    event = judged(seen, 1, "dead_letter").id

    def json_of(*arguments: str) -> Any:
        done = cli(composed, *arguments, "-n", FILE, "--json")
        assert 0 == done.returncode, done.stderr
        if arguments[0] in ("ledger", "logs", "deliveries"):
            return [json.loads(each) for each in done.stdout.splitlines()]
        return json.loads(done.stdout)

    explained = json_of("explain", event)
    assert "dropped by shop" in explained["path"]["title"] + explained["conclusion"]
    assert "shop-daprd" in {each["node"] for each in explained["logs"]}
    assert [event] == [each["id"] for each in json_of("ledger", "--topic", "judged")]
    assert "judged" in {each["name"] for each in json_of("topics")}
    assert event in {each["id"] for each in json_of("deliveries", "shop")}
    assert {"bus", "store"} <= {each["name"] for each in json_of("metadata", "shop")["components"]}
    assert event == json_of("redeliver", event)["of"]
    assert event in cli(composed, "logs", "shop-daprd", "-n", FILE).stdout
    token = cli(composed, "token", "-n", FILE).stdout.strip()
    assert read_env(composed / "compose" / SECRETS)["DAPR_API_TOKEN"] == token


def test_a_component_that_a_sidecar_could_not_load_is_named(seen: Inspection) -> None:
    """As compose has given it to the sidecar, with daprd's own words from the log."""
    (absent,) = [each for each in seen.overview().components if each.name == "absent"]

    assert "absent" in absent.failed["shop"]


def test_a_bundle_says_that_compose_keeps_no_journal(composed: Path, seen: Inspection) -> None:
    published(composed, 2, {})
    judged(seen, 2, "delivered")

    done = cli(composed, "bundle", FILE, "--json")

    assert 0 == done.returncode, done.stderr
    page = Path(composed, json.loads(done.stdout)["page"]).read_text()
    assert "n-2" in page
    assert "a compose project keeps no journal" in page


@pytest.mark.parametrize(
    ("command", "instead"),
    [("down", "docker compose -f"), ("status", "dapr-harness ui"), ("clock", "no virtual time")],
)
def test_what_compose_does_itself_is_refused_with_the_way_to_do_it(
    composed: Path, command: str, instead: str
) -> None:
    more = ["freeze"] if command == "clock" else []
    done = cli(composed, command, *more, "--name", FILE)

    assert 2 == done.returncode
    assert f"{FILE} is a compose file" in done.stderr
    assert instead in done.stderr


def test_a_node_is_paused_killed_and_restarted(seen: Inspection) -> None:
    """And another client's view follows."""
    states = []
    for action in ("pause", "resume", "kill", "restart"):
        seen.act(action, "shop")
        states.append(state_of(seen, "shop"))

    assert ["paused", "running", "exited", "running"] == states


def test_a_container_that_compose_has_replaced_is_followed(
    composed: Path, seen: Inspection
) -> None:
    before = seen.stack.instances["shop"].pid

    compose(composed, "up", "-d", "--no-deps", "--force-recreate", "shop")

    assert "running" == state_of(seen, "shop")
    assert before != seen.stack.instances["shop"].pid


def test_a_service_that_was_removed_can_be_looked_at_and_not_restarted(composed: Path) -> None:
    """Only compose can create its container; the others are there."""
    compose(composed, "rm", "--stop", "--force", "shop")
    try:
        with opened(composed) as seen:
            states = state_of(seen, "shop"), state_of(seen, "shop-daprd")
            with pytest.raises(ConfigError, match="no container") as refused:
                seen.act("restart", "shop")
    finally:
        compose(composed, "up", "-d")

    assert ("exited", "running") == states
    assert "docker compose up -d shop" in refused.value.hint


def test_the_page_ends_when_the_project_is_taken_down_and_commands_say_how_to_start_it(
    composed: Path,
) -> None:
    try:
        with going_on(composed, "ui", FILE, "--no-browser") as page:
            address = page.line().split()[-1]
            with httpx.stream("GET", f"{address}stream", trust_env=False, timeout=60) as stream:
                told = messages(stream.iter_lines(), within=100)
                overview = next(data for kind, data in told if kind == "overview")
                compose(composed, "down", "-t", "1")
                *_, last = told
            errors = page.ended()
            after = cli(composed, "ledger", "-n", FILE)
    finally:
        compose(composed, "up", "-d")

    assert "compose" == overview["runtime"]
    assert {("shop", "running"), ("kafka", "running")} <= {
        (each["name"], each["state"]) for each in overview["nodes"]
    }
    assert "ended" == last[0]
    assert "the stack has ended" in last[1]["why"]
    assert 0 == page.process.returncode
    assert f"stack '{FILE}' has ended" in errors
    assert "Traceback" not in errors
    assert 2 == after.returncode
    assert "no compose project of" in after.stderr
    assert "docker compose -f" in after.stderr


def test_a_compose_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = cli(tmp_path, "ui", "none.yaml", "--no-browser")

    assert 2 == done.returncode
    assert "none.yaml does not exist" in done.stderr
