"""``logs``: what the nodes of a stack write."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import err, print_row
from harness.cli.inspecting import inspected
from harness.cli.log_tail import Tail, show
from harness.cli.stacks import NameOrFile
from harness.cli.state import stack_up
from harness.core.deadline import Deadline, ticks
from harness.core.errors import ConfigError, did_you_mean
from harness.stack.registry import UpNode, UpStack

INTERVAL = 0.1
"""Seconds between two looks at the logs."""


def logs(
    nodes: Annotated[list[str] | None, typer.Argument(help="The nodes; by default, all.")] = None,
    name: NameOrFile = "default",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until Ctrl-C.")] = False,
    lines: Annotated[
        int, typer.Option(help="The number of lines to show from the end of each log.")
    ] = 50,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print each as a line of JSON, in the order of time, with secrets masked.",
        ),
    ] = False,
) -> None:
    """Show the logs of the nodes of a stack."""
    with stack_up(name) as found:
        chosen = _chosen(found, nodes or [])
        if not as_json:
            _show_text(found, [Tail(node.name, Path(node.log), lines) for node in chosen], follow)
            return
    _show_json(name, [each.name for each in chosen], lines, follow=follow)


def _show_text(found: UpStack, tails: Sequence[Tail], follow: bool) -> None:
    show(tails)
    for _ in ticks(Deadline(math.inf), INTERVAL) if follow else ():
        show(tails)
        if not found.alive:
            err.print(f"stack {found.name!r} has ended")
            return


def _show_json(name: str, nodes: Sequence[str], lines: int, *, follow: bool) -> None:
    with inspected(name) as seen:
        pages = [seen.logs(nodes=[node], limit=lines) for node in nodes]
        after = max((page.next for page in pages), default=0)
        found = [line for page in pages for line in page.lines if line.seq <= after]
        for each in sorted(found, key=lambda line: (line.at, line.seq)):
            print_row(each.as_json())
        for _ in ticks(Deadline(math.inf), INTERVAL) if follow else ():
            page = seen.logs(nodes=nodes, after=after)
            after = page.next
            for each in page.lines:
                print_row(each.as_json())
            if not seen.alive:
                err.print(f"stack {name!r} has ended")
                return


def _chosen(found: UpStack, nodes: list[str]) -> list[UpNode]:
    by_name = {node.name: node for node in found.nodes}
    for node in nodes:
        if node not in by_name:
            raise ConfigError(
                f"stack {found.name!r} has no node {node!r}", hint=did_you_mean(node, list(by_name))
            )
    return [by_name[node] for node in nodes] or found.nodes
