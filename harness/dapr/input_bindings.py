"""Where daprd delivers what an input binding receives."""

from __future__ import annotations

from dataclasses import dataclass

from harness.dapr.resources import DaprResource

CRON = "bindings.cron"


@dataclass(frozen=True)
class Route:
    """How daprd calls the app for one input binding.

    Attributes:
        path: the path that it calls: the component's ``route``, or its name.
        asks: whether it asks the app first, with OPTIONS: unless its ``direction`` says ``input``.
    """

    path: str
    asks: bool


def route_of(component: DaprResource) -> Route | None:
    """The route of an input binding; None if its ``direction`` makes it an output binding.

    As daprd does, this distinguishes case in ``route``, but not in ``direction``.
    """
    values = {name: str(item.get("value", "")) for name, item in component.fields().items()}
    said = [value for name, value in values.items() if name.lower() == "direction"]
    directions = {each.strip().lower() for value in said for each in value.split(",")}
    if said and "input" not in directions:
        return None
    return Route(values.get("route") or component.name, asks=not said)
