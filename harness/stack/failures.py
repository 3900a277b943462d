"""How failures of a stack are reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.core.causes import cause_of, refused_hint
from harness.core.deadline import Check, Deadline, Observation
from harness.core.errors import (
    AppFailed,
    ConfigError,
    HarnessError,
    InstanceDied,
    NotReady,
    PortTaken,
    SystemFailure,
)
from harness.core.launch import Launch
from harness.core.masking import mask
from harness.runtime.base import Instance

_IN_USE = re.compile(r"address already in use|EADDRINUSE|Address in use", re.IGNORECASE)


def death(
    launch: Launch,
    instance: Instance,
    secrets: Sequence[str],
    explain: Callable[[str], str] = lambda _: "",
) -> HarnessError | SystemFailure:
    """The error to raise for a process that exited while it was needed.

    Args:
        launch: what was started.
        instance: what has exited.
        secrets: to be masked.
        explain: takes the end of its log, returns what that does not tell.
    """
    code = instance.exit_code or 0
    how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
    how = f"{how}: {instance.exit_reason}" if instance.exit_reason else how
    tail = mask(tail_of(instance.log), secrets)
    if _IN_USE.search(tail):
        return PortTaken(f"{launch.name} {how}: one of its ports was taken", last=tail)
    kind = AppFailed if launch.under_test else InstanceDied
    cause = cause_of(tail)
    return kind(
        f"{launch.name} {how} while the stack needed it" + (f": {cause}" if cause else ""),
        expected="a process that keeps running",
        last=tail or "it wrote nothing",
        hint=mask(explain(tail), secrets)
        or refused_hint(tail)
        or mask(f"check its command line: {' '.join(launch.argv[:4])} ...", secrets),
    )


_EXTERNAL = (
    "start it with the environment that was printed; DAPR_HARNESS_READY_TIMEOUT gives more time"
)


def not_ready(
    launch: Launch,
    look: tuple[Check, Observation],
    deadline: Deadline,
    instance: Instance,
    secrets: Sequence[str],
) -> HarnessError | SystemFailure:
    """The error to raise for a check that did not pass in time, with the last observation."""
    check, seen = look
    kind = AppFailed if launch.under_test else NotReady
    return kind(
        f"{launch.name} did not pass the readiness check {check.name!r}",
        expected=(type(check).__doc__ or "").partition("\n")[0],
        last=mask(f"{seen.fact}\nthe last lines of its log:\n{tail_of(instance.log)}", secrets),
        budget=deadline.budget,
        hint=_EXTERNAL
        if launch.external
        else "look at the log; DAPR_HARNESS_READY_TIMEOUT gives it more time",
    )


def tail_of(log: Path, lines: int = 25) -> str:
    """The last lines of a log file; "" if there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def tails_of(instances: Mapping[str, Instance], secrets: Sequence[str]) -> dict[str, str]:
    """The last lines of the logs of nodes, by their names, with secrets masked."""
    return {name: mask(tail_of(each.log, 60), secrets) for name, each in instances.items()}


def rank(error: BaseException) -> int:
    """Sorts the most informative failure first: taken port, death, refusal, then time-out."""
    order = (PortTaken, AppFailed, InstanceDied, ConfigError, NotReady, HarnessError)
    return next((i for i, kind in enumerate(order) if isinstance(error, kind)), len(order))


def external(name: str) -> ConfigError:
    """The error for an operation on a node that the stack has not started."""
    return ConfigError(
        f"{name} is external: the stack has not started it",
        expected="a node of the stack's own",
        hint="act on it where it was started",
    )
