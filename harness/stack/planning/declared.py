"""The Dapr resources that the sidecars of one stack read, as written in their files."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ConfigError, did_you_mean
from harness.core.roles import HasSidecar, SidecarRole
from harness.core.topology import Topology
from harness.dapr.lint import check_resources, require_sound
from harness.dapr.resources import (
    DaprResource,
    for_app,
    overlaid,
    read_file,
    read_resources,
    replaced,
)

Folders = tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class Change:
    """Resources that sidecars load in addition, or instead of those of the same kind and name.

    Attributes:
        resources: the resources.
        apps: names or app-ids of the apps whose sidecars load them; all if empty.
    """

    resources: Sequence[DaprResource]
    apps: Sequence[str] = ()

    def of(self, sidecar: SidecarRole) -> list[DaprResource]:
        """The resources that a sidecar loads."""
        if self.apps and not {sidecar.app, sidecar.app_id} & {*self.apps}:
            return []
        return for_app(self.resources, sidecar.app_id)


class Declared:
    """The resources of one stack, read and checked once.

    Args:
        root: the project's folder.
        inherited: what sidecars inherit from this machine's environment.

    Attributes:
        strict: whether warnings about resources are errors.
        changes: what has been changed since the stack was started, the oldest first.
    """

    def __init__(self, root: Path, inherited: Mapping[str, str]) -> None:
        self.strict = False
        self.changes: list[Change] = []
        self._root = root
        self._inherited = dict(inherited)
        self._read: dict[tuple[object, ...], list[DaprResource]] = {}
        self._lock = threading.RLock()

    def of(self, sidecar: SidecarRole, topology: Topology) -> tuple[list[DaprResource], Path]:
        """The resources whose scopes allow a sidecar's app, and the sidecar's working folder.

        Raises:
            ConfigError: a file is not valid YAML, or a resource is invalid; with file and line.
        """
        own = sidecar.resources
        folders = topology.resources if own is None else own
        start = self._root / sidecar.cwd
        named = None if own is None else sidecar.configurations
        found = for_app(self._checked(topology, folders, start, named), sidecar.app_id)
        for change in self.changes:
            found = overlaid(found, change.of(sidecar))
        return found, start

    def require_sound(self, change: Change, sidecar: SidecarRole, topology: Topology) -> None:
        """Check what a change would have a sidecar load.

        Raises:
            ConfigError: a resource of the change is invalid.
        """
        found, start = self.of(sidecar, topology)
        together = [*replaced(found, change.resources), *change.resources]
        known = self._readable(topology)
        findings = check_resources(together, topology.app_ids(), known, start)
        places = {str(each.file) for each in change.resources}
        own = [each for each in findings if each.place.rpartition(":")[0] in places]
        require_sound(own, strict=self.strict)

    def pubsub(self, name: str, topology: Topology) -> tuple[list[DaprResource], Path]:
        """A pub/sub component and the secret stores next to it, regardless of their scopes.

        Raises:
            ConfigError: there is no such component.
        """
        for folders, start in self._sets(topology):
            beside = self._checked(topology, folders, start)
            chosen = [each for each in pubsubs_in(beside) if each.name == name]
            if chosen:
                stores = [each for each in beside if each.type.startswith("secretstores.")]
                return [chosen[0], *stores], start
        hint = did_you_mean(name, [each.name for each in pubsubs_in(self.everything(topology))])
        raise ConfigError(f"there is no pub/sub component {name!r}", hint=hint)

    def everything(self, topology: Topology) -> Iterator[DaprResource]:
        """Every resource, regardless of scopes; several sidecars may read one folder."""
        for folders, start in self._sets(topology):
            yield from self._checked(topology, folders, start)

    def _sets(self, topology: Topology) -> Iterable[tuple[Folders, Path]]:
        """The folders of the topology and of each sidecar that has its own, each with its sidecars'
        working folder."""
        own = [(each.resources or (), self._root / each.cwd) for each in topology.sidecars()]
        return dict.fromkeys([(topology.resources, self._root), *own])

    def _checked(
        self, topology: Topology, folders: Folders, start: Path, files: Folders | None = None
    ) -> list[DaprResource]:
        """The resources of folders, and Configurations: those of files, or without files, of the
        folders; daprd itself never reads a Configuration from a folder."""
        with self._lock:
            if (folders, files, start) not in self._read:
                found = read_resources([self._root / path for path in folders])
                if files is not None:
                    found = [each for each in found if each.kind != "Configuration"]
                    found += [each for file in files for each in read_file(self._root / file)]
                known = self._readable(topology)
                checked = check_resources(found, topology.app_ids(), known, start)
                require_sound(checked, strict=self.strict)
                self._read[folders, files, start] = found
            return self._read[folders, files, start]

    def _readable(self, topology: Topology) -> Mapping[str, str]:
        """The environment of the sidecars, for ``secretstores.local.env``."""
        inherits = any(not each.hermetic for each in topology.sidecars())
        return {**(self._inherited if inherits else {}), **variables_of(topology)}


def variables_of(topology: Topology) -> Mapping[str, str]:
    """What the topology sets for its sidecars, with placeholders, merged.

    Inherited variables are not included: only texts of the topology are templates, and an inherited
    ``MAKEOVERRIDES`` contains ``${-*-command-variables-*-}``.
    """
    merged: dict[str, str] = {}
    for node in topology.nodes:
        if isinstance(node, HasSidecar):
            merged |= node.sidecar_env
        if isinstance(node, SidecarRole):
            merged |= node.env
    return merged


def pubsubs_in(resources: Iterable[DaprResource]) -> Sequence[DaprResource]:
    """The pub/sub components among resources."""
    return [each for each in resources if each.type.startswith("pubsub.")]
