"""What tests of the containers runtime share: the engine, and looking for what was left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import Unavailable
from harness.core.settings import Settings
from harness.runtime.containers import agent
from harness.runtime.containers.engine import Engine
from harness.runtime.containers.runtime import ContainerRuntime
from harness.stack.images import Images

NEEDED = ("app", "kafka", "postgres", "daprd", "placement", "scheduler", "sentry")
"""The images without which no test that uses the engine runs."""


def engine_obstacle() -> str:
    """Why tests with containers cannot run here, in one line; "" when they can.

    Nothing is pulled: tests/provision.py has done that before the first test.
    """
    try:
        with Engine() as engine:
            images = Images(Settings.load(), engine=engine)
            missing = [name for name in NEEDED if images.find(name).origin == "missing"]
    except Unavailable as error:
        return error.subject
    hint = "no registry has them; run `dapr-harness images build`"
    return f"images are missing: {', '.join(missing)}; {hint}" if missing else ""


def container_runtime(images: Images) -> ContainerRuntime:
    """A runtime as `harness.running` makes it."""
    return ContainerRuntime({"PATH": os.environ["PATH"]}, images.reference, images.user)


def left_of(run: str, *, within: float) -> list[str]:
    """What the engine still has of a run after that many seconds: ids, as the engine lists them."""

    def look() -> Observation:
        found = everything({"label": f"{agent.RUN_LABEL}={run}"})
        return Observation(not found, "\n".join(found))

    seen = poll(look, Deadline(within))
    return [] if seen.ok else seen.fact.splitlines()


def everything(filters: Mapping[str, str]) -> list[str]:
    """Containers, networks and volumes, asked past the harness by the docker command."""
    words = [word for key, value in filters.items() for word in ("--filter", f"{key}={value}")]
    found: list[str] = []
    for listing in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
        done = subprocess.run(
            ["docker", *listing, "-q", *words], capture_output=True, text=True, check=True
        )
        found += [f"{listing[0]} {line}" for line in done.stdout.splitlines()]
    return found
