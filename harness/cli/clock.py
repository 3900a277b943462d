"""``clock``: the time of a stack that is up with virtual time."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.console import out, print_json
from harness.cli.stacks import Json, Name
from harness.cli.state import opened, started
from harness.core.errors import ConfigError, did_you_mean
from harness.core.names import CLOCK
from harness.core.settings import Settings
from harness.dapr.resources import read_resources
from harness.inspection.sidecars import UpSidecar, endpoint_of, sidecars_of
from harness.stack.registry import UpStack
from harness.stack.ticks import TickSidecar, targets_of
from harness.virtual_time.answers import Moved
from harness.virtual_time.clock import Clock
from harness.virtual_time.ticks import Target, Ticked

MOVES = ("advance", "advance-to", "run-until-idle", "freeze", "flow", "tick")
WITH_VALUE = ("advance", "advance-to", "flow", "tick")


def clock(
    move: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(MOVES)}; nothing to look at it.")
    ] = None,
    value: Annotated[
        str | None,
        typer.Argument(help="A duration, a moment, the speed of a flow, or a cron binding."),
    ] = None,
    name: Name = "default",
    as_json: Json = False,
) -> None:
    """Show or move the time of a stack whose topology has time="virtual".

    In real time too, `tick NAME` calls the apps as the cron binding NAME would.
    """
    _require_words(move, value)
    clock = _clock(name)
    if move == "tick":
        _print_tick(clock.tick(str(value)), as_json)
    else:
        _print_time(_moved(clock, move, value), as_json)


def _print_tick(found: Ticked, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(found) | {"at": found.at.isoformat()})
        return
    out.print(f"at: {found.at.isoformat()}")
    for each in found.answers:
        out.print(f"{each.app}: {each.status} {each.text}".rstrip(), markup=False)


def _print_time(found: Moved, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(found) | _times(found))
        return
    for key, told in (*_times(found).items(), ("fired", found.fired), ("speed", found.speed)):
        out.print(f"{key}: {told}")
    for job in found.waiting:
        out.print(f"waits for its app: {job}")


def _require_words(move: str | None, value: str | None) -> None:
    if move not in (None, *MOVES):
        hint = did_you_mean(str(move), MOVES)
        raise ConfigError(f"a clock has no {move!r}", expected=" or ".join(MOVES), hint=hint)
    if (value is not None) != (move in WITH_VALUE):
        example = "the name of a cron binding" if move == "tick" else "a value, such as '28 days'"
        needs = "needs no value" if value is not None else f"needs {example}"
        raise ConfigError(f"`clock {move or ''}` {needs}")


def _moved(clock: Clock, move: str | None, value: str | None) -> Moved:
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
    instead = "a compose project has no virtual time; `dapr-harness up` can start one that has"
    stack = started(opened(Settings.load()), name, "clock", instead)
    moved = [endpoint_of(node, CLOCK).http for node in stack.nodes if CLOCK in node.endpoints]
    return Clock(moved[0] if moved else None, bindings=partial(_targets, stack))


def _targets(stack: UpStack, binding: str) -> list[Target]:
    mtls = any(node.name == "sentry" for node in stack.nodes)
    sidecars = [_ticked(stack, each) for each in sidecars_of(stack).values()]
    return targets_of(binding, sidecars, mtls=mtls)


def _ticked(stack: UpStack, sidecar: UpSidecar) -> TickSidecar:
    node = sidecar.node
    home = Path(stack.folder) / "nodes" / node.name
    return TickSidecar(
        sidecar.app_id,
        endpoint_of(node, "http"),
        stack.token,
        node.endpoints.get("internal", ""),
        # In a container, it is one level deeper.
        read_resources(sorted(home.rglob("resources"))),
    )


def _times(found: Moved) -> dict[str, Any]:
    due = found.next_due
    return {"now": found.now.isoformat(), "next_due": due.isoformat() if due else None}
