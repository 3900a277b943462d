"""What one version of Dapr knows, read from the sources of its modules: its types and schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import Unavailable
from harness.core.settings import Settings
from harness.provision.progress import Progress, step
from harness.provision.store import Store

TYPES = "component_types.json"
CRDS = "crds.json"
_ANNOTATION = re.compile(
    r'(?P<type>\S+)\s+`annotation:"(?P<name>dapr\.io/[a-z0-9-]+)"(?:\s+default:"(?P<default>[^"]*)")?'
)

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

NAME_RESOLUTION = "nameresolution"
"""The category whose types only a Configuration names."""

_REGISTERS = re.compile(r"Register\w*(?:Component\w*|Binding)\(|^\t}, \"")
"""A line with the names of a type: of the call that registers it, or behind a factory's body."""

_VERSIONED = re.compile(r'RegisterComponentWithVersions\("([^"]+)"(.*?)\n\t\}\)', re.DOTALL)

CHECKED = ("bool", "duration", "number")


def registered_in(file: Path) -> list[set[str]]:
    """Every type that a file of daprd's components registers; each with its other names."""
    found = []
    for line in file.read_text().splitlines():
        if _REGISTERS.search(line):
            names = re.findall(r'"([^"]+)"', line)
            found.append({_type(file, re.sub(r"/v[0-9]+$", "", name)) for name in names})
    return found


def _versions(dapr: Path) -> Iterator[tuple[str, str]]:
    """Each type that daprd registers with its versions, and each of them."""
    for file in _files(dapr):
        for name, block in _VERSIONED.findall(file.read_text()):
            for version in re.findall(r'Version: "(v[0-9]+)"', block):
                yield _type(file, name), version


def _files(dapr: Path) -> Iterator[Path]:
    """Those that are built into daprd; the tags of others are of tests of Dapr's own."""
    for file in sorted((dapr / "cmd" / "daprd" / "components").glob("*.go")):
        tags = file.read_text().partition("\n")[0]
        left_out = tags.startswith("//go:build") and "allcomponents" not in tags
        if file.name.startswith(tuple(CATEGORIES)) and not left_out:
            yield file


def _type(file: Path, name: str) -> str:
    category = next((c for c in CATEGORIES if file.name.startswith(c)), NAME_RESOLUTION)
    return f"{CATEGORIES.get(category, category)}.{name}"


def _documented(contrib: Path) -> dict[str, dict[str, Any]]:
    """Fields by type and version, from the metadata.yaml files."""
    table: dict[str, dict[str, Any]] = {}
    for file in sorted(contrib.rglob("metadata.yaml")):
        # Some of these files have tabs, which Go's parser lets pass and this one does not.
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
    """The types of the fields whose values are checked."""
    kinds = {field["name"]: str(field.get("type", "")) for field in fields}
    return {name: kind for name, kind in sorted(kinds.items()) if kind in CHECKED}


def _values(fields: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The allowed values of fields that have a fixed list; several profiles are merged."""
    found: dict[str, set[str]] = {}
    free = set()
    for field in fields:
        allowed = {_word(value) for value in field.get("allowedValues") or []}
        found.setdefault(field["name"], set()).update(allowed)
        if not allowed:
            free.add(field["name"])
    return {name: sorted(words) for name, words in sorted(found.items()) if name not in free}


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(schema: Any) -> Any:
    """The schema without its descriptions."""
    if isinstance(schema, dict):
        return {
            name: _plain(value)
            for name, value in schema.items()
            if not (name == "description" and isinstance(value, str))
        }
    return [_plain(each) for each in schema] if isinstance(schema, list) else schema


def _schemas(dapr: Path) -> dict[str, Any]:
    """By ``<kind>/<version>``."""
    found = {}
    for file in sorted((dapr / "charts" / "dapr" / "crds").glob("*.yaml")):
        body = yaml.safe_load(file.read_text())["spec"]
        for version in body["versions"]:
            name = f"{body['names']['kind']}/{version['name']}"
            found[name] = _plain(version["schema"]["openAPIV3Schema"])
    return found


def _annotations(dapr: Path) -> dict[str, dict[str, str]]:
    """By name, the type that the injector reads and its default, if it has one."""
    injector = dapr / "pkg" / "injector"
    constants = (injector / "annotations" / "annotations.go").read_text()
    found = {name: {"type": "string"} for name in re.findall(r'"(dapr\.io/[a-z0-9-]+)"', constants)}
    for match in _ANNOTATION.finditer((injector / "patcher" / "sidecar.go").read_text()):
        own = {"type": match["type"].strip("*0123456789")}
        found[match["name"]] = (
            own if match["default"] is None else own | {"default": match["default"]}
        )
    return found


def write_tables(dapr: Path, contrib: Path, target: Path) -> None:
    """Write both tables, one entry a line. Only facts are taken: type names, versions, field names
    and types, allowed words, which are required, which sets of fields an authentication profile
    requires; schemas without their descriptions, and the annotations that the injector knows, with
    types and defaults.

    Args:
        dapr: the folder of the dapr module.
        contrib: the folder of the components-contrib module.
        target: the folder to write to.
    """
    documented = _documented(contrib)
    types: dict[str, dict[str, Any]] = {}
    for names in (names for file in _files(dapr) for names in registered_in(file)):
        # What is documented and not registered is a type that daprd does not have.
        own: dict[str, Any] = next((documented[each] for each in names if each in documented), {})
        types |= {name: documented.get(name, own) for name in names}
    for name, version in _versions(dapr):
        types[name] = {version: {}} | types[name]
    _write(target / TYPES, types)
    _write(target / CRDS, {"annotations": _annotations(dapr), **_schemas(dapr)})


def _write(file: Path, table: Mapping[str, Any]) -> None:
    rows = (f"{json.dumps(key)}: {json.dumps(table[key])}" for key in sorted(table))
    file.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def provide_metadata(settings: Settings, store: Store, progress: Progress) -> Path:
    """A folder with both tables of the version that the settings ask for, made once.

    Raises:
        Unavailable: its modules cannot be had.
    """
    version = settings.dapr_version
    name = f"dapr-{version}-metadata"
    if settings.offline and store.find(name) is None:
        raise Unavailable(
            f"the metadata of Dapr {version} is not installed and network access is disabled",
            last=store.lack(name),
            hint=f"run `dapr-harness lint --dapr-version {version}` once without --offline",
        )

    def make(target: Path) -> None:
        # Every session reads the tables; few of them make any.
        from harness.provision.dapr import go_caches
        from harness.provision.gobuild import modules

        with (
            step(progress, f"read the metadata of Dapr {version} from its modules", lambda: ""),
            modules(settings.environment, version, target, go_caches(settings, store)) as found,
        ):
            write_tables(*found, target)

    return store.make(name, make)
