"""The jobs in what was observed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from harness.core.observation import Occurrence
from harness.ledger.model import Attempt, JobPath, Names
from harness.ledger.outcomes import outcome_of_job

JOB = "/job/"
"""The path to which daprd delivers a job, before its name."""


def jobs_of(occurrences: Sequence[Occurrence], names: Names) -> tuple[JobPath, ...]:
    """What is known of each job, by app and name.

    Args:
        occurrences: in order.
        names: what their names stand for.
    """
    found = defaultdict[tuple[str, str], _Job](_Job)
    for each in occurrences:
        app = names.apps.get(each.node, each.node)
        if each.source == "call" and each.facts.get("api") == "jobs":
            found[each.facts.get("sidecar") or app, each.facts["target"]].calls.append(each)
        elif each.source == "delivery" and each.facts.get("path", "").startswith(JOB):
            name = unquote(each.facts["path"].removeprefix(JOB))
            found[app, name].attempts.append(_attempt(app, each))
        elif each.source == "firing" and (job := _job_in(each.payload["name"])):
            found[job].firings.append(each)
    return tuple(
        JobPath(app, name, tuple(each.calls), tuple(each.firings), tuple(each.attempts))
        for (app, name), each in sorted(found.items())
    )


@dataclass
class _Job:
    calls: list[Occurrence] = field(default_factory=list)
    firings: list[Occurrence] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)


def _job_in(full: str) -> tuple[str, str] | None:
    """The app and the name in a job's full name; None if it is a reminder of an actor."""
    kind, *words = full.split("||")
    return (words[1], "||".join(words[2:])) if kind == "app" and len(words) > 2 else None


def _attempt(app: str, delivery: Occurrence) -> Attempt:
    facts = delivery.facts
    return Attempt(
        app,
        delivery.node,
        "",
        facts["path"],
        delivery.time,
        delivery.took or 0.0,
        facts["status"],
        facts["answer"],
        outcome_of_job(facts["status"]),
        facts["failed"],
    )
