"""Objects against the schemas of Kubernetes and of Dapr's CRDs, without a cluster."""

from __future__ import annotations

import copy
import json
import warnings
from importlib.resources import files
from typing import Any

import jsonschema

with warnings.catch_warnings():
    # It imports importlib's deprecated reading of resources.
    warnings.simplefilter("ignore")
    import kubernetes_validate

VERSION = "1.33"


def validate(body: dict[str, Any]) -> None:
    """Check one object, unknown fields included.

    Raises:
        jsonschema.ValidationError: it is wrong.
    """
    group, _, version = body["apiVersion"].rpartition("/")
    if group == "dapr.io":
        jsonschema.validate(body, _dapr(f"{body['kind']}/{version}"))
    else:
        kubernetes_validate.validate(body, VERSION, strict=True)


def _dapr(name: str) -> dict[str, Any]:
    """The schema of a resource of Dapr, closed: what it does not name is wrong."""
    schemas = json.loads(files("harness.dapr").joinpath("crds.json").read_text())
    schema: dict[str, Any] = _closed(copy.deepcopy(schemas[name]))
    schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    return schema


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if "properties" in closed and not closed.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    if closed.get("nullable") and "type" in closed:
        closed["type"] = [closed["type"], "null"]
    return closed
