"""Checks whether a component accepts the values of its fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.core.errors import closest
from harness.dapr.finding import Finding
from harness.dapr.resources import DaprResource

ALSO = {"authType": ("certificate",)}
"""Values that the code accepts and metadata.yaml does not list."""

# A pattern, because no library reads Go's durations, a plain number and ISO 8601, as daprd does.
_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+|-?\d+|P[\dYMWDTHS.]+")
_BOOL = re.compile(r"(?i)y|yes|true|t|on|1|n|no|false|f|off|0|")
_LITERAL = re.compile(r"^(?!.*\$\{).*$", re.DOTALL)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


TAKES: Mapping[str, tuple[Callable[[str], object], str]] = {
    "number": (_is_number, "a number"),
    "duration": (_DURATION.fullmatch, "a duration such as 500ms, 5s or 1h"),
    "bool": (_BOOL.fullmatch, '"true" or "false"'),
}
"""By type in metadata.yaml: whether a string is valid, and the message if not."""


def check_values(each: DaprResource, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the values of a component's fields, except placeholders and references."""
    kinds = {name.lower(): kind for name, kind in table.get("types", {}).items()}
    words = {name.lower(): allowed for name, allowed in table.get("values", {}).items()}
    for index, (name, item) in enumerate(each.fields().items()):
        if "value" not in item or not _LITERAL.match(str(item["value"])):
            continue
        value, place = _as_daprd_reads(item["value"]), each.at(f"spec.metadata.{index}")
        yield from _check_words(each, place, name, value, words.get(name.lower(), []))
        taken, expected = TAKES.get(kinds.get(name.lower(), ""), (bool, ""))
        if expected and not taken(value):
            yield Finding(place, f"{each.type}: {name} is {value!r}", f"it takes {expected}")


def _check_words(
    each: DaprResource, place: str, name: str, value: str, allowed: list[str]
) -> Iterator[Finding]:
    known = [*allowed, *ALSO.get(name, ())]
    if allowed and value.lower() not in known:
        hint = f"{closest(value.lower(), known)} it takes {', '.join(known)}".strip()
        yield Finding(place, f"{each.type}: {name} does not take {value!r}", hint)


def _as_daprd_reads(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
