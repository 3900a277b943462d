"""The users of the reference system under Locust itself, against a stack that is up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.endpoint import LOOPBACK
from harness.core.ports import free_port
from harness.load.generate.generator import master_words
from tests.load.test_truth import printed, read
from tests.support import CLI, ROOT, environment, leftovers

pytestmark = pytest.mark.real

LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "locustfile.py")]
USERS = ["publish", "publish by gRPC", "publish a notification", "state transaction"]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The reference system and its sink, left up; the environment in which it is found."""
    env = environment(tmp_path)

    def run(*words: str) -> None:
        done = subprocess.run([*CLI, *words], cwd=ROOT, env=env, capture_output=True, text=True)
        assert 0 == done.returncode, done.stderr

    run(
        "up", "--topology", "loadtests.topology:load", "--runtime", "processes", "--broker", "kafka"
    )
    yield env
    run("down")
    assert [] == leftovers(tmp_path)


def test_two_processes_without_a_page(up: dict[str, str], tmp_path: Path) -> None:
    """Totals are the sum of the parts, for us and for Locust."""
    file = tmp_path / "r.json"
    done = subprocess.run(
        [*LOCUST, "--headless", "--only-summary", "-u", "16", "-r", "16", "-t", "30s", "--json",
         "--processes", "2", *master_words(), "--rate", "10", "--lanes", "2", "--steps", "[[1, 5]]",
         "--results", str(file), "--exit-code-on-error", "0"],
        cwd=ROOT, env=up, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found, rows = read(file), printed(done.stdout)

    assert {*USERS} <= found.keys() == rows.keys()
    for name, row in found.items():
        counted = rows[name]["num_requests"], rows[name]["num_failures"]
        assert row.offered == row.ok + row.failed == row.intended["count"], (name, row.errors)
        assert (row.offered, row.failed) == counted
        assert row.ok > 0


def test_users_run_from_the_web_page_of_locust(up: dict[str, str], tmp_path: Path) -> None:
    """Started and stopped from there; what it shows are our users' requests."""
    port, log = free_port(), tmp_path / "locust.log"
    page = f"http://{LOOPBACK}:{port}"
    words = ["--web-host", LOOPBACK, "--web-port", str(port), "--rate", "20"]
    with (
        log.open("w") as said,
        subprocess.Popen([*LOCUST, *words], cwd=ROOT, env=up, stderr=said) as locust,
        httpx.Client(base_url=page, trust_env=False) as client,
    ):
        try:
            assert poll(lambda: _answers(client), Deadline(30)).ok
            assert "<title>Locust</title>" in client.get("/").text
            swarm = {"user_count": 8, "spawn_rate": 8, "host": "http://127.0.0.1"}
            assert client.post("/swarm", data=swarm).json()["success"]
            seen = poll(lambda: _shown(client), Deadline(30))
            assert seen.ok, seen.fact
            assert client.post("/stop").json()["success"]
        finally:
            locust.terminate()
    assert 0 == locust.returncode, log.read_text()


def _answers(client: httpx.Client) -> Observation:
    try:
        return Observation(client.get("/").status_code == 200)
    except httpx.TransportError as error:
        return Observation(False, str(error))


def _shown(client: httpx.Client) -> Observation:
    stats: list[dict[str, Any]] = client.get("/stats/requests").json()["stats"]
    rows = {row["name"]: (row["num_requests"], row["num_failures"]) for row in stats}
    counted = all(rows.get(name, (0, 0))[0] > 5 and rows[name][1] == 0 for name in USERS)
    return Observation(counted, f"{rows}")
