"""The report of a run: one self-contained HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2

from harness.load.judge.criteria import verdict
from harness.load.model.figures import REQUEST, Figures, Names
from harness.load.model.pairs import FLOOR
from harness.load.model.profile import Profile
from harness.load.model.result import ProcessUse, Result
from harness.load.render.charts import HALF, Points, Span, over_time, percentiles

SHOWN = 8
"""The maximum number of lines in one chart, and of names that have a separate chart."""

NOMINAL, DUE, ANSWERED, FAILED = "nominal rate", "due", "answered", "failed"


def page(result: Result) -> str:
    """The whole page."""
    text = files(__package__).joinpath("report.html.j2").read_text()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    code, headline = verdict(result)
    return environment.from_string(text).render(
        result=result,
        good=code == 0,
        headline=headline,
        warmup=warmup_said(result),
        floor=floor_said(result.names),
        errors=errors_of(result.names),
        names=_ranked(result),
        **_charts(result, _span(result)),
    )


def _span(result: Result) -> Span:
    """From the first request to the last due request, or to where the run was cut short."""
    planned = result.profile.seconds
    seen = [row.second + 1 for each in result.names.values() for row in each.traffic if row.offered]
    return Span(min(planned, max(seen, default=planned)), result.profile.warmup)


def _charts(result: Result, span: Span) -> dict[str, Any]:
    names = _ranked(result)
    shown = {name: row for name, row in names.items() if row.curve}
    shown = dict([*shown.items()][:SHOWN])
    sent = [row for row in names.values() if row.kind == REQUEST]
    processes = _heaviest(result.processes)
    cpu = {n: [(each.at, each.percent) for each in use.samples] for n, use in processes.items()}
    lines: dict[str, Points] = {**result.generator, **cpu}
    memory = {n: [(each.at, each.rss / 1e6) for each in u.samples] for n, u in processes.items()}
    return {
        "percentiles": percentiles({name: row.curve for name, row in shown.items()}),
        "latency": [
            (name, over_time(_latency(row, span), "ms", span, logarithmic=True, width=HALF))
            for name, row in shown.items()
        ],
        "throughput": over_time(
            _throughput(sent, result, span), "a second", span, dashed=[NOMINAL]
        ),
        "failures": over_time(_failures(names, span), "a second", span),
        "cpu": over_time(_within(lines, span), "%", span),
        "memory": over_time(_within(memory, span), "MB", span),
        "consumer_lag": over_time(_within(_farthest(result.consumer_lag), span), "records", span),
    }


def _ranked(result: Result) -> dict[str, Figures]:
    """The names that are compared with others first, in the order of their pairs."""
    pairs = [(each.name, each.beside) for each in result.overheads]
    order = dict.fromkeys(name for pair in pairs if FLOOR not in pair for name in pair)
    ranks = {name: number for number, name in enumerate(order)}
    names = result.names
    return {
        name: names[name] for name in sorted(names, key=lambda n: (ranks.get(n, len(ranks)), n))
    }


def _latency(row: Figures, span: Span) -> dict[str, Points]:
    rows = [each for each in row.seconds if each.second <= span.end]
    return {
        figure: [(each.second, getattr(each, figure)) for each in rows]
        for figure in ("p50", "p90", "p99")
    }


def _throughput(sent: Sequence[Figures], result: Result, span: Span) -> dict[str, Points]:
    """The average offered load, the drawn load, and what happened to it."""
    kinds = {DUE: "offered", ANSWERED: "ok", FAILED: "failed"}
    measured: dict[str, Points] = {}
    for title, kind in kinds.items():
        totals = Counter[int]()
        for each in (each for row in sent for each in row.traffic):
            totals[each.second] += getattr(each, kind)
        measured[title] = [(at, totals[at]) for at in sorted(totals) if at < span.end]
    return {NOMINAL: _nominal(result.profile), **measured}


def _nominal(profile: Profile) -> Points:
    """The steps of the profile, as a line."""
    rate, begun, line = sum(profile.rates.values()), 0.0, list[tuple[float, float]]()
    for step in profile.steps:
        line += [(begun, rate * step.rate), (begun + step.seconds, rate * step.rate)]
        begun += step.seconds
    return line


def _failures(names: Names, span: Span) -> dict[str, Points]:
    """The failures of names that have any, refused and lost requests included, for each second."""
    found = {}
    for name, row in names.items():
        points = [(s.second, s.failed + s.lost) for s in row.traffic if s.second <= span.end]
        if any(count for _, count in points):
            found[name] = points
    return dict([*found.items()][:SHOWN])


def _within(lines: Mapping[str, Points], span: Span) -> dict[str, Points]:
    return {name: [(x, y) for x, y in points if x <= span.end] for name, points in lines.items()}


def _farthest(lags: Mapping[str, Points]) -> dict[str, Points]:
    """The groups with the largest lag."""
    most = {group: max((behind for _, behind in rows), default=0) for group, rows in lags.items()}
    return {group: lags[group] for group in sorted(most, key=lambda each: -most[each])[:SHOWN]}


def _heaviest(processes: Mapping[str, ProcessUse]) -> dict[str, ProcessUse]:
    """The processes that used the most."""
    used = {
        name: sum(sample.percent for sample in each.samples) for name, each in processes.items()
    }
    chosen = sorted(used, key=lambda name: -used[name])[: SHOWN - 2]
    return {name: processes[name] for name in chosen}


def errors_of(names: Names) -> list[tuple[str, str, int, float]]:
    """Name, error, count, and share of the due requests; the most frequent first."""
    rows = [
        (name, error, count, count / row.offered if row.offered else 1.0)
        for name, row in names.items()
        for error, count in row.errors.items()
    ]
    return sorted(rows, key=lambda row: -row[2])


def floor_said(names: Names) -> str:
    """What the floor is, and which rows of the table are below it."""
    medians = {
        name: row.intended["p50"]
        for name, row in names.items()
        if row.kind == REQUEST and "p50" in row.intended
    }
    if FLOOR not in medians:
        return ""
    least = medians.pop(FLOOR)
    below = [f"{name} ({p50:.2f} ms)" for name, p50 in medians.items() if p50 < least]
    said = (
        "The floor is a server that does nothing, called by the same generator in the same "
        f"seconds: {least:.2f} ms at p50."
    )
    if below:
        return f"{said} Below it: {', '.join(below)}, which is mostly the generator's own cost."
    return f"{said} No request of this run was below it."


def warmup_said(result: Result) -> str:
    """What the figures leave out: one sentence, the same on the page and on the terminal."""
    rows = [row.warmup for row in result.names.values() if row.kind == REQUEST]
    offered, failed = sum(row.offered for row in rows), sum(row.failed for row in rows)
    return (
        f"Not counted: the first {result.profile.warmup:g} s (warm-up), {offered} requests, "
        f"{failed} of them failed. Outcomes of acknowledged requests cover the whole run."
    )
