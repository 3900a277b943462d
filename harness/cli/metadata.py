"""``metadata``: what a sidecar of a running stack has loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from harness.cli.console import add_row, out, print_json, table
from harness.cli.stacks import NameOrFile
from harness.cli.state import stack_up
from harness.dapr import calls
from harness.dapr.model import Metadata
from harness.inspection.parts import Part, declared_by, log_messages, parts_of
from harness.inspection.sidecars import require_sidecar


def metadata(
    app: Annotated[str, typer.Argument(help="The id of an app with a sidecar.")],
    name: NameOrFile = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print daprd's own document.")] = False,
) -> None:
    """Show what the sidecar of an app has loaded: components, subscriptions, actors, features."""
    with stack_up(name) as stack:
        sidecar = require_sidecar(stack, app)
        seen = sidecar.run(calls.metadata(), "report its metadata")
        log = tuple(log_messages(Path(sidecar.node.log)))
        parts = parts_of(seen, declared_by(sidecar), log)
    if as_json:
        print_json(seen.raw)
        return
    for label, fact in facts_of(seen):
        out.print(f"{label:<12} {fact}", soft_wrap=True, markup=False)
    for made in _tables(seen, parts):
        out.print(made)


def facts_of(seen: Metadata) -> Iterator[tuple[str, str]]:
    """The single-line facts: labels with daprd's values."""
    runtime = seen.raw.get("actorRuntime") or {}
    yield "app", seen.app_id
    yield "Dapr", seen.runtime_version
    yield "features", ", ".join(seen.raw.get("enabledFeatures") or ()) or "none enabled"
    if app := seen.raw.get("appConnectionProperties"):
        address = f"{app.get('channelAddress', '')}:{app.get('port', '')}"
        yield "app channel", f"{app.get('protocol', '')} {address}".strip()
    host = "ready" if runtime.get("hostReady") else "not ready"
    status = runtime.get("runtimeStatus", "unknown")
    yield "actors", f"{status}, host {host}, {seen.placement or 'placement: unknown'}"
    yield "scheduler", ", ".join(seen.schedulers) or "not connected"


def _tables(seen: Metadata, parts: tuple[Part, ...]) -> Iterator[Table]:
    yield _components(seen, parts)
    if any(each.kind == "subscription" for each in parts):
        yield _subscriptions(seen, parts)
    if seen.actor_types:
        made = table("actor types", "type", "active actors")
        for each in seen.raw["actors"]:
            add_row(made, each["type"], str(each.get("count", 0)))
        yield made


def _components(seen: Metadata, parts: tuple[Part, ...]) -> Table:
    known = {each.name: each for each in seen.components}
    made = table("components", "name", "type", "version", "capabilities", "state")
    for part in parts:
        if part.kind == "component":
            one = known.get(part.name)
            words = (one.version, ", ".join(one.capabilities)) if one else ("", "")
            add_row(made, part.name, part.detail, *words, _cell(part))
    return made


def _subscriptions(seen: Metadata, parts: tuple[Part, ...]) -> Table:
    known = {
        (each["pubsubname"], each["topic"]): each for each in seen.raw.get("subscriptions") or ()
    }
    columns = ("pub/sub", "topic", "routes", "dead letter topic", "kind", "state")
    made = table("subscriptions", *columns)
    for part in parts:
        if part.kind == "subscription":
            one = known.get((part.detail, part.name), {})
            words = (one.get("deadLetterTopic", ""), one.get("type", ""))
            routes = "\n".join(_route(rule) for rule in one.get("rules") or ())
            add_row(made, part.detail, part.name, routes, *words, _cell(part))
    return made


def _cell(part: Part) -> Text:
    """Up, or why not."""
    return Text("up", style="green") if part.up else Text(part.error, style="red")


def _route(rule: Mapping[str, str]) -> str:
    match, path = rule.get("match", ""), rule.get("path", "")
    return f"{path} if {match}" if match else path
