"""``up --external``: one app is started by hand while the rest of the stack is up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from tests.support import CLI, cli, environment

pytestmark = pytest.mark.real

TEST = """
def test_it(dapr_sync):
    assert "hello" == dapr_sync.sidecar("hello").invoke("hello", "x", verb="GET").text
"""


def test_an_app_is_started_by_hand_with_the_environment_of_a_file(mini: Path) -> None:
    """The stack is up when it has come; tests attach, and no command acts on it."""
    (mini / "test_it.py").write_text(TEST)
    env_file = mini / "hello.env"
    with subprocess.Popen(
        [*CLI, "up", "--external", "hello", "--env-file", str(env_file), "--json"],
        cwd=mini, env=environment(mini), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as up:  # fmt: skip
        assert poll(lambda: Observation(env_file.exists()), Deadline(60)).ok
        values = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
        with subprocess.Popen([sys.executable, "hello.py", values["APP_PORT"]], cwd=mini) as app:
            try:
                printed, said = up.communicate(timeout=60)
                tests = subprocess.run(
                    [sys.executable, "-m", "pytest", "-q", "test_it.py", "--dapr-attach"],
                    cwd=mini, env=environment(mini), capture_output=True, text=True, timeout=60,
                )  # fmt: skip
                killed = cli(mini, "kill", "hello")
                (row,) = json.loads(cli(mini, "status", "--json").stdout)
                alive = app.poll() is None
                down = cli(mini, "down")
                outlived = app.poll() is None
            finally:
                app.kill()

    assert 0 == up.returncode, said
    assert "hello" in {node["name"] for node in json.loads(printed)["nodes"]}
    assert "waiting for hello; start it with: " in said
    assert 0o600 == env_file.stat().st_mode & 0o777
    assert {"APP_ID", "DAPR_HTTP_PORT", "DAPR_API_TOKEN"} <= set(values)
    assert 0 == tests.returncode, tests.stdout
    assert "external" == next(n["state"] for n in row["nodes"] if n["name"] == "hello")
    assert (2, 0) == (killed.returncode, down.returncode)
    assert "hello is external: the stack has not started it" in killed.stderr
    assert (True, True) == (alive, outlived)


def test_an_app_that_the_topology_has_not_is_refused_at_once(mini: Path) -> None:
    """Nothing is started."""
    done = cli(mini, "up", "--external", "helo")

    assert 2 == done.returncode
    assert "'helo' is not an app of the topology" in done.stderr
    assert "did you mean 'hello'?" in done.stderr
