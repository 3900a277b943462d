"""The same commands on containers, with the same output; and a compose project of that stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.core.deadline import Deadline, Observation, poll
from harness.ready.loopback import ask
from harness.render.compose.project import SECRETS, read_env
from harness.stack.images import Images
from scenarios.signing import bearer
from tests.engine import left_of
from tests.projects import HELLO_APP, MINI
from tests.support import ROOT, cli, leftovers, project

pytestmark = pytest.mark.real

COMPOSE = ROOT / "compose" / "compose.yaml"
EVERYWHERE = HELLO_APP.replace('"127.0.0.1"', '"0.0.0.0"')


@pytest.fixture
def contained(mini: Path, images: Images) -> Path:
    """The small project, with an app that listens where containers must."""
    return project(mini, hello_py=EVERYWHERE)


def run_of(folder: Path) -> str:
    """The id of the run that is up."""
    row = json.loads(cli(folder, "status", "--json").stdout)[0]
    return Path(row["folder"]).name


def test_up_status_logs_down(contained: Path) -> None:
    """As on processes; afterwards the engine has nothing of it."""
    up = cli(contained, "up", "--runtime", "containers")
    run = run_of(contained)
    status = cli(contained, "status")
    row = json.loads(cli(contained, "status", "--json").stdout)[0]
    app = next(node for node in row["nodes"] if node["name"] == "hello")
    answer = ask("GET", f"http://{app['endpoints']['main']}/")
    logs = cli(contained, "logs", "hello")
    down = cli(contained, "down")

    assert 0 == up.returncode, up.stderr
    assert re.search(r"stack 'default' is up after [\d.]+ s: 4 nodes", up.stdout)
    assert "hello" == answer.text
    assert "on containers" in status.stdout
    assert ("containers", {"running", "healthy"}) == (
        row["runtime"], {node["state"] for node in row["nodes"]},
    )  # fmt: skip
    assert "asked /" in logs.stdout
    assert "4 nodes" in down.stdout
    assert [] == left_of(run, within=0)
    assert [] == leftovers(contained)


def test_status_tells_what_the_engine_knows(contained: Path) -> None:
    """A killed container, a paused one, and a sidecar that cannot respond."""
    assert 0 == cli(contained, "up", "--runtime", "containers").returncode
    prefix = f"dapr-harness-{run_of(contained)}"

    subprocess.run(["docker", "kill", f"{prefix}-placement"], check=True, capture_output=True)
    subprocess.run(["docker", "pause", f"{prefix}-scheduler"], check=True, capture_output=True)
    subprocess.run(["docker", "stop", f"{prefix}-hello"], check=True, capture_output=True)
    rows = json.loads(cli(contained, "status", "--json").stdout)[0]["nodes"]
    cli(contained, "down")

    states = {row["name"]: row["state"] for row in rows}
    assert {"placement": "exited", "scheduler": "paused", "hello": "exited"} == {
        name: states[name] for name in ("placement", "scheduler", "hello")
    }


def test_a_container_that_ends_at_once_shows_its_last_lines(contained: Path) -> None:
    """The system under test failed: exit code 1, its own words, nothing left."""
    project(contained, hello_py="import sys\nprint('no such luck')\nsys.exit(5)\n")

    up = cli(contained, "up", "--runtime", "containers")

    assert 1 == up.returncode
    assert "hello exited with code 5" in up.stderr
    assert "no such luck" in up.stderr
    assert [] == leftovers(contained)


def test_an_app_on_the_host_that_listens_on_loopback_only(contained: Path) -> None:
    """Its sidecar, in a container, could not reach it: the address it must listen on."""
    text = MINI.replace('"{port}"])', '"{port}"], on_host=True)')
    project(contained, hello_py=HELLO_APP, topology_py=text)

    up = cli(contained, "up", "--runtime", "containers")

    assert 1 == up.returncode
    assert re.search(r"expected: an app that listens on (172|192)\.\d+\.\d+\.1:\d+", up.stderr)
    assert "bind APP_HOST and APP_PORT" in up.stderr
    assert [] == leftovers(contained)


def test_an_image_of_another_version_is_noticed(contained: Path, images: Images) -> None:
    """The version that daprd reports is compared with the tag of its image."""
    wrong = "dapr-harness/test-daprd:9.9.9"
    subprocess.run(["docker", "tag", images.reference("daprd"), wrong], check=True)
    try:
        up = cli(
            contained, "up", "--runtime", "containers", env={"DAPR_HARNESS_IMAGE_DAPRD": wrong}
        )
    finally:
        subprocess.run(["docker", "rmi", wrong], capture_output=True)

    assert 4 == up.returncode
    assert "expected: Dapr 9.9.9" in up.stderr
    assert "DAPR_HARNESS_IMAGE_DAPRD" in up.stderr


def test_a_missing_engine_is_reported_at_once(mini: Path) -> None:
    """A prerequisite is missing: exit code 3, reported at once."""
    nowhere = {"DOCKER_HOST": f"unix://{mini / 'nowhere.sock'}"}

    up = cli(mini, "up", "--runtime", "containers", env=nowhere)
    listed = cli(mini, "images", "list", env=nowhere)
    doctor = cli(mini, "doctor", env=nowhere)
    stale = cli(mini, "down", "--stale", env=nowhere)

    assert (3, 3, 0, 0) == tuple(each.returncode for each in (up, listed, doctor, stale))
    assert "no container engine answers" in up.stderr
    assert "no container engine answers" in doctor.stdout


def test_redpanda_needs_containers(mini: Path) -> None:
    """Without an engine, the error proposes another broker."""
    nowhere = {"DOCKER_HOST": f"unix://{mini / 'nowhere.sock'}"}
    text = "from harness import Redpanda, Topology\nmini = Topology(Redpanda())\n"
    project(mini, topology_py=text)

    chosen = cli(mini, "up", env=nowhere)
    forced = cli(mini, "up", "--runtime", "processes", env=nowhere)

    assert (3, 3) == (chosen.returncode, forced.returncode)
    assert "no container engine answers" in chosen.stderr
    assert "Redpanda runs in containers only" in forced.stderr


def test_images_are_listed_and_built_once(images: Images, tmp_path: Path) -> None:
    """A second build finds everything up to date; images that cannot be built are named."""
    listed = json.loads(cli(tmp_path, "images", "list", "--json").stdout)
    build = cli(tmp_path, "images", "build", "--missing", timeout=300)
    again = cli(tmp_path, "images", "build", "--missing")
    redpanda = cli(tmp_path, "images", "build", "redpanda")

    assert {"kafka", "postgres", "daprd", "app", "redpanda"} <= {row["name"] for row in listed}
    assert (0, 0, 3) == (build.returncode, again.returncode, redpanda.returncode)
    assert "built" not in again.stdout.replace("up to date", "")
    assert "DAPR_HARNESS_IMAGE_REDPANDA" in redpanda.stderr


# ---- compose ----------------------------------------------------------------------------------


def test_the_compose_project_is_what_the_topology_renders() -> None:
    """The committed files; a hand-made change or a changed topology is drift."""
    done = cli(ROOT, "render", "compose", "--check")

    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize("damage", ["changed", "missing", "extra"])
def test_drift_of_a_compose_project_is_reported(tmp_path: Path, damage: str) -> None:
    """By file, with the command that mends it."""
    folder = tmp_path / "compose"
    assert 0 == cli(ROOT, "render", "compose", "--folder", str(folder)).returncode
    file = {
        "changed": folder / "compose.yaml",
        "missing": folder / "app.Dockerfile",
        "extra": folder / "frontend-daprd" / "resources" / "x.yaml",
    }[damage]
    if damage == "missing":
        file.unlink()
    else:
        file.write_text("services: {}\n")

    done = cli(ROOT, "render", "compose", "--folder", str(folder), "--check")

    assert 2 == done.returncode
    assert str(file.relative_to(folder)) in done.stderr
    assert "dapr-harness render compose" in done.stderr


def test_a_compose_project_holds_no_secret(tmp_path: Path) -> None:
    """They are in a file that only its owner reads and git ignores; kept when asked again."""
    folder = tmp_path / "compose"
    cli(ROOT, "render", "compose", "--folder", str(folder))
    cli(ROOT, "render", "compose", "--folder", str(folder), "--secrets")
    first = (folder / ".env").read_text()
    cli(ROOT, "render", "compose", "--folder", str(folder), "--secrets")
    ignored = subprocess.run(["git", "check-ignore", "compose/.env"], cwd=ROOT, capture_output=True)

    values = dict(row.split("=", 1) for row in first.splitlines())
    assert first == (folder / ".env").read_text()
    assert 0o600 == (folder / ".env").stat().st_mode & 0o777
    assert 0 == ignored.returncode
    written = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    for name in ("POSTGRES_PASSWORD", "DAPR_API_TOKEN", "APP_API_TOKEN"):
        assert 1 == sum(values[name] in text for text in written)


def test_two_folders_hold_two_compose_projects(tmp_path: Path) -> None:
    """Both are called compose: each is its own project, and stays it when asked again."""
    names = []
    for parent in ("one", "other", "one"):
        folder = tmp_path / parent / "compose"
        cli(ROOT, "render", "compose", "--folder", str(folder))
        assert 0 == cli(ROOT, "render", "compose", "--folder", str(folder), "--secrets").returncode
        names.append(read_env(folder / ".env")["COMPOSE_PROJECT_NAME"])

    assert names[0] == names[2] != names[1]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]+", name) for name in names)


def test_the_name_of_a_project_that_is_there_is_kept(tmp_path: Path) -> None:
    """Secrets of a time without a name: the project is called as Compose calls it."""
    folder = tmp_path / "compose"
    cli(ROOT, "render", "compose", "--folder", str(folder))
    (folder / ".env").write_text("POSTGRES_PASSWORD=kept\n")
    cli(ROOT, "render", "compose", "--folder", str(folder), "--secrets")

    assert "COMPOSE_PROJECT_NAME" not in read_env(folder / ".env")


def test_an_app_that_listens_on_its_own_loopback_only(mini: Path, images: Images) -> None:
    """It cannot be reached from outside its container; the error names the address to listen on."""
    impatient = {"DAPR_HARNESS_READY_TIMEOUT": "4"}

    up = cli(mini, "up", "--runtime", "containers", env=impatient)

    assert 1 == up.returncode, up.stderr
    assert "hello did not pass the readiness check 'port'" in up.stderr
    assert "it must listen on APP_HOST" in up.stderr


def composer() -> list[str]:
    """Compose v2 where it is, else docker-compose."""
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return ["docker", "compose"] if v2.returncode == 0 else ["docker-compose"]


@pytest.fixture
def composed(images: Images) -> Iterator[Path]:
    """The committed project, up."""
    if shutil.which(composer()[0]) is None:
        pytest.skip("neither `docker compose` nor docker-compose is installed")
    command = [*composer(), "-f", str(COMPOSE)]
    env = {key: value for key, value in os.environ.items() if not key.startswith("DAPR_HARNESS_")}
    assert 0 == cli(ROOT, "render", "compose", "--secrets").returncode
    # What a run that was cut off has left would be taken over.
    subprocess.run([*command, "down", "-v"], env=env, check=True, capture_output=True)
    try:
        up = subprocess.run([*command, "up", "-d"], env=env, capture_output=True, text=True)
        assert 0 == up.returncode, up.stdout + up.stderr
        yield COMPOSE
    finally:
        subprocess.run([*command, "down", "-v"], env=env, check=True, capture_output=True)


def first_notification(backend: str, other_port: str) -> str:
    """What the notification service says of a first task."""
    notifications = backend.replace("8001", other_port) + "/api/alone/notifications"
    headers = bearer(read_env(COMPOSE.parent / SECRETS)["BETTER_AUTH_SECRET"], "alone")

    def created() -> Observation:
        url = f"{backend}/api/alone/tasks"
        answer = ask("POST", url, json={"title": "alone"}, headers=headers)
        return Observation(answer.status_code == 201, answer.text)

    def notified() -> Observation:
        found = ask("GET", notifications, headers=headers).json()
        return Observation(bool(found), found[0]["message"] if found else "none")

    assert poll(created, Deadline(60)).ok
    return poll(notified, Deadline(30)).fact


@pytest.mark.timeout(900)
def test_the_scenarios_pass_on_the_compose_project(composed: Path) -> None:
    """Started without the harness; every service keeps running when the tests are over."""
    # Nobody has created a topic yet.
    assert "Task created: alone" == first_notification("http://127.0.0.1:8001", "8003")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "scenarios", "--dapr-attach", str(composed),
         "-m", "not own_stack and not any_runtime"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    listed = [*composer(), "-f", str(composed), "ps", "-q"]
    running = subprocess.run(listed, capture_output=True, text=True).stdout.split()

    assert 0 == done.returncode, done.stdout[-3000:]
    assert re.search(r"\n\d\d+ passed", done.stdout)
    assert len(yaml.safe_load(composed.read_text())["services"]) == len(running)


def attaching(*options: str) -> str:
    """What a pytest that cannot attach says."""
    command = [sys.executable, "-m", "pytest", "-q", "scenarios/test_invocation.py", "-x"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert 0 != done.returncode
    return done.stdout + done.stderr


def test_attaching_to_a_project_that_is_not_up(images: Images, tmp_path: Path) -> None:
    """The error says how to start it."""
    folder = tmp_path / "compose"
    cli(ROOT, "render", "compose", "--folder", str(folder))
    cli(ROOT, "render", "compose", "--folder", str(folder), "--secrets")

    said = attaching("--dapr-attach", str(folder / "compose.yaml"))

    assert "is up" in said
    assert "docker compose -f" in said


def test_attaching_to_a_missing_file_or_with_conflicting_options_is_rejected(
    tmp_path: Path,
) -> None:
    """A missing file, or conflicting options: rejected without contacting an engine."""
    missing = attaching("--dapr-attach", str(tmp_path / "none.yaml"))
    both = attaching("--dapr-attach", str(tmp_path / "none.yaml"), "--dapr-runtime=containers")

    assert "none.yaml does not exist" in missing
    assert "leave out --dapr-runtime" in both
