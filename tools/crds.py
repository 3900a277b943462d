"""Write harness/dapr/crds.json: the schemas of Dapr's resources, without their descriptions, and
the annotations that its injector knows.

    python tools/crds.py <folder of the dapr module>

The folder is in the Go module cache after a build.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).parent.parent / "harness" / "dapr" / "crds.json"


def plain(schema: Any) -> Any:
    """The schema without its descriptions, which are texts named `description`."""
    if isinstance(schema, dict):
        return {
            name: plain(value)
            for name, value in schema.items()
            if not (name == "description" and isinstance(value, str))
        }
    return [plain(each) for each in schema] if isinstance(schema, list) else schema


def schemas(dapr: Path) -> dict[str, Any]:
    """The schemas, by ``<kind>/<version>``."""
    found = {}
    for file in sorted((dapr / "charts" / "dapr" / "crds").glob("*.yaml")):
        body = yaml.safe_load(file.read_text())["spec"]
        for version in body["versions"]:
            name = f"{body['names']['kind']}/{version['name']}"
            found[name] = plain(version["schema"]["openAPIV3Schema"])
    return found


def annotations(dapr: Path) -> list[str]:
    """Their names, from the injector's constants."""
    source = dapr / "pkg" / "injector" / "annotations" / "annotations.go"
    return sorted(set(re.findall(r'"(dapr\.io/[a-z0-9-]+)"', source.read_text())))


def main() -> None:
    """Write the file, one schema per line."""
    dapr = Path(sys.argv[1])
    table = {"annotations": annotations(dapr), **schemas(dapr)}
    rows = [
        f"{json.dumps(name)}: {json.dumps(facts, sort_keys=True)}"
        for name, facts in sorted(table.items())
    ]
    TARGET.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
