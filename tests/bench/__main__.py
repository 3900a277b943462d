"""Run benches, print a table with anchors, gates and moonshots, and write the figures.

``python -m tests.bench`` runs all of them; ``python -m tests.bench B3 imports`` those whose title
contains one of the arguments. ``--quick`` runs some with few pairs, and then a gate that is broken
beyond its interval is an error. `bench.json` has the newest figures, `bench-history.jsonl` those of
every run, and `bench.html` a plot of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness import Settings
from harness.provision.versions import DAPR
from tests.bench import history, page
from tests.bench.catalog import EVERYWHERE, QUICK, WITH_AN_ENGINE, Bench, chosen
from tests.bench.limits import limits, noisy, table
from tests.bench.numbers import Bound, Figures, Measure, short
from tests.engine import engine_obstacle

WIDTH = 150
"""Columns where there is no terminal."""


def main() -> None:
    """Run them; a part of them leaves the figures of the others in the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("words", nargs="*", metavar="WORD", help="run those with it in the title")
    parser.add_argument("--quick", action="store_true", help="run some of them with few pairs")
    given = parser.parse_args()
    # Unknown ones are reported before anything runs.
    titles = chosen(QUICK if given.quick else [*EVERYWHERE, *WITH_AN_ENGINE], given.words)
    # Redpanda's image is not everywhere, and processes cannot run it.
    settings = replace(Settings.load(), offline=True, broker="kafka")
    out = Console()
    if not out.is_terminal:
        out = Console(width=WIDTH)
    before = limits()
    measured, failed = _measured(settings, out, titles, quick=given.quick)
    after = limits()
    dapr = settings.dapr_version or DAPR
    row = history.row_of(measured, before, after, dapr=dapr, quick=given.quick)
    write(row, Path(), whole=not given.words)
    out.print(table(before, after), _table(measured))
    if noise := noisy(before, after):
        out.print(f"[red]{noise}[/]")
    problems = [*failed, *(broken(measured) if given.quick else [])]
    for each in problems:
        out.print(f"[red]{escape(each)}[/]")
    sys.exit(1 if problems else 0)


def broken(measured: Mapping[str, Figures]) -> list[str]:
    """The gates outside of which the whole interval of a figure is, in words."""
    return [
        f"{title}: {name} is {each.low:.3g} to {each.high:.3g}, the gate is {each.gate}"
        for title, figures in measured.items()
        for name, each in figures.items()
        if isinstance(each, Measure) and each.broken
    ]


def _measured(
    settings: Settings, out: Console, titles: list[str], *, quick: bool
) -> tuple[dict[str, Figures], list[str]]:
    """Figures by title, and in words which benches failed: the figures of the others are kept."""
    benches: dict[str, Bench] = dict(QUICK if quick else EVERYWHERE)
    if not quick and (obstacle := engine_obstacle()):
        out.print(f"nothing on containers is measured: {obstacle}")
    elif not quick:
        benches |= WITH_AN_ENGINE
    found: dict[str, Figures] = {}
    failed = []
    for title in titles:
        if title in benches:
            out.print(f"{title} ...")
            try:
                found[title] = benches[title](settings)
            except Exception as error:  # noqa: BLE001 - told at the end, after the figures
                out.print_exception(max_frames=4)
                failed.append(f"{title} failed: {type(error).__name__}: {error}")
    return found, failed


def write(row: history.Row, folder: Path, *, whole: bool) -> None:
    """Write the newest figures, the history and the page.

    Args:
        row: a run.
        folder: where the files are.
        whole: whether it was a run of all benches.
    """
    past = folder / history.FILE
    history.append(past, row)
    (folder / page.FILE).write_text(page.page(history.read(past)), encoding="utf-8")
    if row["quick"]:
        return  # Figures of so few pairs do not replace others.
    newest = folder / "bench.json"
    known = json.loads(newest.read_text()) if newest.is_file() and not whole else {}
    about = {name: each for name, each in row.items() if name != "figures"}
    newest.write_text(json.dumps({**known, **about, **row["figures"]}, indent=2) + "\n")


def _table(measured: Mapping[str, Figures]) -> Table:
    made = Table(title="bench", title_justify="left", box=box.SIMPLE_HEAD)
    made.add_column("")
    for title in ("", "95 % interval"):
        made.add_column(title, justify="right", no_wrap=True)
    for title in ("anchor", "gate", "moonshot"):
        made.add_column(title)
    for title, figures in measured.items():
        made.add_row(f"[bold]{title}[/]")
        for name, each in figures.items():
            made.add_row(*_row(name, each))
    return made


def _row(name: str, each: float | Measure) -> list[str]:
    if not isinstance(each, Measure):
        return [name, short(each)]
    between = ""
    if each.low is not None and each.high is not None:
        between = f"{short(each.low)} to {short(each.high)}"
    marks = [_judged(bound, each.value) for bound in (each.gate, each.moonshot)]
    return [name, short(each.value), between, each.anchor, *marks]


def _judged(bound: Bound | None, value: float) -> str:
    if bound is None:
        return ""
    return f"{bound} [green]met[/]" if bound.met(value) else f"{bound} [red]missed[/]"


if __name__ == "__main__":
    main()
