"""Run benches, print a table with anchors, gates and moonshots, and write bench.json.

``python -m tests.bench`` runs all of them; ``python -m tests.bench B3 imports`` those whose title
contains one of the arguments.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from harness import Settings
from tests.bench import (
    chain,
    delivery,
    forked,
    imports,
    jobs,
    load,
    observer,
    orphans,
    outbox,
    reminders,
    small_apps,
    start,
    supervisor,
    virtual_time,
    warm,
)
from tests.bench.numbers import Bound, Figures, Measure
from tests.engine import engine_obstacle

WIDTH = 150
"""Columns where there is no terminal."""

Bench = Callable[[Settings], Figures]
EVERYWHERE: dict[str, Bench] = {
    "B1 start of the reference stack, processes": start.on_processes,
    "B3 attach and restart, processes": warm.on_processes,
    "start of small apps": small_apps.small_apps,
    "B14 FastAPI apps, forked": forked.forked,
    "imports and collection": imports.imports,
    "supervisor, memory and CPU": supervisor.supervisor,
    "R8 orphans, processes": orphans.of_processes,
    "B8 publish to deliver": delivery.delivery,
    "load, a minute of latency": load.latency,
    "load, calls at a rate that two cores hold": load.invoke,
    "load, the generator itself": load.generator,
    "load, jobs a second": jobs.rates,
    "load, reminders of actors": reminders.reminders,
    "virtual time": virtual_time.virtual_time,
    "load, what watching costs": observer.observer,
    "invoke chain": chain.invocation,
    "outbox under fire": outbox.under_fire,
    "outbox latency": outbox.latency,
    "outbox beside an outage": outbox.beside_an_outage,
}
WITH_AN_ENGINE: dict[str, Bench] = {
    "B1 start of the reference stack, containers": start.on_containers,
    "R8 orphans, containers": orphans.of_containers,
}


def main() -> None:
    """Run them; a part of them leaves the figures of the others in the file."""
    words = sys.argv[1:]
    # Unknown ones are reported before anything runs.
    chosen([*EVERYWHERE, *WITH_AN_ENGINE], words)
    # Redpanda's image is not everywhere, and processes cannot run it.
    settings = replace(Settings.load(), offline=True, broker="kafka")
    out, file = Console(), Path("bench.json")
    if not out.is_terminal:
        out = Console(width=WIDTH)
    known = json.loads(file.read_text()) if words and file.is_file() else {}
    measured = _measured(settings, out, words)
    found = {
        **known,
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        **{title: _plain(figures) for title, figures in measured.items()},
    }
    file.write_text(json.dumps(found, indent=2) + "\n")
    out.print(_table(measured))


def chosen(titles: Iterable[str], words: Sequence[str]) -> list[str]:
    """The titles that contain any of the words; all titles if there are no words.

    Raises:
        SystemExit: no title contains a word.
    """
    titles = list(titles)
    for word in words:
        if not any(word in title for title in titles):
            sys.exit(f"no bench has {word!r} in its title; there are:\n  " + "\n  ".join(titles))
    return [title for title in titles if not words or any(word in title for word in words)]


def _plain(figures: Figures) -> dict[str, Any]:
    """For a file."""
    return {
        name: each
        if isinstance(each, float | int)
        else {**asdict(each), "gate": str(each.gate or ""), "moonshot": str(each.moonshot or "")}
        for name, each in figures.items()
    }


def _table(measured: Mapping[str, Figures]) -> Table:
    table = Table(title="bench", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for title in ("", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("anchor", "gate", "moonshot"):
        table.add_column(title)
    for title, figures in measured.items():
        table.add_row(f"[bold]{title}[/]")
        for name, each in figures.items():
            table.add_row(*_row(name, each))
    return table


def _row(name: str, each: float | Measure) -> list[str]:
    if not isinstance(each, Measure):
        return [name, f"{each:.3g}"]
    between = "" if each.low is None else f"{each.low:.3g} to {each.high:.3g}"
    marks = [_judged(bound, each.value) for bound in (each.gate, each.moonshot)]
    return [name, f"{each.value:.3g}", between, each.anchor, *marks]


def _judged(bound: Bound | None, value: float) -> str:
    if bound is None:
        return ""
    return f"{bound} [green]met[/]" if bound.met(value) else f"{bound} [red]missed[/]"


def _measured(settings: Settings, out: Console, words: Sequence[str]) -> dict[str, Figures]:
    benches = dict(EVERYWHERE)
    if obstacle := engine_obstacle():
        out.print(f"nothing on containers is measured: {obstacle}")
    else:
        benches |= WITH_AN_ENGINE
    found: dict[str, Figures] = {}
    for title in chosen([*EVERYWHERE, *WITH_AN_ENGINE], words):
        if title in benches:
            out.print(f"{title} ...")
            found[title] = benches[title](settings)
    return found


if __name__ == "__main__":
    main()
