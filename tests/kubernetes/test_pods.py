"""What is concluded from pods and events, as a cluster of Kubernetes 1.34 has reported them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.kubernetes.pods import is_over, is_ready, lack_of, problem_of, progress_of

RECORDED = json.loads((Path(__file__).parent / "recorded_pods.json").read_text())
EVENTS = RECORDED["events"]


def pod(name: str) -> dict[str, Any]:
    """A copy of a recorded pod."""
    found: dict[str, Any] = copy.deepcopy(RECORDED["pods"][name])
    return found


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        (
            "unschedulable",
            (
                "pod broken/unschedulable cannot be scheduled: 0/1 nodes are available: "
                "1 Insufficient cpu"
            ),
        ),
        (
            "never-pulled",
            (
                "container app of pod broken/never-pulled has no image shop:1 (ErrImageNeverPull): "
                'Container image "shop:1" is not present with pull policy of Never'
            ),
        ),
        (
            "out-of-memory",
            (
                "container app of pod broken/out-of-memory was killed because it needs more memory "
                "than its limit 16Mi (OOMKilled)"
            ),
        ),
        (
            "crashing-waiting",
            (
                "container app of pod broken/crashing ended with code 3 after 4 restarts "
                "(CrashLoopBackOff)"
            ),
        ),
        (
            "init-crashing",
            (
                "container first of pod broken/init-crashing ended with code 1 after 3 restarts "
                "(CrashLoopBackOff)"
            ),
        ),
    ],
)
def test_the_cause_is_one_sentence(name: str, cause: str) -> None:
    problem = problem_of(pod(name), EVENTS)

    assert problem is not None
    assert cause == problem.cause


def test_why_an_image_could_not_be_pulled_comes_from_the_events() -> None:
    """While kubelet waits, the pod says only that it does."""
    waiting = pod("not-pulled")
    (status,) = waiting["status"]["containerStatuses"]
    said = 'Back-off pulling image "registry.invalid/shop:1"'
    status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": said}}

    problem = problem_of(waiting, EVENTS)

    assert problem is not None
    assert "(ImagePullBackOff)" in problem.cause
    assert "connect: network is unreachable" in problem.cause


def test_a_first_failure_to_pull_is_not_the_end() -> None:
    """The registry may answer the next time."""
    assert problem_of(pod("not-pulled"), EVENTS) is None


def test_an_image_that_has_no_valid_name_is_told() -> None:
    problem = problem_of(pod("invalid-image"), EVENTS)

    assert problem is not None
    assert "repository name (library/Shop) must be lowercase" in problem.cause


def test_a_program_that_is_not_in_its_image_is_told_with_its_path() -> None:
    problem = problem_of(pod("without-program"), EVENTS)

    assert problem is not None
    assert "/bin/missing: no such file or directory" in problem.cause


@pytest.mark.parametrize("name", ["crashing", "out-of-memory"])
def test_a_container_that_has_just_ended_again_tells_more_itself(name: str) -> None:
    """Its own log, and not that of the one before it."""
    problem = problem_of(pod(name))

    assert problem is not None
    assert ("app", False) == (problem.container, problem.previous)


@pytest.mark.parametrize("name", ["crashing-waiting", "out-of-memory-waiting"])
def test_a_container_that_waits_for_its_restart_has_a_log_of_before(name: str) -> None:
    problem = problem_of(pod(name))

    assert problem is not None
    assert ("app", True) == (problem.container, problem.previous)


def test_a_container_that_has_failed_once_may_succeed() -> None:
    """As when what it connects to is started at the same time."""
    once = pod("crashing")
    once["status"]["containerStatuses"][0]["restartCount"] = 0

    assert problem_of(once, EVENTS) is None


def test_a_node_that_is_not_ready_yet_is_waited_for() -> None:
    early = pod("unschedulable")
    (condition,) = early["status"]["conditions"]
    taint = "{node.kubernetes.io/not-ready: }"
    condition["message"] = f"0/1 nodes are available: 1 node(s) had untolerated taint {taint}."

    assert problem_of(early, EVENTS) is None


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("unready", "Readiness probe failed: HTTP probe failed with statuscode: 404"),
        ("without-volume", 'configmap "missing" not found'),
        ("without-secret", 'app CreateContainerConfigError: secret "shop" not found'),
    ],
)
def test_what_may_still_change_is_a_fact_and_no_problem(name: str, fact: str) -> None:
    assert problem_of(pod(name), EVENTS) is None
    assert fact in progress_of(pod(name), EVENTS)


def test_the_events_of_other_pods_are_not_told() -> None:
    assert "missing" not in progress_of(pod("unready"), EVENTS)


def test_a_pod_is_ready_with_all_its_containers_until_it_is_deleted() -> None:
    """While it ends, its conditions still say that it is ready."""
    deleted = pod("deleting")

    assert is_ready(pod("ready"))
    assert not is_over(pod("ready"))
    assert not is_ready(pod("unready"))
    assert not is_ready(deleted)
    assert is_over(deleted)


def deployment(**status: int) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, **status},
    }


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"readyReplicas": 2}, True),
        ({"readyReplicas": 1}, False),
        ({"readyReplicas": 2, "observedGeneration": 1}, False),
        ({"readyReplicas": 2, "updatedReplicas": 1}, False),
        ({"readyReplicas": 2, "replicas": 3}, False),
        ({}, False),
    ],
)
def test_a_workload_is_ready_when_its_newest_pods_are(status: dict[str, int], ready: bool) -> None:
    assert ready is (lack_of(deployment(**status)) == "")


def test_a_workload_whose_pods_are_refused_tells_why() -> None:
    """Such as by a webhook that does not answer; there is no pod that could tell it."""
    refused = {
        "type": "Warning",
        "reason": "FailedCreate",
        "involvedObject": {"kind": "ReplicaSet", "name": "web-7c6bb58dc9"},
        "message": 'Internal error occurred: failed calling webhook "sidecar-injector.dapr.io"',
    }
    other = {**refused, "involvedObject": {"name": "web-site-6d5f"}, "message": "other"}

    said = lack_of(deployment(replicas=0), [refused, other])

    assert said.startswith("shop/web: 0 of 2 pods are ready: Internal error occurred")
    assert "other" not in said
