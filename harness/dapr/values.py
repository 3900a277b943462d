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

MISTYPED = {("state.memcached", "timeout"): "number"}
"""Fields whose type in metadata.yaml is not the one that the code reads."""

UNCHECKED = ("ackPolicy", "concurrency", "consumerGroupRebalanceStrategy", "redisType",
             "saslMechanism")  # fmt: skip
"""Fields with a list of values that daprd does not compare when it starts."""

UNREAD = ("state.redis", "redeliverInterval")
"""A field with a type that belongs to another component of the same family: no value is refused."""

STRICT = ".redis"
"""Types that end with it refuse an unknown word for a bool; others read it as false."""

# A pattern, because no library reads Go's durations and a plain number, as daprd does.
_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+|[-+]?\d+")
_BOOL = re.compile(r"(?i)y|yes|true|t|on|1|n|no|false|f|off|0")
_WHOLE = re.compile(r"[-+]?\d+")
_LITERAL = re.compile(r"^(?!.*\$\{).*$", re.DOTALL)

TAKES: Mapping[str, tuple[Callable[[str], object], str]] = {
    "number": (_WHOLE.fullmatch, "a whole number"),
    "duration": (_DURATION.fullmatch, "a duration such as 500ms, 5s or 1h"),
    "bool": (_BOOL.fullmatch, '"true" or "false"'),
}
"""By type in metadata.yaml: whether a string is valid, and the message if not."""


def check_values(each: DaprResource, table: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the values of a component's fields, except placeholders and references.

    An error is what daprd refuses, a warning what it ignores or reads in another way.
    """
    kinds = {name.lower(): kind for name, kind in table.get("types", {}).items()}
    words = {name.lower(): allowed for name, allowed in table.get("values", {}).items()}
    for index, (name, item) in enumerate(each.fields().items()):
        if "value" not in item or not _LITERAL.match(str(item["value"])):
            continue
        value, place = _as_daprd_reads(item["value"]), each.at(f"spec.metadata.{index}")
        kind = MISTYPED.get((each.type, name), kinds.get(name.lower(), ""))
        allowed = words.get(name.lower(), [])
        if value:
            yield from _check_words(each, place, name, value, allowed)
            yield from _check_type(each, place, name, value, kind)
        elif kind or allowed:
            message = f"{each.type}: {name} has no value"
            yield Finding(place, message, "give it one, or leave it out", "warning")


def _check_type(
    each: DaprResource, place: str, name: str, value: str, kind: str
) -> Iterator[Finding]:
    taken, expected = TAKES.get(kind, (bool, ""))
    if not expected or taken(value):
        return
    # A few fields take fractions; an unknown word for a bool is false.
    lenient = _is_number(value) if kind == "number" else kind == "bool"
    lenient = (lenient and not each.type.endswith(STRICT)) or (each.type, name) == UNREAD
    severity = "warning" if lenient else "error"
    yield Finding(place, f"{each.type}: {name} is {value!r}", f"it takes {expected}", severity)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+\.\d+", text) is not None


def _check_words(
    each: DaprResource, place: str, name: str, value: str, allowed: list[str]
) -> Iterator[Finding]:
    known = [*allowed, *ALSO.get(name, ())]
    if allowed and value not in known:
        other_case = value.lower() in [word.lower() for word in known]
        severity = "warning" if other_case or name in UNCHECKED else "error"
        hint = f"{closest(value, known)} it takes {', '.join(known)}".strip()
        yield Finding(place, f"{each.type}: {name} does not take {value!r}", hint, severity)


def _as_daprd_reads(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
