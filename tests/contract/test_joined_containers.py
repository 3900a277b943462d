"""A run on containers with two clients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness import LaunchError
from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import InContainer, Launch
from harness.runtime.attached import Run
from harness.runtime.base import State
from harness.runtime.containers.instance import ContainerInstance
from harness.runtime.containers.joined import JoinedContainers
from harness.runtime.containers.own_container import OwnContainer
from harness.runtime.containers.runtime import ContainerRuntime
from harness.stack.images import Images

pytestmark = pytest.mark.real

SLEEPER = Launch("sleeper", ("sleep", "300"), container=InContainer("app"), grace=0.5)


@pytest.fixture
def first(containers: ContainerRuntime) -> ContainerInstance:
    """The starter's instance of the only node."""
    containers.prepare([SLEEPER])
    made = containers.start(SLEEPER)
    assert isinstance(made, ContainerInstance)
    return made


@pytest.fixture
def joined(
    containers: ContainerRuntime, first: ContainerInstance, images: Images
) -> Iterator[JoinedContainers]:
    """A second client."""
    with second(containers, images) as client:
        client.prepare([SLEEPER])
        yield client


def second(
    containers: ContainerRuntime, images: Images, *, all_running: bool = False
) -> JoinedContainers:
    run = Run(containers.folder, containers.owner, lambda _: None, all_running)
    path = {"PATH": os.environ["PATH"]}
    return JoinedContainers(run, path, images.reference, images.user)


def test_a_restart_by_one_client_is_seen_by_the_other(
    first: ContainerInstance, joined: JoinedContainers
) -> None:
    """The container has a new process, and the old one's exit was expected."""
    old = first.pid
    theirs = joined.start(SLEEPER)
    assert old == theirs.pid

    theirs.restart()

    assert poll(lambda: Observation(first.pid == theirs.pid), Deadline(30)).ok
    assert old != first.pid
    assert [None, None] == [first.exit_code, theirs.exit_code]


def test_a_new_container_of_a_node_replaces_that_of_the_other_client(
    containers: ContainerRuntime, images: Images
) -> None:
    """It is in the same pod, and both clients act on it and see its exit."""
    podded = replace(SLEEPER, container=InContainer("app", pod="pod"))
    containers.prepare([podded])
    ours = containers.start(podded)
    assert isinstance(ours, OwnContainer)
    with second(containers, images) as client:
        client.prepare([podded])
        theirs = client.start(podded)
        assert isinstance(theirs, OwnContainer)
        theirs.stop()
        theirs.relaunch(replace(podded, argv=("sleep", "301")))
        assert poll(lambda: Observation(ours.pid == theirs.pid), Deadline(30)).ok

        ours.restart()
        assert poll(lambda: Observation(ours.pid == theirs.pid), Deadline(30)).ok
        ours.kill()

        assert poll(lambda: Observation(theirs.state is State.EXITED), Deadline(30)).ok


def test_a_kill_by_another_client_is_a_death_that_names_it(
    first: ContainerInstance, joined: JoinedContainers
) -> None:
    """As on the processes runtime."""
    joined.start(SLEEPER).kill()

    assert poll(lambda: Observation(first.state is State.EXITED), Deadline(30)).ok
    assert not first.exit_expected
    assert first.exit_reason.startswith("kill was requested by ")


def test_a_client_that_joins_later_sees_that_a_node_is_paused(
    containers: ContainerRuntime, first: ContainerInstance, images: Images
) -> None:
    """And can resume it."""
    first.pause()
    with second(containers, images, all_running=True) as client:
        client.prepare([SLEEPER])
        with pytest.raises(LaunchError, match="sleeper is paused in the stack"):
            client.start(SLEEPER)
    with second(containers, images) as client:
        client.prepare([SLEEPER])
        theirs = client.start(SLEEPER)
        assert isinstance(theirs, ContainerInstance)
        theirs.resume()

        assert poll(lambda: Observation(not first.frozen), Deadline(30)).ok


def test_what_a_client_adds_runs_beside_the_others(
    first: ContainerInstance, joined: JoinedContainers
) -> None:
    """On the run's own network, and it can be stopped again."""
    added = joined.start(Launch("added", ("sleep", "300"), container=InContainer("app"), grace=0.5))

    assert added.exit_code is None
    added.stop()
    assert State.EXITED is added.state
    assert first.exit_code is None
