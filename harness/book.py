"""What one stack knows while it is planned, and afterwards."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.dapr.lint import check_resources, require_sound
from harness.dapr.resources import DaprResource, for_app, read_resources
from harness.endpoint import Endpoint
from harness.errors import ConfigError
from harness.topology import Tools, Topology, did_you_mean, fill, placeholders


class StackBook:
    """Addresses, folders, tokens and resources of one stack; implements `Book`.

    Args:
        topology: what the stack is made of.
        tools: where the programs are.
        root: the project's folder, from which relative paths start.
        folder: the run's folder.
        reserve: holds a port; takes a wanted number or None.
    """

    def __init__(
        self,
        topology: Topology,
        tools: Tools,
        root: Path,
        folder: Path,
        reserve: Callable[[int | None], Endpoint],
    ) -> None:
        self.topology = topology
        self.tools = tools
        self.root = root
        self._folder = folder
        self._reserve = reserve
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._tokens: dict[str, str] = {}
        self._resources: list[DaprResource] | None = None
        self._lock = threading.RLock()
        self.used: dict[str, set[str]] = {}
        self._planning = ""

    def plan_for(self, node: str) -> None:
        """From now on, record which nodes the placeholders of this one refer to."""
        self._planning = node
        self.used.setdefault(node, set())

    def endpoint(self, node: str, port: str = "main", *, wanted: int | None = None) -> Endpoint:
        """The address of one of a node's ports, reserved when first asked for."""
        with self._lock:
            if (node, port) not in self._endpoints:
                if wanted is None and port == "main" and node in self.topology:
                    wanted = getattr(self.topology[node], "port", None)
                self._endpoints[node, port] = self._reserve(wanted)
            return self._endpoints[node, port]

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """Every address given out so far, by node and port."""
        with self._lock:
            return dict(self._endpoints)

    def folder(self, node: str) -> Path:
        """The node's own folder, which dies with the stack."""
        folder = self._folder / "nodes" / node
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def token(self, purpose: str) -> str:
        """A random secret of this stack, always the same for one purpose."""
        with self._lock:
            return self._tokens.setdefault(purpose, secrets.token_urlsafe(24))

    def secrets(self) -> list[str]:
        """Every token given out so far, for masking."""
        with self._lock:
            return list(self._tokens.values())

    def fill(self, text: str, where: str) -> str:
        """Replace ``${node.key}`` by what that node exports.

        Raises:
            ConfigError: the placeholder names nothing.
        """
        exports: dict[str, Mapping[str, str]] = {}
        for name, _ in placeholders(text):
            if name not in self.topology:
                names = [node.name for node in self.topology.nodes]
                raise ConfigError(
                    f"{where}: {text!r} refers to {name!r}, which is no node of the topology",
                    hint=did_you_mean(name, names),
                )
            exports[name] = self.topology[name].exports(self)
            self.used.setdefault(self._planning, set()).add(name)
        return fill(text, exports, where)

    def resources(self, app_id: str) -> Sequence[DaprResource]:
        """The resources whose scopes allow this app, with placeholders filled.

        Raises:
            ConfigError: a file is not valid YAML, or a resource is wrong; with file and line.
        """
        allowed = for_app(self._checked(), app_id)
        return [self._rooted(each.filled(self.fill)) for each in allowed]

    def _checked(self) -> list[DaprResource]:
        with self._lock:
            if self._resources is None:
                found = read_resources([self.root / path for path in self.topology.resources])
                require_sound(check_resources(found, self._app_ids(), self._variables()))
                self._resources = found
            return self._resources

    def _app_ids(self) -> list[str]:
        names = [node.name for node in self.topology.nodes]
        return [name for name in names if f"{name}-daprd" in names]

    def _variables(self) -> dict[str, str]:
        merged: dict[str, str] = {}
        for node in self.topology.nodes:
            merged |= getattr(node, "sidecar_env", {})
        return merged

    @staticmethod
    def _rooted(resource: DaprResource) -> DaprResource:
        """A copy whose secrets file is found wherever daprd's working folder is."""
        if resource.type != "secretstores.local.file":
            return resource
        for item in resource.body["spec"]["metadata"]:
            if str(item.get("name")).lower() == "secretsfile":
                item["value"] = str((resource.file.parent / item["value"]).resolve())
        return resource
