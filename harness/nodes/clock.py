"""Programs whose own "now" is that of the clock of their stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import ConfigError
from harness.core.node import Scope
from harness.virtual_time import hook
from harness.virtual_time.hook.dapr_harness_clock import FILE

HOOK = Path(hook.__file__).parent
"""What a Python interpreter imports at its start."""


@dataclass(frozen=True)
class Followed:
    """What makes a program follow a clock.

    Attributes:
        env: its variables.
        prepended: paths in front of those of a variable.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    prepended: Mapping[str, str] = field(default_factory=dict)


REAL = Followed()
"""Nothing: its time is real."""


def clock_of(scope: Scope) -> Followed:
    """What makes a Python program follow the clock of its stack; nothing if time is real.

    Raises:
        ConfigError: the program runs in a container.
    """
    if not (clock := scope.clock()):
        return REAL
    if scope.in_container:
        raise ConfigError(
            f"{scope.node!r} cannot follow the clock: it runs in a container",
            expected="a process of this machine, which can read the clock's file",
            hint="give it on_host=True, or use the processes runtime",
        )
    file = scope.exports(clock)["now"]
    return Followed({FILE: file}, {"PYTHONPATH": str(HOOK)})
