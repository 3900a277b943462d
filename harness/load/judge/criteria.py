"""Evaluates a run: whether it is valid, and within its budgets. Pure functions of its figures."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.core.errors import did_you_mean
from harness.load.model.budgets import Budgets
from harness.load.model.declared import Pair
from harness.load.model.figures import REFERENCE, REQUEST, Names
from harness.load.model.pairs import title
from harness.load.model.result import Criterion, Ledger, Overhead, Result, StepP99

BUSY, LATE, ACHIEVED, MOVED = 80.0, 2.0, 0.99, 0.25
"""Percent of a core, milliseconds, share, share: beyond these limits, a run is invalid."""

SOME = 4
"""The maximum number of names in a headline."""


def validity(
    cpu: Mapping[str, Sequence[float]],
    lag_p99: float,
    offered: int,
    sent: int,
    noise: tuple[float, float],
) -> list[Criterion]:
    """Whether the generator and the machine were fast enough.

    Args:
        cpu: percent of a core by load process, for each second.
        lag_p99: milliseconds by which slots were opened late.
        offered: the number of requests that were due.
        sent: the number of those that were sent.
        noise: the loopback echo before and after, in microseconds.
    """
    busiest = max((statistics.fmean(each) for each in cpu.values() if each), default=0.0)
    share, moved = sent / offered if offered else 0.0, abs(noise[1] / noise[0] - 1)
    return [
        Criterion(
            "generator CPU", busiest <= BUSY, f"{busiest:.0f} % of a core, at most {BUSY:.0f}"
        ),
        Criterion("scheduler lag", lag_p99 <= LATE, f"p99 {lag_p99:.2f} ms, at most {LATE:g}"),
        Criterion(
            "achieved",
            share >= ACHIEVED,
            f"{sent} of {offered} requests that were due were sent, at least {ACHIEVED:.0%}",
        ),
        Criterion(
            "noise",
            moved <= MOVED,
            f"loopback echo {noise[0]:.0f} us before, {noise[1]:.0f} after, at most {MOVED:.0%}",
        ),
    ]


def users(wanted: Iterable[str], lanes: Mapping[str, str], log: str = "") -> Criterion:
    """Whether every user class of the profile has run.

    Args:
        wanted: the user classes.
        lanes: the user class of each lane that started.
        log: the end of Locust's log.
    """
    missing = sorted({*wanted} - {*lanes.values()})
    fact = f"never began: {', '.join(missing)}; {log}" if missing else "all of the profile ran"
    return Criterion("users", not missing, fact.strip("; "))


def compared(pairs: Iterable[Pair], overheads: Sequence[Overhead]) -> list[Criterion]:
    """Whether all pairs that a profile or a user class declares were measured.

    Args:
        pairs: the declared ones; without any, there is nothing to say.
    """
    wanted = dict.fromkeys(map(title, pairs))
    missing = [each for each in wanted if each not in {f"{o.name} / {o.beside}" for o in overheads}]
    fact = f"not measured: {', '.join(missing)}" if missing else f"{len(wanted)} measured"
    return [Criterion("pairs", not missing, fact)] if wanted else []


def arrivals_seen(ledgers: Mapping[str, Ledger]) -> list[Criterion]:
    """Whether acknowledged requests could be looked for, and whether any arrived."""
    marks = []
    for name, each in ledgers.items():
        came = each.acknowledged - each.lost
        fact = each.problem or f"{came} of {each.acknowledged} acknowledged came"
        if each.problem and each.acknowledged:
            fact = f"{each.acknowledged} acknowledged, and {each.problem}"
        marks.append(Criterion(f"seen: {name}", not each.problem and came > 0, fact))
    return marks


def losses(ledgers: Mapping[str, Ledger], twice: float = 0.0) -> list[Criterion]:
    """Nothing acknowledged may be lost or early, and only a few things may arrive twice.

    Args:
        twice: the share of acknowledged requests that may arrive again.
    """
    marks = []
    for name, each in ledgers.items():
        if not each.acknowledged or each.problem:
            continue
        fact = f"{each.lost} of {each.acknowledged} acknowledged{_named(each)}"
        marks.append(Criterion(f"lost: {name}", each.lost == 0, fact))
        fact = f"{each.twice} of {each.acknowledged}, at most {twice:.1%}"
        marks.append(Criterion(f"twice: {name}", each.twice <= twice * each.acknowledged, fact))
        if each.early:
            marks.append(Criterion(f"early: {name}", False, f"{each.early} of {each.acknowledged}"))
    return marks


def _named(ledger: Ledger) -> str:
    if not ledger.lost:
        return ""
    more = ledger.lost - len(ledger.lost_ids)
    return f": {', '.join(ledger.lost_ids)}" + (f" and {more} more" if more else "")


def errors(names: Names, allowed: float) -> Criterion:
    """Count every failed request of the profile; references are not included.

    Args:
        allowed: the share that may fail.
    """
    sent = [each for each in names.values() if each.kind == REQUEST]
    offered, failed = sum(each.offered for each in sent), sum(each.failed for each in sent)
    share = failed / offered if offered else 1.0
    fact = f"{failed} of {offered} requests failed, {share:.2%}, at most {allowed:.2%}"
    return Criterion("errors", share <= allowed, fact)


def lateness(names: Names, late: Mapping[str, float]) -> list[Criterion]:
    """The maximum latencies of each name in the profile, in milliseconds from the due time.

    Args:
        late: the limits, by figure: ``p50``, ``p99``, ``max`` and the like.
    """
    marks = []
    for name, each in names.items():
        found = each.intended
        if not late or not found or each.kind == REFERENCE:
            continue
        facts = (f"{key} {found[key]:.0f} ms of {most:g}" for key, most in late.items())
        met = all(found[key] <= most for key, most in late.items())
        marks.append(Criterion(f"late: {name}", met, ", ".join(facts)))
    return marks


@dataclass(frozen=True)
class Pairs:
    """The pairs of a run, as they are named in budgets.

    Attributes:
        expected: those that the run must have measured.
        known: all that some profile could measure with these users; () if that is not known.
        unmeasured: names that cannot be compared with, and why.
    """

    expected: Collection[str] = ()
    known: Collection[str] = ()
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    def problem(self, title: str, measured: Collection[str]) -> str:
        """Why a budget cannot be kept by this run; "" if it can, or is one of another profile."""
        beside = title.partition(" / ")[2]
        if beside in self.unmeasured:
            return f"{beside} was not measured to the end: {self.unmeasured[beside]}"
        if title in measured:
            return ""
        if title in self.expected:
            return "not measured: there are no two seconds with both"
        if self.known and title not in self.known:
            return (
                f"no user class and no profile has this pair; {did_you_mean(title, [*self.known])}"
            )
        return ""


def failing(names: Names) -> dict[str, str]:
    """The names of which too many requests failed or were lost to compare others with the rest."""
    found = {}
    for name, each in names.items():
        wrong, total = each.failed + each.lost, each.ok + each.failed + each.lost
        if wrong > (1 - ACHIEVED) * total:
            found[name] = f"{wrong} of {total} failed or were lost, at most {1 - ACHIEVED:.0%}"
    return found


def thresholds(budgets: Budgets, overheads: Sequence[Overhead], pairs: Pairs) -> list[Criterion]:
    """Check the ratios: the cost of a name compared with another, at p50, p90 and p99.

    A budget is exceeded if the ratio's whole interval is above it; less may be noise. A budget
    whose pair is missing from the run, or was not measured to the end, is not kept either.
    """
    marks = []
    found = {f"{each.name} / {each.beside}": each for each in overheads}
    for pair, figures in budgets.items():
        problem = pairs.problem(pair, found)
        for key, budget in figures.items():
            if problem:
                marks.append(Criterion(f"{pair}, {key}", False, f"{problem}; at most {budget:g}"))
            elif pair in found:
                ratio = found[pair].ratios[key]
                fact = f"{ratio}, at most {budget:g}"
                marks.append(Criterion(f"{pair}, {key}", ratio.low <= budget, fact))
    return marks


def verdict(result: Result) -> tuple[int, str]:
    """The exit code of a run, and a sentence that explains it: the report's headline.

    0: the run is valid and within its budgets; 1: a budget was exceeded; 4: the stack or the
    generator died, or the run is invalid.
    """
    if result.died:
        return 4, f"The run was cut short: {result.died.splitlines()[0]}"
    broken = [each.name for each in result.thresholds if not each.met]
    invalid = [each.name for each in result.validity if not each.met]
    said = f"invalid ({_some(invalid)}): do not use its figures" if invalid else "valid"
    if broken:
        return 1, f"Budgets were not kept: {_some(broken)}. The run is {said}."
    if invalid:
        return 4, f"The run is {said}."
    return 0, "The run is valid and has kept its budgets."


def has_failed(result: Result) -> bool:
    """Whether the stack died, a request failed, or an event was lost: not only figures are bad."""
    errors = any(row.errors for row in result.names.values())
    return bool(result.died) or errors or any(each.lost for each in result.ledgers.values())


def _some(names: Sequence[str]) -> str:
    more = len(names) - SOME
    return ", ".join(names[:SOME]) + (f" and {more} more" if more > 0 else "")


def knee(rows: Sequence[StepP99]) -> float | None:
    """The rate at which the p99 is twice that of the lowest rate; None if it never is.

    Args:
        rows: one for each step.
    """
    if not rows:
        return None
    first = rows[0].p99
    return next((each.rate for each in rows if each.p99 > 2 * first), None)
