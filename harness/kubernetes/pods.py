"""What the API says of pods: whether they are ready, and why one of them cannot become so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.dapr.resources import mapping, sequence

Object = Mapping[str, Any]

NO_IMAGE = (
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
)
"""Reasons why a container waits for its image."""

NOT_MADE = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "PreCreateHookError",
    "RunContainerError",
)
"""Reasons why a container cannot be created or started."""

CRASHES = "CrashLoopBackOff"
KILLED_FOR_MEMORY = "OOMKilled"

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
        return Problem(f"pod {name_of(pod)} cannot be scheduled: {said}")
    for status in _containers(pod):
        if found := _of_container(pod, status, events):
            return found
    return None


def progress_of(pod: Object, events: Sequence[Object] = ()) -> str:
    """How far a pod is, in a few words, with the last warning about it."""
    waiting = [
        f"{each.get('name')} {_reason(each) or 'is not ready'}"
        for each in _containers(pod)
        if not each.get("ready")
    ]
    phase = str(mapping(pod.get("status")).get("phase") or "unknown")
    warned = _last_warning(pod, events)
    told = "; ".join([*waiting, *([warned] if warned else [])]) or phase
    return f"{name_of(pod)}: {told}"


def _of_container(pod: Object, status: Object, events: Sequence[Object]) -> Problem | None:
    name = str(status.get("name"))
    where = f"container {name} of pod {name_of(pod)}"
    waiting = mapping(mapping(status.get("state")).get("waiting"))
    reason, said = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason in NO_IMAGE:
        more = _why(pod, events, "Failed", status.get("image")) or said
        return Problem(f"{where} has no image {status.get('image')} ({reason}): {more}")
    if reason in NOT_MADE:
        return Problem(f"{where} cannot be started ({reason}): {said}")
    ended, previous = _last_end(status)
    if ended.get("reason") == KILLED_FOR_MEMORY:
        limit = _limit(pod, name)
        told = f"{where} was killed because it needs more memory than its limit {limit}"
        return Problem(f"{told} ({KILLED_FOR_MEMORY})", name, previous)
    if reason == CRASHES:
        code, count = ended.get("exitCode"), status.get("restartCount")
        return Problem(
            f"{where} ended with code {code} and was restarted {count} times ({CRASHES})",
            name,
            previous=True,
        )
    return None


def _containers(pod: Object) -> Iterator[Object]:
    status = mapping(pod.get("status"))
    for kind in ("initContainerStatuses", "containerStatuses"):
        yield from map(mapping, sequence(status.get(kind)))


def _condition(pod: Object, kind: str) -> Object:
    conditions = map(mapping, sequence(mapping(pod.get("status")).get("conditions")))
    return next((each for each in conditions if each.get("type") == kind), {})


def _reason(status: Object) -> str:
    state = mapping(status.get("state"))
    return str(mapping(state.get("waiting")).get("reason") or "")


def _last_end(status: Object) -> tuple[Object, bool]:
    """How a container has ended, and whether it was restarted since."""
    now = mapping(mapping(status.get("state")).get("terminated"))
    before = mapping(mapping(status.get("lastState")).get("terminated"))
    return (now, False) if now else (before, True)


def _limit(pod: Object, container: str) -> str:
    for each in map(mapping, sequence(mapping(pod.get("spec")).get("containers"))):
        if each.get("name") == container:
            limits = mapping(mapping(each.get("resources")).get("limits"))
            return str(limits.get("memory") or "of its pod")
    return "of its pod"


def _why(pod: Object, events: Sequence[Object], reason: str, mentions: object) -> str:
    """The last event with this reason that mentions something."""
    told = [
        str(each.get("message"))
        for each in _about(pod, events)
        if each.get("reason") == reason and str(mentions) in str(each.get("message"))
    ]
    return told[-1] if told else ""


def _last_warning(pod: Object, events: Sequence[Object]) -> str:
    told = [str(each.get("message")) for each in _about(pod, events) if _is_warning(each)]
    return told[-1] if told else ""


def _is_warning(event: Object) -> bool:
    return event.get("type") == "Warning"


def _about(pod: Object, events: Sequence[Object]) -> list[Object]:
    """The events of a pod, the last one last."""
    uid = mapping(pod.get("metadata")).get("uid")
    own = [each for each in events if mapping(each.get("involvedObject")).get("uid") == uid]
    return sorted(own, key=_time)


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
