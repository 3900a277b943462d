"""What one version of Dapr knows: the types of components with their fields, and the schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from harness.provision.metadata import CRDS, TYPES


@dataclass(frozen=True)
class Known:
    """The facts that resources are checked against.

    Attributes:
        types: every component type, by version, with its fields.
        schemas: every kind of resource, by ``<kind>/<version>``, as Dapr's CRDs have it.
    """

    types: Mapping[str, Mapping[str, Mapping[str, Any]]]
    schemas: Mapping[str, Any]


@cache
def pinned() -> Known:
    """What the pinned Dapr knows."""
    return known_in(files("harness.dapr"))


def known_in(folder: Path | Traversable) -> Known:
    """What the tables of a folder say (`harness.provision.metadata` writes them)."""
    read = [json.loads(folder.joinpath(name).read_text()) for name in (TYPES, CRDS)]
    return Known(*read)
