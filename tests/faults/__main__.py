"""The large attack: `make soak SEED=1`, or `python -m tests.faults --help`.

The exit code is 1 when something was lost, early or void, or came twice without having been in
flight.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness import Settings, running
from scenarios.topology import todo
from tests.faults.attack import QUIET, Load, Result, attack
from tests.faults.plan import PARTS, Fault, kills, outages
from tests.faults.report import rows, wrong

out = Console(width=140)


def main(
    *,
    seed: Annotated[int, typer.Option(help="what is drawn is drawn from it")] = 1,
    each: Annotated[int, typer.Option(help="kills of every part; 0 for none")] = 20,
    every: Annotated[float, typer.Option(help="seconds between two kills")] = 1.5,
    writes: Annotated[int, typer.Option(help="acknowledged during the kills")] = 2000,
    reminders: Annotated[int, typer.Option(help="due during the kills")] = 200,
    outage: Annotated[list[float] | None, typer.Option(help="seconds; 5, 40, 120 or 0")] = None,
    quiet: Annotated[float, typer.Option(help="seconds for what is late to come")] = QUIET,
    part: Annotated[list[str] | None, typer.Option(help="these parts only")] = None,
) -> None:
    """Attack the reference system, and print what became of what was acknowledged."""
    parts = part or list(PARTS)
    plans: dict[str, tuple[Sequence[Fault], Load]] = {}
    if each:
        chosen = {"parts": parts} if part else {}
        plan = kills(seed, each=each, every=every, stops=2 * each, **chosen)
        plans["kills"] = (plan, Load(seed, 20, writes, reminders))
    for seconds in filter(None, outage or [5, 40, 120]):
        together = 1 if seconds < 30 else 4 if seconds < 60 else 7
        plan = outages(seed, seconds=seconds, together=together, parts=parts)
        plans[f"{seconds:g} s away"] = (plan, Load(seed, 12, 10 * len(plan) + 60, 60))
    results = _carried_out(seed, plans, quiet)
    raise typer.Exit(1 if any(wrong(each) for each in results) else 0)


def _carried_out(
    seed: int, plans: dict[str, tuple[Sequence[Fault], Load]], quiet: float
) -> list[Result]:
    settings, results = Settings.load(runtime="processes", broker="kafka"), []
    with running(todo(inbox=False), settings) as stack:
        for name, (plan, load) in plans.items():
            began = time.monotonic()
            results.append(attack(stack, plan, load, quiet=quiet))
            # At once: what has been seen stays seen when the next attack ends badly.
            _print(f"seed {seed}: {name} ({time.monotonic() - began:.0f} s)", results[-1])
    return results


def _print(title: str, result: Result) -> None:
    table = Table("", title)
    for name, value in rows(result).items():
        table.add_row(name, value)
    out.print(table)
    for line in wrong(result):
        out.print(f"WRONG: {line}")


if __name__ == "__main__":
    typer.run(main)
