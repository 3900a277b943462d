"""The jobs in what was observed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

from harness.core.observation import Occurrence
from harness.ledger.model import Attempt, JobPath

JOB = "/job/"
"""The path to which daprd delivers a job, before its name."""


def jobs_of(occurrences: Sequence[Occurrence]) -> tuple[JobPath, ...]:
    """What is known of each job, by app and name.

    Args:
        occurrences: in the order of time.
    """
    calls = defaultdict[tuple[str, str], list[Occurrence]](list)
    attempts = defaultdict[tuple[str, str], list[Attempt]](list)
    for each in occurrences:
        if each.source == "call" and each.facts.get("api") == "jobs":
            calls[each.node, each.facts["target"]].append(each)
        elif each.source == "delivery" and each.facts.get("path", "").startswith(JOB):
            name = unquote(each.facts["path"].removeprefix(JOB))
            attempts[each.node, name].append(_attempt(each))
    return tuple(
        JobPath(app, name, tuple(calls[app, name]), tuple(attempts[app, name]))
        for app, name in sorted({*calls, *attempts})
    )


def _attempt(delivery: Occurrence) -> Attempt:
    facts = delivery.facts
    # Any other status is a failure of the firing (pkg/runtime/scheduler of Dapr 1.18.2).
    done = 200 <= facts["status"] <= 299
    return Attempt(
        delivery.node,
        "",
        facts["path"],
        delivery.time,
        delivery.took or 0.0,
        facts["status"],
        facts["answer"],
        "success" if done else "retry",
        facts["failed"],
    )
