"""Manifests as their files have them: each document with its place and its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.reading import read_text
from harness.dapr.resources import DaprResource, mapping, read_documents, sequence

SUFFIXES = (".yaml", ".yml", ".json")
"""The files that `kubectl apply -f FOLDER` reads; here, hidden ones are left out."""

_MARKER = re.compile(r"---(\s|$)|\.\.\.(\s|$)")
"""A line that ends a document; nothing inside one can look like it."""

_INDEX = re.compile(r'\[(?:name=)?"?([\w.-]+)"?\]')


@dataclass(frozen=True)
class Manifest:
    """One object.

    Attributes:
        resource: the document that it is in.
        body: the object.
        text: what is sent: the document as it was written, so that the server sees each key.
        first: the line of the file on which this text begins, counted from 1; 0 if it is not the
            file's.
    """

    resource: DaprResource
    body: dict[str, Any]
    text: str
    first: int = 0

    @property
    def version(self) -> str:
        """Its ``apiVersion``; "" if it has none."""
        return str(self.body.get("apiVersion") or "")

    @property
    def kind(self) -> str:
        """Its kind; "" if it has none."""
        return str(self.body.get("kind") or "")

    @property
    def name(self) -> str:
        """Its ``metadata.name``; "" if it has none."""
        return str(mapping(self.body.get("metadata")).get("name") or "")

    @property
    def namespace(self) -> str:
        """Its ``metadata.namespace``; "" if it has none."""
        return str(mapping(self.body.get("metadata")).get("namespace") or "")

    def at_line(self, line: int) -> str:
        """``file:line`` of a line of its text, counted from 1."""
        return f"{self.resource.file}:{self.first + line - 1}" if self.first else self.at()

    def at(self, field: str = "") -> str:
        """``file:line`` of a field as the server names it (``spec.ports[0].port``), or of the
        nearest one around it that is written in the file."""
        return self.resource.at(_INDEX.sub(r".\1", field).lstrip("."))


def manifests_in(paths: Sequence[Path]) -> list[Manifest]:
    """The objects in some files and folders; folders are not searched recursively.

    Raises:
        ConfigError: a path does not exist or cannot be read, has no manifest, is the folder of a
            chart, or is not valid YAML; with file and line.
    """
    return [
        found for path in paths for file in _files(path) for found in read(read_text(file), file)
    ]


def read(text: str, file: Path) -> Iterator[Manifest]:
    """The objects in a text; those of a ``List`` are taken out of it.

    Args:
        text: YAML documents, or JSON.
        file: what messages name as their file.

    Raises:
        ConfigError: it is not valid YAML; with the line.
    """
    lines = text.splitlines(keepends=True)
    for resource in read_documents(text, file):
        if resource.kind.endswith("List") and "items" in resource.body:
            for item in sequence(resource.body["items"]):
                yield Manifest(resource, mapping(item), json.dumps(item, default=str))
        elif resource.body:
            first, end = _document(lines, resource.line - 1)
            yield Manifest(resource, resource.body, "".join(lines[first:end]), first + 1)


def _document(lines: Sequence[str], at: int) -> tuple[int, int]:
    """The first line of the document that has a line, and the one after its last."""
    before = (number for number in range(at, -1, -1) if _MARKER.match(lines[number]))
    after = (number for number in range(at + 1, len(lines)) if _MARKER.match(lines[number]))
    return next(before, 0), next(after, len(lines))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if (path / "Chart.yaml").is_file():
        raise ConfigError(
            f"{path} is a chart, whose templates are not manifests",
            hint=f"let Helm render it: helm template NAME {path} | dapr-harness validate k8s -",
        )
    shown = (each for each in path.iterdir() if not each.name.startswith("."))
    found = sorted(each for each in shown if each.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError(
            f"no manifest was found in {path}",
            expected=f"files that end with {', '.join(SUFFIXES)}",
            hint="name the folder that contains them; folders are not searched recursively",
        )
    return found
