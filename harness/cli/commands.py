"""The commands, and how failures are reported."""

from __future__ import annotations

import contextlib
import errno

import typer

from harness.cli import (
    cluster,
    images,
    inspecting,
    interrupts,
    jobs,
    nodes,
    observing,
    render,
    stacks,
    state_store,
    streams,
    tools,
    validate,
)
from harness.cli.bundle import bundle
from harness.cli.calling import invoke, publish
from harness.cli.clock import clock
from harness.cli.console import err
from harness.cli.demo import demo
from harness.cli.lint import lint
from harness.cli.load import load
from harness.cli.logs import logs
from harness.cli.metadata import metadata
from harness.cli.multi_app import run as run_file
from harness.cli.replaying import diff, replay
from harness.cli.serving import mcp
from harness.cli.ui import ui
from harness.core.errors import HarnessError, SystemFailure, Unavailable

EXIT_CODES = (
    "Exit codes: 0 success, 1 the system under test failed, 2 wrong usage or configuration, "
    "3 a prerequisite is missing, 4 the stack failed, 130 interrupted."
)

app = typer.Typer(
    name="dapr-harness",
    help="Start, inspect, test and break a real Dapr system on one machine.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    stacks.up,
    stacks.down,
    stacks.status,
    logs,
    stacks.token,
    observing.events,
    observing.deliveries,
    observing.calls,
    inspecting.ledger,
    inspecting.explain,
    inspecting.redeliver,
    inspecting.topics,
    bundle,
    nodes.restart,
    nodes.kill,
    nodes.pause,
    nodes.resume,
    clock,
    metadata,
    publish,
    invoke,
    ui,
    run_file,
    mcp,
    demo,
    tools.provision,
    tools.doctor,
    lint,
    load,
    replay,
    diff,
):
    app.command()(command)
app.add_typer(state_store.app)
app.add_typer(jobs.app)
app.add_typer(images.app)
app.add_typer(render.app)
app.add_typer(validate.app)
app.add_typer(cluster.app)
app.command(cls=cluster.PassingOn)(cluster.kubectl)


CAUSES = (
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR,
    errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
)  # fmt: skip
"""Errors of the machine, not of the harness: too little space, no permission."""

TOO_FEW = "too few processes are allowed (see `ulimit -u`, and `dapr-harness doctor`)"


def run() -> int:
    """Run the command of the command line; return its exit code."""
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if interrupts.caused(error):
            raise
        return _failed(error)
    return code if isinstance(code, int) else 0


def _failed(error: Exception) -> int:
    """Report the error that ended a command; re-raise it if it is a bug in the harness."""
    if isinstance(error, (HarnessError, SystemFailure)):
        lines = [f"[red]error:[/] {_escaped(str(error))}"]
        lines += [_escaped(note) for note in getattr(error, "__notes__", [])]
        with contextlib.suppress(OSError):
            err.print("\n".join(lines), soft_wrap=True)
        return error.exit_code
    if isinstance(error, OSError):
        return _refused(error)
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return _refused(BlockingIOError(errno.EAGAIN, str(error)))
    # A usage error comes from click, and typer includes its own click from some version on: it is
    # recognised by its methods.
    if not hasattr(error, "show"):
        raise error
    error.show()
    return 2


def _refused(error: OSError) -> int:
    """Report an error of the machine; anything else is a bug in the harness, with its traceback."""
    if streams.lost():
        return streams.NOT_WRITTEN  # reported at the end
    if error.errno not in CAUSES:
        raise error
    place = f"{error.filename} cannot be used" if error.filename else "the machine has no more"
    if error.errno == errno.EAGAIN:
        place = TOO_FEW
    streams.say(f"error: {place}: {error.strerror}")
    return Unavailable.exit_code


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
