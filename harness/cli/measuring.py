"""``metrics`` and ``describe``: what a stack does over time, and what a node consists of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.console import add_row, err, out, print_json, print_row, table
from harness.cli.inspecting import clock, inspected, warn
from harness.cli.nodes import Node
from harness.cli.stacks import Follow, Json, Lines, NameOrFile
from harness.core.deadline import Deadline, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.inspection.describing import NodeDetail
    from harness.inspection.measuring import Metrics, NodeSamples, Rate

MEBIBYTE = 2**20


def metrics(
    name: NameOrFile = "default",
    seconds: Annotated[
        float, typer.Option(min=1, help="How many seconds to look back for events and calls.")
    ] = 300.0,
    step: Annotated[float, typer.Option(min=0.1, help="Seconds of an interval.")] = 5.0,
    follow: Follow = False,
    as_json: Lines = False,
) -> None:
    """Show rates of events and calls, and the memory and processor time of the nodes.

    Rates come from the record since the stack was started; nodes are watched for a moment. With
    `--follow`, it is shown again after each interval.
    """
    from harness.inspection.measuring import WATCHED  # which few commands need

    with inspected(name) as seen:
        for _ in ticks(Deadline(math.inf if follow else 0), step):
            if not seen.alive:
                err.print(f"stack {name!r} has ended")
                return
            found = seen.metrics(seconds=seconds, step=step, watching=WATCHED)
            warn(found.missing)
            if as_json:
                print_row(found.as_json())
            else:
                _show(found)
            if not follow:
                return


def describe(node: Node, name: NameOrFile = "default", as_json: Json = False) -> None:
    """Describe one node: its state, addresses, command, and variables, with secrets masked.

    The variables are those that the stack gives it; it may inherit others from the environment in
    which the stack was started.
    """
    with inspected(name) as seen:
        found = seen.node(node)
    if as_json:
        print_json(found.as_json())
        return
    for key, value in _facts(found):
        out.print(f"{key}: {value}", markup=False, soft_wrap=True)
    for each in found.variables:
        out.print(f"  {each.name}={each.value}", markup=False, soft_wrap=True)


def _facts(found: NodeDetail) -> Sequence[tuple[str, str]]:
    row = found.row
    state = row.state if row.exit_code is None else f"{row.state}, exit code {row.exit_code}"
    known = (
        ("node", f"{row.name}, {row.kind}"),
        ("app-id", row.app_id or ""),
        ("state", state),
        ("process", str(found.pid or "")),
        ("memory", f"{row.memory / MEBIBYTE:.0f} MiB" if row.memory else ""),
        ("processor time", f"{row.cpu_seconds:.1f} s"),
        ("addresses", ", ".join(f"{port} {each}" for port, each in row.addresses.items())),
        ("log", found.log),
        ("command", " ".join(found.command)),
        ("variables", str(len(found.variables))),
    )
    return [(key, value) for key, value in known if value]


def _show(found: Metrics) -> None:
    whole = found.step * found.intervals
    made = table("rates", "what", "of", f"in {whole:g} s", "per second", "most per second")
    for each in found.rates:
        add_row(made, each.what, each.of, *_figures(each, whole, found.step))
    out.print(made)
    used = table("nodes", "node", "at", "memory", "processor")
    for node in found.nodes:
        if node.samples:
            add_row(used, node.node, *_used(node))
    out.print(used)


def _figures(rate: Rate, whole: float, step: float) -> tuple[str, str, str]:
    total = sum(rate.counts)
    return str(total), f"{total / whole:.2f}", f"{max(rate.counts) / step:.2f}"


def _used(node: NodeSamples) -> tuple[str, str, str]:
    last = node.samples[-1]
    cpu = "" if last.cpu is None else f"{last.cpu:.1f} %"
    return clock(last.at), f"{last.memory / MEBIBYTE:.0f} MiB", cpu
