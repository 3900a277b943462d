"""Checks a resource's fields against the schema of its kind, which daprd itself does not do.

Outside a cluster, daprd reads the fields it knows and silently ignores the rest; a value of the
wrong type makes it skip the whole resource. The schemas are Dapr's CRDs
(`harness.provision.metadata`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import closest
from harness.dapr.finding import Finding
from harness.dapr.resources import DaprResource

OURS = ("scopes", "auth")
"""Checked elsewhere: scopes of a Configuration are an extension of the harness, and misplaced ones
have their own finding."""

TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "object": (dict,), "array": (list,),
}  # fmt: skip


def check_structure(each: DaprResource, schemas: Mapping[str, Any]) -> Iterator[Finding]:
    """Unknown fields of the kind, and values of the wrong type."""
    version = str(each.body.get("apiVersion", "")).rpartition("/")[2]
    schema = schemas.get(f"{each.kind}/{version}")
    if schema is not None:
        yield from _walk(each, each.body, schema, "")


# Not jsonschema: every start checks its resources, and importing it takes 130 ms, this 0.3 ms for
# 29 resources. Nor are these its rules: null and placeholders fit any type, an unknown field is a
# warning with a suggestion, and daprd requires no field that a CRD requires.
def _walk(
    each: DaprResource, value: Any, schema: Mapping[str, Any], path: str
) -> Iterator[Finding]:
    kind = schema.get("type")
    if value is None or kind is None or "x-kubernetes-int-or-string" in schema:
        return
    if not _fits(value, kind):
        message = f"{each.kind} {each.name!r}: {path} is {value!r}"
        yield Finding(each.at(path), message, f"expected: {kind}; daprd would not load it")
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(each, item, schema.get("items") or {}, f"{path}.{index}")
    elif isinstance(value, dict):
        yield from _walk_object(each, value, schema, path)


def _walk_object(
    each: DaprResource, value: Mapping[str, Any], schema: Mapping[str, Any], path: str
) -> Iterator[Finding]:
    known, others = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, item in value.items():
        place = f"{path}.{key}".lstrip(".")
        if key in known:
            yield from _walk(each, item, known[key], place)
        elif isinstance(others, dict):
            yield from _walk(each, item, others, place)
        elif known and key not in OURS and not schema.get("x-kubernetes-preserve-unknown-fields"):
            message = f"{each.kind} has no field {place!r}: daprd ignores it"
            yield Finding(each.at(place), message, closest(str(key), list(known)), "warning")


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, str) and "${" in value:
        return True  # a placeholder, whatever it will be
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])
