"""What can be done to containers of pods, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import ConfigError
from harness.core.launch import InPod, Launch
from harness.kubernetes.api import Access
from harness.kubernetes.pod_instance import PodInstance
from harness.kubernetes.pod_runtime import Place, Pods

LAUNCHES = (
    Launch("web", (), under_test=True),
    Launch("web-daprd", (), in_pod=InPod("daprd", "web")),
    Launch("kafka", ()),
    Launch("scheduler", (), in_pod=InPod("s", "dapr-scheduler-server", "dapr-system")),
)


class Recorded(Pods):
    """Without a supervisor or a cluster: what would be asked of them is noted."""

    def __init__(self) -> None:
        def access(_launch: Launch, _home: Path) -> Access:
            raise AssertionError("no cluster is asked")

        self.use(Place("cluster", "shop", access, str), str)
        self.done: list[tuple[Any, ...]] = []
        self._launches = {each.name: each for each in LAUNCHES}
        self._lock = threading.Lock()
        self._instances = {each.name: PodInstance(self, each) for each in LAUNCHES}

    def operate(self, op: str, name: str, **facts: Any) -> dict[str, Any]:
        self.done.append((op, name))
        return {}

    def remove(self, instance: PodInstance) -> None:
        self.done.append(("remove", instance.name))

    def await_pod(self, instance: PodInstance) -> None:
        self.done.append(("await", instance.name))


@pytest.fixture
def runtime() -> Recorded:
    return Recorded()


def instance(runtime: Recorded, name: str) -> PodInstance:
    found = runtime._instances[name]
    assert isinstance(found, PodInstance)
    return found


@pytest.mark.parametrize("name", ["web", "web-daprd"])
def test_a_restart_of_a_container_is_one_of_its_pod_which_is_then_waited_for(
    runtime: Recorded, name: str
) -> None:
    """What creates the pod comes first: it removes the old one."""
    instance(runtime, name).restart()

    assert [("restart", "web"), ("restart", "web-daprd"), ("await", name)] == runtime.done
    assert all(instance(runtime, each).exit_expected for each in ("web", "web-daprd"))


def test_a_restart_without_grace_kills_the_pod_first(runtime: Recorded) -> None:
    instance(runtime, "web").restart(0)

    assert ("remove", "web") == runtime.done[0]


def test_a_killed_container_takes_its_pod_along(runtime: Recorded) -> None:
    instance(runtime, "web-daprd").kill()

    assert [("remove", "web-daprd"), ("kill", "web"), ("kill", "web-daprd")] == runtime.done


def test_at_the_end_of_the_run_pods_are_left_to_the_end_of_their_cluster(
    runtime: Recorded,
) -> None:
    runtime.ending = True

    instance(runtime, "web").stop()

    assert [("kill", "web")] == runtime.done


@pytest.mark.parametrize(
    ("act", "name", "reason"),
    [
        (PodInstance.restart, "kafka", "its data are in its pod, and a new pod has none"),
        (PodInstance.restart, "scheduler", "it belongs to the cluster"),
        (PodInstance.kill, "scheduler", "it belongs to the cluster"),
        (PodInstance.pause, "web", "a pod is restarted and killed as a whole"),
        (PodInstance.resume, "web", "a pod is restarted and killed as a whole"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_anything_is_done(
    runtime: Recorded, act: Callable[[PodInstance], None], name: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name} cannot be") as refused:
        act(instance(runtime, name))

    assert reason in str(refused.value)
    assert [] == runtime.done
