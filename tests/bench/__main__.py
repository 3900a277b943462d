"""Run every bench, print a table and write bench.json."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness import Settings
from tests.bench import chain, delivery, jobs, load, observer, orphans, outbox, start
from tests.bench.numbers import Figures
from tests.engine import engine_obstacle

Bench = Callable[[Settings], Figures]
EVERYWHERE: dict[str, Bench] = {
    "B1 start of the reference stack, processes": start.on_processes,
    "R8 orphans, processes": orphans.of_processes,
    "B8 publish to deliver": delivery.delivery,
    "load, a minute of latency": load.latency,
    "load, calls at a rate that two cores hold": load.invoke,
    "load, the generator itself": load.generator,
    "load, jobs a second": jobs.rates,
    "load, what watching costs": observer.observer,
    "invoke chain": chain.invocation,
    "outbox under fire": outbox.under_fire,
    "outbox latency": outbox.latency,
}
WITH_AN_ENGINE: dict[str, Bench] = {
    "B1 start of the reference stack, containers": start.on_containers,
    "R8 orphans, containers": orphans.of_containers,
}


def main() -> None:
    """All of them, or those whose title has every word of the command line in it."""
    # Redpanda's image is not everywhere, and processes cannot run it.
    settings = replace(Settings.load(), offline=True, broker="kafka")
    out, table = Console(), Table(title="bench", title_justify="left", show_header=False)
    file = Path("bench.json")
    # A part of the benches leaves the figures of the others.
    known = json.loads(file.read_text()) if sys.argv[1:] and file.is_file() else {}
    found = {
        **known,
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        **_measured(settings, out),
    }
    for title, figures in found.items():
        if isinstance(figures, dict) and title != "machine":
            table.add_row(f"[bold]{title}[/]", "")
            for name, value in figures.items():
                table.add_row(name, f"{value:.3g}")
    file.write_text(json.dumps(found, indent=2) + "\n")
    out.print(table)


def _measured(settings: Settings, out: Console) -> dict[str, Any]:
    benches = dict(EVERYWHERE)
    if obstacle := engine_obstacle():
        out.print(f"nothing on containers is measured: {obstacle}")
    else:
        benches |= WITH_AN_ENGINE
    found = {}
    for title, bench in benches.items():
        if all(word in title for word in sys.argv[1:]):
            out.print(f"{title} ...")
            found[title] = bench(settings)
    return found


if __name__ == "__main__":
    main()
