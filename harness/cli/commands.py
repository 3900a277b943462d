"""The commands, and how failures are reported."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer

from harness.cli import interrupts, streams
from harness.cli.console import err
from harness.core.errors import HarnessError, SystemFailure, Unavailable

EXIT_CODES = (
    "Exit codes: 0 success, 1 the system under test failed, 2 wrong usage or configuration, "
    "3 a prerequisite is missing, 4 the stack failed, 130 interrupted."
)

COMMANDS = {
    "up": "stacks",
    "down": "stacks",
    "status": "stacks",
    "logs": "logs",
    "token": "stacks",
    "events": "observing",
    "deliveries": "observing",
    "calls": "observing",
    "ledger": "inspecting",
    "explain": "inspecting",
    "redeliver": "inspecting",
    "topics": "inspecting",
    "traces": "tracing",
    "trace": "tracing",
    "rows": "browsing",
    "metrics": "measuring",
    "describe": "measuring",
    "bundle": "bundle",
    "restart": "nodes",
    "kill": "nodes",
    "pause": "nodes",
    "resume": "nodes",
    "clock": "clock",
    "metadata": "metadata",
    "publish": "calling",
    "invoke": "calling",
    "ui": "ui",
    "run": "multi_app",
    "mcp": "serving",
    "demo": "demo",
    "provision": "tools",
    "doctor": "tools",
    "lint": "lint",
    "load": "load",
    "replay": "replaying",
    "diff": "replaying",
    "kubectl": "cluster",
}
"""The module of each command: only that of the given command is imported."""

CLASSES = {"kubectl": "PassingOn"}
"""The class in its module of a command that reads its arguments in a way of its own."""

GROUPS = ("state", "jobs", "images", "render", "validate", "cluster")
"""Commands that have commands of their own, each an ``app`` in its module."""

MODULE_OF_GROUP = {"state": "state_store"}
"""Of those whose module has another name."""


def program(names: Iterable[str]) -> typer.Typer:
    """The program with some of its commands.

    Args:
        names: of the commands.
    """
    made = typer.Typer(
        name="dapr-harness",
        help="Start, inspect, test and break a real Dapr system on one machine.",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    # Without it, a program with one command would be that command.
    made.callback()(lambda: None)
    for name in names:
        if name in COMMANDS:
            module = _module(COMMANDS[name])
            made.command(cls=getattr(module, CLASSES.get(name, ""), None))(getattr(module, name))
        else:
            made.add_typer(_module(MODULE_OF_GROUP.get(name, name)).app)
    return made


def _module(name: str) -> Any:
    return import_module(f"harness.cli.{name}")


def __getattr__(name: str) -> Any:
    """The program with all commands, ``app``, is made when somebody asks for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = program([*COMMANDS, *GROUPS])
    return made


CAUSES = (
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR,
    errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
)  # fmt: skip
"""Errors of the machine, not of the harness: too little space, no permission."""

TOO_FEW = "too few processes are allowed (see `ulimit -u`, and `dapr-harness doctor`)"


def run() -> int:
    """Run the command of the command line; return its exit code."""
    first = sys.argv[1:2]
    # For help, and to suggest what an unknown one may mean, all are needed.
    names = first if {*first} & {*COMMANDS, *GROUPS} else [*COMMANDS, *GROUPS]
    try:
        code = program(names)(standalone_mode=False)
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
