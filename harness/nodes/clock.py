"""Programs whose own "now" is that of the clock of their stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.deadline import Check
from harness.core.errors import ConfigError
from harness.core.node import Scope
from harness.nodes.programs import Kind, kind_of
from harness.provision.faketime import faketime_library
from harness.ready.clock import FollowsCheck
from harness.virtual_time import hook
from harness.virtual_time.hook.dapr_harness_clock import FILE, TEXT
from harness.virtual_time.published import show_as_text

HOOK = Path(hook.__file__).parent
"""What a Python interpreter imports at its start."""

MOUNTED = "/harness-clock"
"""The folder with the clock's file in a container."""


@dataclass(frozen=True)
class Followed:
    """What makes a program follow a clock.

    Attributes:
        env: its variables.
        prepended: paths in front of those of a variable.
        folders: prepared folders in its own folder, by relative name.
        mounts: folders of this machine that its container reads, and where it mounts each.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    prepended: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)


REAL = Followed()
"""Nothing: its time is real."""


def clock_of(scope: Scope, argv: Sequence[str]) -> Followed:
    """What makes a program follow the clock of its stack; nothing if time is real.

    Python follows by a module that its interpreter imports, and other programs by libfaketime.

    Args:
        argv: the program and its arguments.

    Raises:
        ConfigError: nothing can make it follow.
        Unavailable: libfaketime would be needed and is not installed.
    """
    if (file := scope.clock()) is None:
        return REAL
    if scope.in_container:
        return _in_container(file)
    python = {FILE: str(file)}, {"PYTHONPATH": str(HOOK)}
    kind = kind_of(argv[0])
    if kind is Kind.STATIC:
        raise ConfigError(
            f"{scope.node!r} cannot follow the clock: {argv[0]!r} is linked statically",
            expected="a Python program, or one that is linked dynamically",
            hint="leave out follow_clock=True, and let its callers tell it the time",
        )
    if kind is Kind.PYTHON:
        return Followed(*python)
    # The program may in turn start Python, whose sleep() fails with libfaketime: the hook restarts
    # it without.
    return _joined(Followed(*python), preloaded(file, threads=True))


def preloaded(file: Path, *, threads: bool) -> Followed:
    """What makes a program follow by libfaketime.

    Args:
        file: the clock's file.
        threads: whether it has several of them; signal handlers must then not ask for the time.

    Raises:
        Unavailable: it is not installed.
    """
    return Followed(
        {
            "FAKETIME_TIMESTAMP_FILE": f"{file}{TEXT}",
            "FAKETIME_FMT": "%s",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
        {"LD_PRELOAD": str(faketime_library(threads=threads))},
    )


def show_to(scope: Scope, program: str) -> None:
    """Have the clock of the stack be shown as libfaketime reads it, if a program needs that."""
    if (file := scope.clock()) and not scope.in_container and kind_of(program) is Kind.DYNAMIC:
        show_as_text(file)


def follows_checks(scope: Scope) -> Sequence[Check]:
    """That what listens follows the clock of the stack; none if that cannot be seen from here."""
    if (file := scope.clock()) is None or scope.in_container:
        return ()
    return (FollowsCheck(scope.node, scope.endpoint().port, str(file)),)


def _in_container(file: Path) -> Followed:
    return Followed(
        {FILE: f"{MOUNTED}/{file.name}"},
        {"PYTHONPATH": "/harness/clock"},
        {"clock": HOOK},
        {str(file.parent): MOUNTED},
    )


def _joined(one: Followed, other: Followed) -> Followed:
    return Followed({**one.env, **other.env}, {**one.prepended, **other.prepended})
