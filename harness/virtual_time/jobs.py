"""One job: what the scheduler accepts, and when it fires next after each outcome.

It computes what `go-etcd-cron` computes in its `builder.go`, `repeats.go` and `counter.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.virtual_time.civil import SECOND
from harness.virtual_time.gotime import parse_moment
from harness.virtual_time.schedules import Schedule, parse_schedule


@dataclass(frozen=True)
class Policy:
    """What happens after a failure.

    Attributes:
        interval: nanoseconds to the next attempt.
        retries: how often it is attempted again; None if there is no limit.
    """

    interval: int = SECOND
    retries: int | None = 3


DEFAULT = Policy()
DROP = Policy(0, 0)


@dataclass(frozen=True)
class Job:
    """A job as a sidecar asks for it.

    Attributes:
        message: the whole job as it was received, for whoever reads it.
        target: the JobMetadata that came with it.
    """

    schedule: str | None = None
    due_time: str | None = None
    ttl: str | None = None
    repeats: int | None = None
    policy: Policy = DEFAULT
    message: bytes = b""
    target: bytes = b""


@dataclass(frozen=True)
class Plan:
    """A job whose times are known.

    Attributes:
        begin: when it first fires, or from when on its schedule counts.
        due: whether it fires at ``begin`` itself.
        expiration: after which it fires no more; None if never.
    """

    job: Job
    begin: int
    due: bool
    expiration: int | None = None

    @property
    def schedule(self) -> Schedule | None:
        """Its schedule; None if it fires once."""
        return None if self.job.schedule is None else parse_schedule(self.job.schedule)

    def next(self, count: int, last: int | None) -> int | None:
        """When it fires after so many firings, the last of them at this time; None if never."""
        schedule = self.schedule
        if schedule is None:
            return self.begin if count == 0 else None
        if self.job.repeats is not None and count >= self.job.repeats:
            return None
        if last is None:
            return self.begin if self.due else schedule.next(self.begin)
        moment = schedule.next(last)
        return None if self.expiration is not None and moment > self.expiration else moment


def planned(job: Job, now: int, shift: int = 0) -> Plan:
    """A job whose times are computed from now.

    Args:
        shift: nanoseconds to add to times that the job names by the real clock.

    Raises:
        ValueError: the scheduler refuses it, in its words.
    """
    _require_sense(job)
    if job.schedule is not None:
        parse_schedule(job.schedule)
    begin = now
    if job.due_time is not None:
        begin = _moment(job.due_time, now, shift)
    expiration = None
    if job.ttl is not None:
        try:
            expiration = _moment(job.ttl, begin, shift)
        except ValueError:
            raise ValueError("ttl format not recognized") from None
        if job.due_time is not None and begin > expiration:
            raise ValueError("ttl must be greater than due time")
    return Plan(job, begin, job.due_time is not None, expiration)


def _moment(text: str, now: int, shift: int) -> int:
    moment = parse_moment(text, now)
    # Only a time that does not depend on now is one of another clock's.
    return moment + shift if shift and moment == parse_moment(text, now + SECOND) else moment


def _require_sense(job: Job) -> None:
    if job.due_time is None and job.schedule is None:
        raise ValueError("job must have either a due time or a schedule")
    if job.schedule is None and (job.repeats or 0) > 1:
        raise ValueError("job must have a schedule to repeat")
    if job.repeats == 0:
        raise ValueError("defined repeats must be greater than 0")
    if job.schedule is None and job.ttl is not None:
        raise ValueError("job must have a schedule to have a ttl")


@dataclass(frozen=True)
class Progress:
    """How far a job has come.

    Attributes:
        count: firings that are done, well or not.
        last: when the last of them was due; None before the first.
        attempts: failures of the firing that is not done.
        next: when it fires next.
    """

    count: int = 0
    last: int | None = None
    attempts: int = 0
    next: int = 0


def begun(plan: Plan, progress: Progress = Progress()) -> Progress | None:
    """The progress with the time of the next firing; None if there is none.

    A retry that was waiting is due at once: only what is done is known after a restart.
    """
    moment = plan.next(progress.count, progress.last)
    if moment is None or (plan.expiration is not None and moment > plan.expiration):
        return None
    return replace(progress, next=moment)


def succeeded(plan: Plan, progress: Progress) -> Progress | None:
    """After a success; None if it was the last firing."""
    return begun(plan, _done(plan, progress))


def failed(plan: Plan, progress: Progress) -> Progress | None:
    """After a failure: another attempt, or the next firing; None if there is neither."""
    policy, attempts = plan.job.policy, progress.attempts + 1
    if policy.retries is None or policy.retries >= attempts:
        return replace(progress, attempts=attempts, next=progress.next + policy.interval)
    return begun(plan, _done(plan, progress))


def _done(plan: Plan, progress: Progress) -> Progress:
    """One more firing is done. The schedule goes on from when it was due, not from a retry."""
    last = plan.next(progress.count, progress.last)
    return Progress(progress.count + 1, progress.last if last is None else last)
