"""Dapr resources: read from YAML, filled with a stack's addresses, rendered per sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import ConfigError

KINDS = (
    "Component",
    "Configuration",
    "HTTPEndpoint",
    "MCPServer",
    "Resiliency",
    "Subscription",
    "WorkflowAccessPolicy",
)


@dataclass(frozen=True)
class DaprResource:
    """One document of a resource file.

    Attributes:
        file: where it was read.
        line: the line on which the document starts, counted from 1.
        body: the document.
        lines: the line of each mapping key, by its path such as ``spec.metadata.0.name``.
        companions: files of the node's own folder that the document refers to, by relative name.
    """

    file: Path
    line: int
    body: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict, compare=False)
    companions: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``Component``, ``Subscription`` ..."""
        return str(self.body.get("kind", ""))

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return str((self.body.get("metadata") or {}).get("name", ""))

    @property
    def type(self) -> str:
        """A component's ``spec.type``, "" for other kinds."""
        return (
            str((self.body.get("spec") or {}).get("type", "")) if self.kind == "Component" else ""
        )

    @property
    def scopes(self) -> tuple[str, ...]:
        """The app-ids it is for; empty means all."""
        return tuple(self.body.get("scopes") or ())

    @property
    def text(self) -> str:
        """The YAML to write."""
        return str(yaml.safe_dump(self.body, sort_keys=False))

    def at(self, path: str = "") -> str:
        """``file:line`` of a key, or of its nearest parent that has a line."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return f"{self.file}:{self.lines.get(path, self.line)}"

    def fields(self) -> dict[str, dict[str, Any]]:
        """A component's ``spec.metadata`` items by name."""
        items = (self.body.get("spec") or {}).get("metadata") or []
        return {str(item.get("name")): item for item in items if isinstance(item, dict)}

    def allows(self, app_id: str) -> bool:
        """Whether its scopes let this app's sidecar load it."""
        return not self.scopes or app_id in self.scopes

    def filled(self, fill: Callable[[str, str], str]) -> DaprResource:
        """A copy with the placeholders of every string filled.

        Args:
            fill: takes a text and where it stands, returns the text to use.
        """

        def walk(value: Any, path: str) -> Any:
            if isinstance(value, str):
                return fill(value, self.at(path))
            if isinstance(value, dict):
                return {key: walk(each, f"{path}.{key}".lstrip(".")) for key, each in value.items()}
            if isinstance(value, list):
                return [walk(each, f"{path}.{index}") for index, each in enumerate(value)]
            return value

        return DaprResource(self.file, self.line, walk(self.body, ""), self.lines)


def read_resources(folders: Sequence[Path]) -> list[DaprResource]:
    """Every resource of some folders, each read as daprd does: not recursively.

    A resource takes the place of one of the same kind and name in an earlier folder.

    Raises:
        ConfigError: a folder is missing, or a file is not valid YAML; with file and line.
    """
    found: list[DaprResource] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"the resources folder {folder} does not exist",
                hint="fix `resources=` of the topology; relative paths start at the project's root",
            )
        files = [each for each in sorted(folder.iterdir()) if each.suffix in (".yaml", ".yml")]
        own = [resource for file in files for resource in read_file(file)]
        found = [*replaced(found, own), *own]
    return found


def replaced(earlier: Sequence[DaprResource], later: Sequence[DaprResource]) -> list[DaprResource]:
    """Those of the earlier ones whose place none of the later ones takes."""
    taken = {(each.kind, each.name) for each in later}
    return [each for each in earlier if (each.kind, each.name) not in taken]


def for_app(resources: Sequence[DaprResource], app_id: str) -> list[DaprResource]:
    """What one sidecar may load.

    Raises:
        ConfigError: two resources of one kind and name are among them, which daprd refuses.
    """
    allowed = [each for each in resources if each.allows(app_id)]
    seen: dict[tuple[str, str], DaprResource] = {}
    for each in allowed:
        first = seen.setdefault((each.kind, each.name), each)
        if first is not each:
            raise ConfigError(
                f"{each.at()}: {each.kind} {each.name!r} exists twice for {app_id}",
                last=f"the other one: {first.at()}",
                hint="rename one, or give them scopes that do not overlap",
            )
    return allowed


def read_file(file: Path) -> Iterator[DaprResource]:
    """Every resource of one file.

    Raises:
        ConfigError: it is not valid YAML; with the line.
    """
    try:
        documents = list(yaml.compose_all(file.read_text(), Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        raise ConfigError(
            f"{place}: not valid YAML", last=error.problem or str(error), hint="fix that line"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not valid YAML", last=str(error)) from None
    for document in documents:
        line = document.start_mark.line + 1
        body = yaml.constructor.SafeConstructor().construct_document(document)
        if body is None:
            continue
        if not isinstance(body, dict):
            raise ConfigError(f"{file}:{line}: a resource is a mapping, not {type(body).__name__}")
        yield DaprResource(file, line, body, dict(_lines(document, "")))


def _lines(node: yaml.Node, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{key.value}".lstrip(".")
            yield below, key.start_mark.line + 1
            yield from _lines(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"{path}.{index}", value.start_mark.line + 1
            yield from _lines(value, f"{path}.{index}")
