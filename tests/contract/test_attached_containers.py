"""Containers of a project that was started without the harness, with two clients."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import Launch
from harness.runtime.base import Changeable, State
from harness.runtime.containers.attached import (
    PROJECT,
    SERVICE,
    WORKING_DIR,
    AttachedRuntime,
)
from harness.runtime.containers.instance import ContainerInstance
from harness.stack.images import Images

pytestmark = pytest.mark.real

SLEEPER = Launch("sleeper", ("sleep", "300"), grace=0.5)


@pytest.fixture
def clients(images: Images, tmp_path: Path) -> Iterator[list[AttachedRuntime]]:
    """Each has a supervisor of its own, and knows nothing of the other."""
    labels = {
        PROJECT: f"test-{secrets.token_hex(4)}",
        SERVICE: "sleeper",
        WORKING_DIR: str(tmp_path),
    }
    containers = images.engine.client.containers
    command = list(SLEEPER.argv)
    container = containers.run(images.reference("app"), command, labels=labels, detach=True)
    try:
        path = {"PATH": os.environ["PATH"]}
        with AttachedRuntime(path, tmp_path) as one, AttachedRuntime(path, tmp_path) as other:
            yield [one, other]
    finally:
        container.remove(force=True)


def test_a_restart_by_another_client_is_followed(clients: list[AttachedRuntime]) -> None:
    """Whether its exit was seen before or is told afterwards; a real one is still a death."""
    ours, theirs = (each.start(SLEEPER) for each in clients)

    def is_seen(state: State) -> bool:
        return poll(lambda: Observation(ours.state is state), Deadline(30)).ok

    theirs.restart()
    assert is_seen(State.EXITED)
    clients[0].catch_up()
    assert is_seen(State.RUNNING)
    assert theirs.pid == ours.pid
    ours.ended(0, at=1)
    assert ours.exit_code is None
    theirs.kill()
    assert is_seen(State.EXITED)
    clients[0].catch_up()
    assert ours.exit_code is not None


def test_a_container_of_somebody_else_has_no_files_to_change(
    clients: list[AttachedRuntime],
) -> None:
    """They come from files of the project."""
    found = clients[0].start(SLEEPER)
    assert isinstance(found, ContainerInstance)
    assert not isinstance(found, Changeable)
