"""A process without a sidecar, on each runtime."""

from __future__ import annotations

import sys

import pytest

from harness import ConfigError, Process, Settings, Topology, World, running
from harness.core.deadline import Deadline, Observation, poll

VISIT = """
import os, urllib.request
print("site said", urllib.request.urlopen(os.environ["URL"]).status, flush=True)
"""
"""A job: it looks at another process once, and ends."""


@pytest.mark.real
@pytest.mark.timeout(400)
@pytest.mark.parametrize("runtime", ["processes", "containers"])
def test_processes_find_each_other_without_a_sidecar(
    runtime: str, request: pytest.FixtureRequest
) -> None:
    """One listens and is asked, by the job and from here; nothing of Dapr is started."""
    if runtime == "containers":
        request.getfixturevalue("images")
    serve = [sys.executable, "-m", "http.server", "{port}", "--bind", "{host}"]
    topology = Topology(
        Process("site", serve, health="/", image="app"),
        Process(
            "visitor",
            [sys.executable, "-c", VISIT],
            env={"URL": "${site.url}"},
            image="app",
            exit_ok=True,
        ),
    )
    with running(topology, Settings.load(runtime=runtime)) as stack, World(stack) as world:
        log = stack.instances["visitor"].log
        said = poll(lambda: Observation("site said 200" in log.read_text()), Deadline(60))

        assert said.ok, log.read_text()
        assert 200 == world.app("site").get("/").status_code
        stack.check_alive()
        assert {"site", "visitor"} == {*stack.instances}


def test_a_process_without_a_command_or_port_is_rejected() -> None:
    """A command, and a port for its health path."""
    with pytest.raises(ConfigError, match="process 'p' has no command"):
        Process("p", "")
    with pytest.raises(ConfigError, match=r"health path but no port(.|\n)*put \{port\}"):
        Process("p", "serve", health="/ready")
    assert Process("p", "serve --port={port}", health="/ready").listens
    assert not Process("p", "work").listens
