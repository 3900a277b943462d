"""``clock``: the time of a stack that is up with virtual time."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from harness.cli.console import out, print_json
from harness.cli.sidecars import endpoint_of
from harness.cli.stacks import Json, Name
from harness.cli.state import opened
from harness.core.errors import ConfigError, did_you_mean
from harness.core.names import CLOCK
from harness.core.settings import Settings
from harness.virtual_time.answers import Moved
from harness.virtual_time.clock import Clock

MOVES = ("advance", "advance-to", "run-until-idle", "freeze", "flow")


def clock(
    move: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(MOVES)}; nothing to look at it.")
    ] = None,
    value: Annotated[
        str | None, typer.Argument(help="A duration, a moment, or the speed of a flow.")
    ] = None,
    name: Name = "default",
    as_json: Json = False,
) -> None:
    """Show or move the time of a stack whose topology has time="virtual"."""
    found = _moved(_clock(name), move, value)
    if as_json:
        print_json(dataclasses.asdict(found) | _times(found))
        return
    for key, told in (*_times(found).items(), ("fired", found.fired), ("speed", found.speed)):
        out.print(f"{key}: {told}")
    for job in found.waiting:
        out.print(f"waits for its app: {job}")


def _moved(clock: Clock, move: str | None, value: str | None) -> Moved:
    if move not in (None, *MOVES):
        hint = did_you_mean(str(move), MOVES)
        raise ConfigError(f"a clock has no {move!r}", expected=" or ".join(MOVES), hint=hint)
    if (value is not None) != (move in ("advance", "advance-to", "flow")):
        needs = "needs no value" if value is not None else "needs a value, such as '28 days'"
        raise ConfigError(f"`clock {move or ''}` {needs}")
    if move == "flow":
        return clock.flow(_speed(str(value)))
    if move in ("advance", "advance-to"):
        return (clock.advance if move == "advance" else clock.advance_to)(str(value))
    if move is None:
        return clock.look()
    return clock.freeze() if move == "freeze" else clock.run_until_idle()


def _speed(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a speed", expected="such as 60") from None


def _clock(name: str) -> Clock:
    stack = opened(Settings.load()).require(name)
    for node in stack.nodes:
        if CLOCK in node.endpoints:
            return Clock(endpoint_of(node, CLOCK).http)
    raise ConfigError(
        f"the scheduler of stack {name!r} follows real time",
        expected='a topology with time="virtual"',
    )


def _times(found: Moved) -> dict[str, Any]:
    due = found.next_due
    return {"now": found.now.isoformat(), "next_due": due.isoformat() if due else None}
