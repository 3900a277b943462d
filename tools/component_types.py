"""Write harness/dapr/component_types.json from the sources of one Dapr version.

    python tools/component_types.py <folder of the dapr module> <folder of components-contrib>

Both folders are in the Go module cache after a build. Only facts are extracted: type names,
versions, field names and types, allowed values, required fields, and the field sets that an
authentication profile requires.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

CATEGORIES = {
    "bindings": "bindings",
    "pubsub": "pubsub",
    "state": "state",
    "secretstores": "secretstores",
    "configuration": "configuration",
    "lock": "lock",
    "crypto": "crypto",
    "conversation": "conversation",
    "middleware_http": "middleware.http",
}


CHECKED = ("bool", "duration", "number")


def registered(dapr: Path) -> set[str]:
    """Every type that daprd registers, from the calls that register it."""
    found = set()
    for file in (dapr / "cmd" / "daprd" / "components").glob("*.go"):
        category = next((c for c in CATEGORIES if file.name.startswith(c)), None)
        if category is None:
            continue
        for call in re.finditer(r"Register\w*Component\w*\((.*)\)", file.read_text()):
            for name in re.findall(r'"([^"]+)"', call.group(1)):
                found.add(f"{CATEGORIES[category]}.{re.sub(r'/v[0-9]+$', '', name)}")
    return found


def documented(contrib: Path) -> dict[str, dict[str, Any]]:
    """Fields by type and version, from the metadata.yaml files."""
    table: dict[str, dict[str, Any]] = {}
    for file in sorted(contrib.rglob("metadata.yaml")):
        # Some of these files contain tabs, which Go's parser accepts and this one does not.
        raw = yaml.safe_load(file.read_text().replace("\t", " "))
        if not isinstance(raw, dict) or "type" not in raw:
            continue
        name = raw["name"] if raw["type"] != "middleware" else raw["name"].removeprefix("http.")
        kind = "middleware.http" if raw["type"] == "middleware" else raw["type"]
        profiles = raw.get("authenticationProfiles") or []
        groups = []
        described = list(raw.get("metadata") or [])
        for profile in [*profiles, *(raw.get("builtinAuthenticationProfiles") or [])]:
            described += profile.get("metadata") or []
        for profile in profiles:
            needed = [f["name"] for f in profile.get("metadata") or [] if f.get("required")]
            groups.append(sorted(needed))
        table.setdefault(f"{kind}.{name}", {})[raw.get("version", "v1")] = {
            "required": sorted(f["name"] for f in raw.get("metadata") or [] if f.get("required")),
            "profiles": groups if groups and all(groups) else [],
            "fields": sorted({field["name"] for field in described}),
            "types": _types(described),
            "values": _values(described),
        }
    return table


def _types(fields: list[dict[str, Any]]) -> dict[str, str]:
    """The types of fields that are not free text."""
    kinds = {field["name"]: str(field.get("type", "")) for field in fields}
    return {name: kind for name, kind in sorted(kinds.items()) if kind in CHECKED}


def _values(fields: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The values of fields that accept only some; for several profiles, those of all of them."""
    found: dict[str, set[str]] = {}
    free = set()
    for field in fields:
        allowed = {str(value).lower() for value in field.get("allowedValues") or []}
        found.setdefault(field["name"], set()).update(allowed)
        if not allowed:
            free.add(field["name"])
    return {name: sorted(words) for name, words in sorted(found.items()) if name not in free}


def main() -> None:
    """Join both sources and write the table."""
    table = documented(Path(sys.argv[2]))
    for name in registered(Path(sys.argv[1])):
        table.setdefault(name, {})
    target = Path(__file__).parent.parent / "harness" / "dapr" / "component_types.json"
    rows = (f"{json.dumps(key)}: {json.dumps(table[key])}" for key in sorted(table))
    target.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    sys.stdout.write(f"{len(table)} types, {target.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
