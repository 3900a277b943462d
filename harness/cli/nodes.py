"""``restart``, ``kill``, ``pause`` and ``resume``: one node of a stack that is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.console import out, print_json
from harness.cli.stacks import Json, NameOrFile
from harness.cli.watching import show_check
from harness.core.journal import Entry
from harness.stack.stack import Stack

if TYPE_CHECKING:
    from harness.inspection.model import Action

Node = Annotated[str, typer.Argument(help="The node, as `status` shows it.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Continue even if the stack was started with another topology."),
]


def _ignore(_entry: Entry) -> None:
    """Show nothing."""


def restart(
    node: Node,
    name: NameOrFile = "default",
    grace: Annotated[
        float | None,
        typer.Option(
            help="Seconds between the stop signal and SIGKILL; the node's own by default."
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Restart one node, with the same ports and data, and wait until it is ready.

    It is stopped first if it is running. Tests that are attached to the stack notice nothing but
    the time that it takes.
    """
    began = time.monotonic()

    def show(entry: Entry) -> None:
        if entry.node == node and not as_json:
            show_check(entry, began)

    with _attached(name, force=force, watch=show) as stack:
        from harness.inspection.nodes import require_instance

        require_instance(stack, node)
        stack.restart(node, grace)
        _report(stack, node, "is ready again", began, as_json=as_json)


def kill(
    node: Node, name: NameOrFile = "default", force: Force = False, as_json: Json = False
) -> None:
    """Kill one node with SIGKILL. Tests that are attached to the stack fail and name the cause."""
    _operate("kill", "was killed", node, name, force=force, as_json=as_json)


def pause(
    node: Node, name: NameOrFile = "default", force: Force = False, as_json: Json = False
) -> None:
    """Freeze one node: it keeps its connections but does not respond until `resume`."""
    _operate("pause", "is paused", node, name, force=force, as_json=as_json)


def resume(
    node: Node, name: NameOrFile = "default", force: Force = False, as_json: Json = False
) -> None:
    """Let one node continue after `pause`."""
    _operate("resume", "continues", node, name, force=force, as_json=as_json)


def _operate(
    operation: Action, what: str, node: str, name: str, *, force: bool, as_json: bool
) -> None:
    """Act on a running node, and report its new state."""
    began = time.monotonic()
    with _attached(name, force=force) as stack:
        from harness.inspection.nodes import act

        act(stack, operation, node)
        _report(stack, node, what, began, as_json=as_json)


def _attached(name: str, *, force: bool, watch: Callable[[Entry], None] = _ignore) -> Stack:
    """The stack, whatever state its nodes are in."""
    from harness.inspection.opening import opening

    return opening(name, force=force, watch=watch).stack


def _report(stack: Stack, node: str, what: str, began: float, *, as_json: bool) -> None:
    took, pid = time.monotonic() - began, stack.instances[node].pid
    if as_json:
        print_json({"node": node, "pid": pid, "seconds": took})
    else:
        out.print(f"{node} {what} after {took:.2f} s", markup=False)
