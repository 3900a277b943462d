"""A run as a page, as JSON, as JUnit, and as an HdrHistogram log."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2

from harness.errors import ConfigError
from harness.load import charts
from harness.load.collector import DISTRIBUTIONS

FIRST = (
    "publish to handler", "raw Kafka to consumer", "publish", "invoke by two sidecars",
    "invoke directly", "page creates a task", "job due-time error", "floor",
)  # fmt: skip
"""What charts show first."""

SHOWN = 8
"""Lines that one chart holds."""


def write_all(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Every form of a result, in a folder; each file is there whole or not at all.

    Raises:
        ConfigError: the folder cannot be written.
    """
    name = result["profile"]["name"]
    texts = {
        f"{name}.html": page(result),
        f"{name}.json": json.dumps(result, indent=1) + "\n",
        f"{name}.xml": junit(result),
        f"{name}.hlog": hdr_log(result),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            aside = folder / f".{file}.new"
            aside.write_text(text)
            os.replace(aside, folder / file)  # noqa: PTH105 - the one that replaces at once
    except OSError as error:
        raise _unwritable(folder, error) from None
    return [folder / file for file in texts]


def require_writable(folder: Path) -> None:
    """Check, before anything is started, that a report can be written.

    Raises:
        ConfigError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the report cannot be written to {folder}",
        last=str(error),
        hint="choose another folder: --out",
    )


def page(result: Mapping[str, Any]) -> str:
    """One self-contained HTML file."""
    text = files(__package__).joinpath("report.html.j2").read_text()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    names = result["names"]
    measured = {name: row for name, row in names.items() if row.get("curve")}
    ranked = sorted(measured, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    busiest = {name: measured[name] for name in ranked[:SHOWN]}
    # References are due at times of their own, and are no part of the profile's rate.
    sent = {name: row for name, row in measured.items() if row.get("service")}
    totals: dict[int, list[float]] = {}
    for row in sent.values():
        for second, count, *_ in row["seconds"]:
            totals.setdefault(int(second), [0.0])[0] += count
    processes = _heaviest(result["processes"])
    return environment.from_string(text).render(
        result=_Defaults.wrap(result),
        percentiles=charts.percentiles({name: row["curve"] for name, row in busiest.items()}),
        latency=charts.over_time(
            {name: [(s[0], s[-1]) for s in row["seconds"]] for name, row in busiest.items()}, "ms"
        ),
        throughput=charts.over_time(
            {
                "answered": [(float(second), each[0]) for second, each in sorted(totals.items())],
                "due, on average": _due(result, totals),
            },
            "a second",
        ),
        cpu=charts.over_time(
            {
                **result["generator"],
                **{n: [(s, percent) for s, percent, _ in rows] for n, rows in processes.items()},
            },
            "%",
        ),
        memory=charts.over_time(
            {n: [(s, rss / 1e6) for s, _, rss in rows] for n, rows in processes.items()}, "MB"
        ),
        consumer_lag=charts.over_time(_farthest(result["consumer_lag"]), "records"),
    )


def junit(result: Mapping[str, Any]) -> str:
    """Each budget and each mark of validity as a test case, for CI."""
    marks = [*result["validity"], *result["thresholds"]]
    failed = [each for each in marks if not each["met"]]
    suite = ElementTree.Element(
        "testsuite",
        name=f"load.{result['profile']['name']}",
        tests=str(len(marks)),
        failures=str(len(failed)),
    )
    for each in marks:
        case = ElementTree.SubElement(suite, "testcase", name=each["name"], classname="load")
        if not each["met"]:
            ElementTree.SubElement(case, "failure", message=each["fact"])
    return ElementTree.tostring(suite, encoding="unicode") + "\n"


def hdr_log(result: Mapping[str, Any]) -> str:
    """The whole run as one tagged interval for each name and distribution."""
    seconds = sum(step["seconds"] for step in result["profile"]["steps"])
    rows = [
        "#[Histogram log format version 1.3]",
        f"#[Load: {result['profile']['name']}, {result['began']}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for name, row in result["names"].items():
        for distribution in DISTRIBUTIONS:
            text = row["histograms"].get(distribution)
            if text:
                tag = f"{name} {distribution}".replace(" ", "_").replace(",", "")
                longest = row[distribution]["max"]
                rows.append(f"Tag={tag},0.000,{seconds:.3f},{longest:.3f},{text}")
    return "\n".join(rows) + "\n"


def _due(result: Mapping[str, Any], totals: Mapping[int, Any]) -> list[tuple[float, float]]:
    profile = result["profile"]
    rate, begun = sum(profile["rates"].values()), -profile["warmup"]
    line = []
    for step in profile["steps"]:
        for second in range(int(begun), int(begun + step["seconds"])):
            if second in totals:
                line.append((float(second), rate * step["rate"]))
        begun += step["seconds"]
    return line


def _farthest(lags: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """The groups that were farthest behind."""
    ranked = sorted(lags, key=lambda group: -max(behind for _, behind in lags[group]))
    return {group: [(s, float(behind)) for s, behind in lags[group]] for group in ranked[:SHOWN]}


def _heaviest(processes: Mapping[str, Any]) -> dict[str, Any]:
    """The processes that have used most."""
    used = {
        name: sum(percent for _, percent, _ in each["samples"]) for name, each in processes.items()
    }
    chosen = sorted(used, key=lambda name: -used[name])[: SHOWN - 2]
    return {name: processes[name]["samples"] for name in chosen}


class _Defaults(dict[str, Any]):
    """A mapping whose missing keys are nothing, for a template."""

    @classmethod
    def wrap(cls, value: Any) -> Any:
        """The same, all the way down."""
        if isinstance(value, Mapping):
            return cls({key: cls.wrap(each) for key, each in value.items()})
        return [cls.wrap(each) for each in value] if isinstance(value, list) else value

    def __missing__(self, key: str) -> None:
        return None


def warmup_said(result: Mapping[str, Any]) -> str:
    """What no figure counts: one sentence, the same on the page and on the terminal."""
    rows = [row["warmup"] for row in result["names"].values() if row["kind"] == "request"]
    offered, failed = (sum(row[key] for row in rows) for key in ("offered", "failed"))
    return (
        f"Not counted: the first {result['profile']['warmup']:g} s (warm-up), {offered} requests, "
        f"{failed} of them failed. What became of acknowledged requests is of the whole run."
    )
