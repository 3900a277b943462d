"""What the API says of pods: whether they are ready, and why one of them cannot become so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.dapr.resources import mapping, sequence

Object = Mapping[str, Any]

NO_IMAGE = ("ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName")
"""Reasons why a container waits for its image; a first ErrImagePull may be the registry's."""

NOT_STARTED = ("ContainerCannotRun", "StartError")
"""Reasons why a container has ended before its program began."""

CRASHES = "CrashLoopBackOff"
KILLED_FOR_MEMORY = "OOMKilled"
AGAIN = 2
"""Restarts after which a container that has failed once more will not succeed by itself."""

_PASSING = re.compile(r"node\.kubernetes\.io/(not-ready|network-unavailable|unreachable)")
"""Taints that a node loses when it is ready."""


@dataclass(frozen=True)
class Problem:
    """Why a pod cannot become ready, whoever waits.

    Attributes:
        cause: the whole sentence but the end of the log.
        container: whose log tells more; "" if it has none.
        previous: whether this is the log of the container that ran before.
    """

    cause: str
    container: str = ""
    previous: bool = False


def name_of(pod: Object) -> str:
    """``namespace/name``."""
    metadata = mapping(pod.get("metadata"))
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def is_ready(pod: Object) -> bool:
    """Whether all its containers are ready, and it is not being deleted."""
    if mapping(pod.get("metadata")).get("deletionTimestamp"):
        return False
    return _condition(pod, "Ready").get("status") == "True"


def problem_of(pod: Object, events: Sequence[Object] = ()) -> Problem | None:
    """What keeps a pod from ever becoming ready; None if it may only need time.

    Args:
        pod: as the API has it.
        events: of its namespace, in any order.
    """
    scheduled = _condition(pod, "PodScheduled")
    said = str(scheduled.get("message") or "")
    if scheduled.get("reason") == "Unschedulable" and not _PASSING.search(said):
        # What follows says only that no other pod can make room.
        return Problem(f"pod {name_of(pod)} cannot be scheduled: {said.partition('. ')[0]}")
    for status in _containers(pod):
        if found := _of_container(pod, status, events):
            return found
    return None


def progress_of(pod: Object, events: Sequence[Object] = ()) -> str:
    """How far a pod is, in a few words, with the last warning about it."""
    waiting = [
        f"{each.get('name')} {_waits_for(each) or 'is not ready'}"
        for each in _containers(pod)
        if not each.get("ready")
    ]
    warned = _last_warning(pod, events)
    phase = str(mapping(pod.get("status")).get("phase") or "unknown")
    return f"{name_of(pod)}: {'; '.join(filter(None, [*waiting, warned])) or phase}"


def is_over(pod: Object) -> bool:
    """Whether it has done its work, or is being deleted."""
    deleted = mapping(pod.get("metadata")).get("deletionTimestamp")
    return bool(deleted) or mapping(pod.get("status")).get("phase") == "Succeeded"


def lack_of(workload: Object, events: Sequence[Object] = ()) -> str:
    """What a Deployment or a StatefulSet lacks, in a few words; "" if it lacks nothing.

    Args:
        workload: as the API has it.
        events: of its namespace: if a pod is refused, they tell why.
    """
    metadata, status = mapping(workload.get("metadata")), mapping(workload.get("status"))
    wanted = int(mapping(workload.get("spec")).get("replicas", 1))
    known = int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    counts = [int(status.get(each) or 0) for each in ("updatedReplicas", "readyReplicas")]
    if known and min(counts) >= wanted and int(status.get("replicas") or 0) == wanted:
        return ""
    name = str(metadata.get("name"))
    refused = _warnings([each for each in events if _makes_pods_of(each, name)])
    more = f": {refused[-1]}" if refused else ""
    return f"{metadata.get('namespace')}/{name}: {counts[1]} of {wanted} pods are ready{more}"


def _of_container(pod: Object, status: Object, events: Sequence[Object]) -> Problem | None:
    name = str(status.get("name"))
    where = f"container {name} of pod {name_of(pod)}"
    waiting = mapping(mapping(status.get("state")).get("waiting"))
    reason, said = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason in NO_IMAGE:
        more = _why(pod, events, status.get("image")) or said
        return Problem(f"{where} has no image {status.get('image')} ({reason}): {more}")
    ended, now = _last_end(status)
    if ended.get("reason") in NOT_STARTED:
        return Problem(f"{where} cannot be started: {ended.get('message')}")
    if ended.get("reason") == KILLED_FOR_MEMORY:
        told = f"{where} was killed because it needs more memory than its limit {_limit(pod, name)}"
        return Problem(f"{told} ({KILLED_FOR_MEMORY})", name, previous=not now)
    count = int(status.get("restartCount") or 0)
    if reason == CRASHES or (now and ended.get("exitCode") and count >= AGAIN):
        code = ended.get("exitCode")
        told = f"{where} ended with code {code} after {count} restart{'s' * (count != 1)}"
        return Problem(f"{told} ({CRASHES})", name, previous=not now)
    return None


def _containers(pod: Object) -> Iterator[Object]:
    status = mapping(pod.get("status"))
    for kind in ("initContainerStatuses", "containerStatuses"):
        yield from map(mapping, sequence(status.get(kind)))


def _condition(pod: Object, kind: str) -> Object:
    conditions = map(mapping, sequence(mapping(pod.get("status")).get("conditions")))
    return next((each for each in conditions if each.get("type") == kind), {})


def _waits_for(status: Object) -> str:
    waiting = mapping(mapping(status.get("state")).get("waiting"))
    facts = (str(waiting.get(each) or "") for each in ("reason", "message"))
    return ": ".join(each for each in facts if each)


def _last_end(status: Object) -> tuple[Object, bool]:
    """How a container has ended, and whether it has not been restarted since."""
    now = mapping(mapping(status.get("state")).get("terminated"))
    before = mapping(mapping(status.get("lastState")).get("terminated"))
    return (now, True) if now else (before, False)


def _limit(pod: Object, container: str) -> str:
    for each in map(mapping, sequence(mapping(pod.get("spec")).get("containers"))):
        if each.get("name") == container:
            limits = mapping(mapping(each.get("resources")).get("limits"))
            return str(limits.get("memory") or "of its pod")
    return "of its pod"


def _why(pod: Object, events: Sequence[Object], image: object) -> str:
    """The last warning that names the image."""
    told = [each for each in _warnings(_of_pod(pod, events)) if str(image) in each]
    return told[-1] if told else ""


def _last_warning(pod: Object, events: Sequence[Object]) -> str:
    told = _warnings(_of_pod(pod, events))
    return told[-1] if told else ""


def _makes_pods_of(event: Object, workload: str) -> bool:
    """Whether an event is about the creation of its pods: its own, or of its ReplicaSet."""
    about = mapping(event.get("involvedObject"))
    owner = str(about.get("name")).rpartition("-")[0]
    return event.get("reason") == "FailedCreate" and workload in (owner, about.get("name"))


def _of_pod(pod: Object, events: Sequence[Object]) -> list[Object]:
    uid = mapping(pod.get("metadata")).get("uid")
    return [each for each in events if mapping(each.get("involvedObject")).get("uid") == uid]


def _warnings(events: Sequence[Object]) -> list[str]:
    """The texts of warnings, the last one last."""
    found = [each for each in events if each.get("type") == "Warning"]
    return [str(each.get("message")) for each in sorted(found, key=_time)]


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
