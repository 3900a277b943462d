"""``bundle``: what is known of a stack that is up, as a page and an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import err, out, print_json
from harness.cli.stacks import Json
from harness.stack.registry import UpStack
from harness.stack.stack import Stack

FOLDER = Path("artefacts")
"""Where bundles are written, as those of failed tests are."""


def bundle(
    stack: Annotated[
        str, typer.Argument(help="The stack, or a compose file whose project is up.")
    ] = "default",
    output: Annotated[Path, typer.Option(help="The folder in which both files are written.")] = (
        FOLDER
    ),
    as_json: Json = False,
) -> None:
    """Write a page and an archive about a stack that is up.

    They have what a failed test leaves: the last events with their paths, the timeline, logs,
    nodes, sidecars, consumer groups and resources, with the stack's secrets masked.
    """
    from harness.inspection.opening import opening

    opened, record = opening(stack)
    with opened:
        found = written(opened, f"stack {stack}", output, up=record())
    if as_json:
        print_json(found)
        return
    tell(found)


def written(
    stack: Stack,
    name: str,
    folder: Path,
    *,
    error: str = "",
    option: str = "--output",
    up: UpStack | None = None,
) -> dict[str, str]:
    """Write the bundle of a stack; its files and its probable cause, if there is one.

    Args:
        stack: a running stack, or one whose nodes have exited.
        name: what the bundle is about.
        folder: where it is written.
        error: what went wrong, if anything did.
        option: the one that names the folder, for the message.
        up: what is known of the stack, if somebody else has started it.

    Raises:
        Unavailable: it cannot be written.
    """
    from harness.bundle.page import write
    from harness.bundle.whole import bundle_of

    began = up.since if up is not None and up.runtime == "compose" else None
    made = bundle_of(stack, name, error=error, began=began)
    page = write(made, folder, name=name, option=option)
    files = {"page": str(page), "archive": str(page.with_suffix(".zip"))}
    return {**files, "cause": made.causes[0].sentence} if made.causes else files


def tell(found: dict[str, str]) -> None:
    """Print what was written."""
    if "cause" in found:
        out.print(found["cause"], soft_wrap=True, markup=False)
    for each in ("page", "archive"):
        out.print(found[each], soft_wrap=True, markup=False)


def leave(stack: Stack, name: str, folder: Path, *, error: str = "", option: str) -> None:
    """Write the bundle of a command that ends, whose own result matters more.

    Args:
        stack: what the command has started.
        name: what the bundle is about.
        folder: where it is written.
        error: what went wrong, if anything did.
        option: the one that names the folder, for the message.
    """
    try:
        tell(written(stack, name, folder, error=error, option=option))
    except Exception as problem:  # noqa: BLE001 - the result of the command itself matters more
        err.print(f"warning: no bundle: {problem}", soft_wrap=True, markup=False)
