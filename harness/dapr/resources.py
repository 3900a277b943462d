"""Dapr resources: read from YAML, filled with a stack's addresses, rendered per sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import ConfigError
from harness.core.node import Resource
from harness.core.reading import read_text
from harness.dapr import yaml_text

MOST, DEEPEST = 100_000, 100
"""Maximum number of values and levels in a document: a few lines can expand to billions."""

KINDS = (
    "Component",
    "Configuration",
    "HTTPEndpoint",
    "MCPServer",
    "Resiliency",
    "Subscription",
    "WorkflowAccessPolicy",
)


API_VERSIONS = {
    "Component": ("dapr.io/v1alpha1",),
    "Configuration": ("dapr.io/v1alpha1",),
    "Resiliency": ("dapr.io/v1alpha1",),
    "Subscription": ("dapr.io/v1alpha1", "dapr.io/v2alpha1"),
}


@dataclass(frozen=True)
class DaprResource:
    """One document of a resource file.

    Attributes:
        file: the file it was read from.
        line: the line on which the document starts, counted from 1.
        body: the document.
        lines: the line of each mapping key, by its path such as ``spec.metadata.0.name``.
        companions: files in the node's own folder that the document refers to, by relative name.
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
        return str(mapping(self.body.get("metadata")).get("name", ""))

    @property
    def spec(self) -> dict[str, Any]:
        """The mapping `spec`; empty if it is not a mapping."""
        return mapping(self.body.get("spec"))

    @property
    def type(self) -> str:
        """A component's ``spec.type``; "" for other kinds."""
        return str(self.spec.get("type", "")) if self.kind == "Component" else ""

    @property
    def secret_store(self) -> str:
        """The store that a component's secrets are in, ``auth.secretStore``; "" without one."""
        return str(mapping(self.body.get("auth")).get("secretStore", ""))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The app-ids that may load it; empty means all."""
        return tuple(str(each) for each in sequence(self.body.get("scopes")))

    @property
    def is_read(self) -> bool:
        """Whether daprd reads it, by kind and apiVersion; it ignores all others."""
        version = str(self.body.get("apiVersion", ""))
        known = API_VERSIONS.get(self.kind)
        return version in known if known else self.kind in KINDS and version.startswith("dapr.io/")

    @cached_property
    def text(self) -> str:
        """The YAML to write."""
        return yaml_text.dump(self.body)

    def at(self, path: str = "") -> str:
        """``file:line`` of a key, or of its nearest parent that has a line."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return f"{self.file}:{self.lines.get(path, self.line)}"

    def fields(self) -> dict[str, dict[str, Any]]:
        """A component's ``spec.metadata`` items by name."""
        items = sequence(self.spec.get("metadata"))
        return {str(item.get("name")): item for item in items if isinstance(item, dict)}

    def allows(self, app_id: str) -> bool:
        """Whether its scopes allow this app's sidecar to load it."""
        return not self.scopes or app_id in self.scopes

    def filled(self, fill: Callable[[str, str], str]) -> DaprResource:
        """A copy with the placeholders of every string filled.

        Args:
            fill: takes a text and its location, returns the text to use.
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


def mapping(value: Any) -> dict[str, Any]:
    """A value that should be a mapping; an empty one if it is something else."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A value that should be a list; an empty one if it is something else."""
    return value if isinstance(value, list) else []


def resource_files(folder: Path) -> list[Path]:
    """The files of a folder that daprd reads; like daprd, it skips folders with such names."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in (".yaml", ".yml"))
    return sorted(path for path in found if path.is_symlink() or not path.is_dir())


def secrets_file(resource: DaprResource, folder: Path | None) -> Path:
    """The file of a ``secretstores.local.file``.

    Args:
        resource: the store.
        folder: daprd's working folder, the base of relative paths; None if it is not known, and
            the file may be there or next to the resource.
    """
    fields = {name.lower(): item for name, item in resource.fields().items()}
    name = str(fields.get("secretsfile", {}).get("value", ""))
    folders = [Path.cwd(), resource.file.parent] if folder is None else [folder]
    found = [(each / name).resolve() for each in folders]
    return next((each for each in found if each.is_file()), found[-1])


def read_resources(folders: Sequence[Path]) -> list[DaprResource]:
    """Every resource in some folders, each read as daprd does: not recursively.

    A resource replaces one of the same kind and name from an earlier folder.

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
        own = [resource for file in resource_files(folder) for resource in read_found(file)]
        found = [*replaced(found, own), *own]
    return found


def replaced(earlier: Sequence[DaprResource], later: Sequence[DaprResource]) -> list[DaprResource]:
    """The earlier resources that none of the later ones replaces."""
    taken = {(each.kind, each.name) for each in later}
    return [each for each in earlier if (each.kind, each.name) not in taken]


def for_app(resources: Sequence[DaprResource], app_id: str) -> list[DaprResource]:
    """The resources that one sidecar may load, without documents that daprd would ignore.

    Raises:
        ConfigError: two of them have the same kind and name, which daprd rejects.
    """
    allowed = [each for each in resources if each.is_read and each.allows(app_id)]
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


def read_found(file: Path) -> list[DaprResource]:
    """Every resource in a file that is in a resource folder.

    A file that does not mention Dapr may be anything, for example a chart's template: daprd ignores
    it, and here it becomes a document without a kind.

    Raises:
        ConfigError: it cannot be read, or mentions Dapr and is not valid YAML; with the line.
    """
    try:
        return list(read_file(file))
    except ConfigError:
        if "dapr.io/" in read_text(file):
            raise
        return [DaprResource(file, 1, {})]


def overlaid(earlier: Sequence[DaprResource], later: Sequence[DaprResource]) -> list[DaprResource]:
    """The earlier resources, each with the later one of its kind and name in its place."""
    new = {(each.kind, each.name): each for each in later}
    kept = [new.pop((each.kind, each.name), each) for each in earlier]
    return [*kept, *new.values()]


def read_file(file: Path) -> Iterator[DaprResource]:
    """Every resource in one file.

    Raises:
        ConfigError: it cannot be read, or is not valid YAML; with the line.
    """
    yield from read_documents(read_text(file), file)


def read_documents(text: str, file: Path) -> Iterator[DaprResource]:
    """Every resource in a text.

    Args:
        text: YAML documents.
        file: what messages name as their file.

    Raises:
        ConfigError: it is not valid YAML; with the line.
    """
    try:
        documents = list(_documents(text, file))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        raise ConfigError(
            f"{place}: not valid YAML", last=error.problem or str(error), hint="fix that line"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not valid YAML", last=str(error)) from None
    for node, body in documents:
        line = node.start_mark.line + 1
        if body is None:
            continue
        if not isinstance(body, dict):
            raise ConfigError(f"{file}:{line}: a resource is a mapping, not {type(body).__name__}")
        yield DaprResource(file, line, body, dict(_lines(node, "")))


def _documents(text: str, file: Path) -> Iterator[tuple[yaml.Node, Any]]:
    """Each document as its YAML node and as a value."""
    try:
        for node in yaml_text.documents(text):
            _size(node, file, 0, {})
            yield node, yaml.constructor.SafeConstructor().construct_document(node)
    except RecursionError:
        raise _too_deep(str(file)) from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        # PyYAML does not catch errors of int(), datetime() and its own tables: `on: 2026-13-45`.
        raise ConfigError(
            f"{file}: a value cannot be read",
            last=f"{type(error).__name__}: {error}",
            hint="quote it if it is text",
        ) from None


def _size(node: yaml.Node, file: Path, depth: int, known: dict[int, int]) -> int:
    """The number of values in a document, with each alias counted as all the values it expands to.

    Raises:
        ConfigError: there are more values or levels than anyone writes: walking them would not end.
    """
    if id(node) in known:
        return known[id(node)]
    place = f"{file}:{node.start_mark.line + 1}"
    if depth > DEEPEST:
        raise _too_deep(place)
    if isinstance(node, yaml.ScalarNode) and "\0" in node.value:
        raise ConfigError(
            f"{place}: contains a NUL character",
            expected="text that a path or a variable can contain",
        )
    parts = [part for pair in node.value for part in pair] if _is_mapping(node) else node.value
    below = parts if isinstance(parts, list) else []
    size = 1 + sum(_size(part, file, depth + 1, known) for part in below)
    if size > MOST:
        raise ConfigError(
            f"{place}: contains too many values",
            expected=f"at most {MOST}, counting what aliases stand for",
            hint="split the file, or use fewer aliases",
        )
    known[id(node)] = size
    return size


def _is_mapping(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode)


def _too_deep(place: str) -> ConfigError:
    return ConfigError(
        f"{place}: is nested too deeply",
        expected=f"at most {DEEPEST} levels, and no alias inside its own anchor",
    )


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


def plain_fields(resource: Resource) -> dict[str, str]:
    """A component's plain values by name in lower case; daprd ignores case."""
    return {name.lower(): str(item.get("value", "")) for name, item in resource.fields().items()}
