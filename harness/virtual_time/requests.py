"""Requests of scheduler.proto as values, or refused in the words of the real scheduler."""

from __future__ import annotations

import unicodedata
from typing import Any

from harness.virtual_time.connections import ACTOR, APP, Joining, Target
from harness.virtual_time.gotime import quoted
from harness.virtual_time.jobs import DEFAULT, DROP, Job, Policy

LONGEST = 512
FORBIDDEN = "#?/\\"
WHOEVER = "missing namespace or appID in request"


class Wrong(Exception):
    """A request that is refused.

    Args:
        code: the status of gRPC; UNKNOWN is what Go's servers answer to a plain error.
    """

    def __init__(self, text: str, code: str = "UNKNOWN") -> None:
        super().__init__(text)
        self.code = code


def target_of(metadata: Any) -> Target:
    """Whom a job is for.

    Raises:
        Wrong: the request does not say.
    """
    kind = metadata.target.WhichOneof("type")
    if kind is None:
        raise Wrong(f"unknown job type: {'' if metadata.HasField('target') else '<nil>'}")
    if kind == "job":
        return Target(APP, metadata.namespace, metadata.app_id)
    actor = metadata.target.actor
    key = metadata.concurrency_key if metadata.HasField("concurrency_key") else None
    return Target(ACTOR, metadata.namespace, metadata.app_id, actor.type, actor.id, key)


def job_of(request: Any) -> Job:
    """The job that a request asks for, with the failure policy that it has without one."""
    job = request.job
    policy = _policy(job.failure_policy)
    if policy is None:
        policy = DEFAULT
        constant = job.failure_policy.constant
        constant.interval.FromNanoseconds(DEFAULT.interval)
        constant.max_retries = DEFAULT.retries or 0
    optional = {
        name: getattr(job, name) if job.HasField(name) else None
        for name in ("schedule", "due_time", "ttl", "repeats")
    }
    written = job.SerializeToString(), request.metadata.SerializeToString()
    return Job(**optional, policy=policy, message=written[0], target=written[1])


def _policy(given: Any) -> Policy | None:
    kind = given.WhichOneof("policy")
    if kind is None:
        return None
    if kind == "drop":
        return DROP
    constant = given.constant
    retries = constant.max_retries if constant.HasField("max_retries") else None
    return Policy(constant.interval.ToNanoseconds(), retries)


def joining_of(request: Any) -> Joining:
    """What the first message of a stream says.

    Raises:
        Wrong: it is no such message.
    """
    if request is None or request.WhichOneof("watch_job_request_type") != "initial":
        raise Wrong("initial request is required on stream connection")
    initial = request.initial
    if not initial.namespace or not initial.app_id:
        raise Wrong(WHOEVER, "INVALID_ARGUMENT")
    kinds = list(initial.accept_job_types)
    for kind in kinds:
        if kinds.count(kind) > 1:
            names = ("JOB_TARGET_TYPE_JOB", "JOB_TARGET_TYPE_ACTOR_REMINDER")
            raise Wrong(f"duplicate target type specified: {names[kind]}")
    limits = {
        limit.actor.type + (f":{limit.name}" if limit.HasField("name") else ""): most
        for limit in initial.concurrency_limits
        if (most := limit.max_concurrent) > 0 and limit.WhichOneof("target") == "actor"
    }
    return Joining(
        initial.namespace, initial.app_id, not kinds or 0 in kinds, not kinds or 1 in kinds,
        tuple(initial.actor_types), limits,
    )  # fmt: skip


def authorized(metadata: Any) -> Target:
    """Whom a request is about.

    Raises:
        Wrong: it does not say who asks, or what for.
    """
    if not metadata.namespace or not metadata.app_id:
        raise Wrong(WHOEVER, "INVALID_ARGUMENT")
    return target_of(metadata)


def key_of(metadata: Any, *, as_prefix: bool) -> str:
    """What the full names begin with of the jobs of an app, an actor type, or one actor.

    Raises:
        Wrong: the request does not say whose.
    """
    target = authorized(metadata)
    parts = [target.kind, target.namespace, target.app_id]
    if target.kind == ACTOR:
        parts[2] = target.actor_type
        parts += [target.actor_id] if target.actor_id else []
    return "||".join(parts) + ("" if as_prefix else "||")


def require_name(name: str) -> None:
    """Require a full name that can be stored; it contains what the job belongs to.

    Raises:
        Wrong: it cannot.
    """
    told = f"job name is invalid {quoted(name)}: must"
    if len(name.encode()) > LONGEST:
        raise Wrong(f"{told} be at most {LONGEST} characters")
    if any(each in FORBIDDEN for each in name):
        raise Wrong(f"{told} not contain '/', '\\', '#' or '?'")
    if any(unicodedata.category(each) == "Cc" for each in name):
        raise Wrong(f"{told} not contain control characters")
