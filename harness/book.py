"""What one stack knows while it is planned, and afterwards."""

from __future__ import annotations

import ipaddress
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath

from harness.dapr.lint import check_resources, require_sound
from harness.dapr.resources import DaprResource, for_app, read_file, read_resources, secrets_file
from harness.endpoint import EVERYWHERE, LOOPBACK, Endpoint
from harness.errors import ConfigError, did_you_mean
from harness.placeholders import fill, placeholders
from harness.provision.authority import Authority, make_authority
from harness.reading import read_text
from harness.topology import HOST, NETWORK, Tools, Topology

HOME = PurePosixPath("/harness")
"""The folder inside a container that receives the launch's files and folders."""

SHARED = PurePosixPath("/harness-shared")


class StackBook:
    """Addresses, folders, tokens and resources of one stack; implements `Book`.

    Args:
        topology: the nodes of the stack.
        tools: locates the programs.
        root: the project's folder, the base of relative paths.
        folder: the run's folder.
        reserve: reserves a port; accepts a specific number or None.
        gateway: the machine's address as seen from containers; None if nodes run as processes.
        inherited: what sidecars inherit from this machine's environment.

    Attributes:
        strict: whether warnings about resources are errors.
    """

    def __init__(
        self,
        topology: Topology,
        tools: Tools,
        root: Path,
        folder: Path,
        reserve: Callable[[int | None], Endpoint],
        *,
        gateway: str | None = None,
        inherited: Mapping[str, str] | None = None,
    ) -> None:
        self._inherited = dict(inherited or {})
        self.strict = False
        self.topology = topology
        self.tools = tools
        self.root = root
        self._folder = folder
        self._reserve = reserve
        self._gateway = gateway
        self._ports: dict[tuple[str, str], int] = {}
        self._tokens: dict[str, str] = {}
        self._authority: Authority | None = None
        self._resources: dict[tuple[object, ...], list[DaprResource]] = {}
        self._lock = threading.RLock()
        self.used: dict[str, set[str]] = {}
        self._planning = ""

    def plan_for(self, node: str) -> None:
        """Start to record which nodes the placeholders of this node refer to."""
        self._planning = node
        self.used.setdefault(node, set())

    def inside(self, node: str) -> bool:
        """Whether the node runs in a container, and therefore has its own loopback."""
        if self._gateway is None or node == HOST:
            return False
        return node == NETWORK or not self.topology[node].on_host

    def endpoint(
        self, node: str, port: str = "main", *, viewer: str = HOST, wanted: int | None = None
    ) -> Endpoint:
        """The address of one of a node's ports, reserved on first use."""
        return Endpoint(self._host(node, viewer), self._port(node, port, wanted))

    def listen(self, node: str, port: str = "main", *, wanted: int | None = None) -> Endpoint:
        """The same port with the address that the node must bind.

        In a container, this is all interfaces of the container. A node on the machine itself binds
        only one address: loopback, or the gateway if containers must reach it.
        """
        host = EVERYWHERE if self.inside(node) else self._host(node, HOST)
        return Endpoint(host, self._port(node, port, wanted))

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """Every address given out so far, by node and port, as the machine sees it."""
        with self._lock:
            return {key: Endpoint(self._host(key[0], HOST), n) for key, n in self._ports.items()}

    def folder(self, node: str) -> Path:
        """The node's own folder on the machine; removed with the stack."""
        folder = self._folder / "nodes" / node
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def home(self, node: str) -> PurePath:
        """The node's own folder as the node itself sees it."""
        return HOME if self.inside(node) else self.folder(node)

    def shared(self, name: str, node: str) -> PurePath:
        """A folder that several nodes share, as one of them sees it."""
        return SHARED / name if self.inside(node) else self.folder(name)

    def _port(self, node: str, port: str, wanted: int | None) -> int:
        with self._lock:
            if (node, port) not in self._ports:
                self._ports[node, port] = self._reserve(wanted or self._fixed(node, port)).port
            return self._ports[node, port]

    def chosen_ports(self) -> set[int]:
        """The ports that the topology specifies: no other ones can take their place."""
        found: set[int] = set()
        for node in self.topology.nodes:
            found |= {getattr(node, "port", None) or 0, *getattr(node, "ports", {}).values()}
        return found - {0}

    def _fixed(self, node: str, port: str) -> int | None:
        """The port that the topology specifies, whoever asks first."""
        if node not in self.topology:
            return None
        found = self.topology[node]
        main = getattr(found, "port", None) if port == "main" else None
        return main or getattr(found, "ports", {}).get(port)

    def _host(self, node: str, viewer: str) -> str:
        if self._gateway is None:
            return LOOPBACK
        if not self.inside(node):
            # If the engine runs in a virtual machine, containers can refer to this machine only by
            # a name, which leads to its loopback.
            named = not _is_address(self._gateway)
            return LOOPBACK if named and not self.inside(viewer) else self._gateway
        pod = self._pod(node)
        # Published ports are bound to the machine's loopback; a pod has a loopback of its own.
        return LOOPBACK if not self.inside(viewer) or self._pod(viewer) == pod else pod

    def _pod(self, node: str) -> str:
        return node if node == NETWORK else self.topology[node].pod or node

    def token(self, purpose: str) -> str:
        """A random secret of this stack, always the same for one purpose."""
        with self._lock:
            return self._tokens.setdefault(purpose, secrets.token_urlsafe(24))

    def authority(self) -> Authority:
        """The stack's own certificate authority, created on first use.

        Raises:
            Unavailable: trustme is not installed.
        """
        with self._lock:
            self._authority = self._authority or make_authority()
            return self._authority

    def known(self) -> tuple[dict[tuple[str, str], int], dict[str, str], Authority | None]:
        """Every port, by node and name, every token, by purpose, and the authority, so far."""
        with self._lock:
            return dict(self._ports), dict(self._tokens), self._authority

    def secrets(self) -> list[str]:
        """Every token given out so far, for masking."""
        with self._lock:
            return list(self._tokens.values())

    def fill(self, text: str, where: str, viewer: str = HOST) -> str:
        """Replace ``${node.key}`` with the value that the node exports to a viewer.

        Raises:
            ConfigError: the placeholder does not refer to anything.
        """
        exports: dict[str, Mapping[str, str]] = {}
        for name, _ in placeholders(text):
            if name not in self.topology:
                names = [node.name for node in self.topology.nodes]
                raise ConfigError(
                    f"{where}: {text!r} refers to {name!r}, which is not a node of the topology",
                    hint=did_you_mean(name, names),
                )
            exports[name] = self.topology[name].exports(self, viewer)
            self.used.setdefault(self._planning, set()).add(name)
        return fill(text, exports, where)

    def resources(self, app_id: str, viewer: str) -> Sequence[DaprResource]:
        """The resources whose scopes allow this app, with placeholders filled for a viewer.

        Raises:
            ConfigError: a file is not valid YAML, or a resource is invalid; with file and line.
        """
        node = f"{app_id}-daprd"
        sidecar = next((each for each in self.topology.nodes if each.name == node), None)
        own = getattr(sidecar, "resources", None)
        folders = self.topology.resources if own is None else own
        start = self.root / getattr(sidecar, "cwd", Path())
        named = None if own is None else getattr(sidecar, "configurations", ())
        checked = self._checked(folders, start, named)
        return self._filled(for_app(checked, app_id), viewer, start)

    def pubsub(self, name: str, viewer: str) -> Sequence[DaprResource]:
        """A pub/sub component and the secret stores next to it, regardless of their scopes.

        Raises:
            ConfigError: there is no such component.
        """
        for folders, start in self._sets():
            beside = self._checked(folders, start)
            chosen = [each for each in _pubsubs(beside) if each.name == name]
            if chosen:
                stores = [each for each in beside if each.type.startswith("secretstores.")]
                return self._filled([chosen[0], *stores], viewer, start)
        hint = did_you_mean(name, [each.name for each in self.pubsubs()])
        raise ConfigError(f"there is no pub/sub component {name!r}", hint=hint)

    def pubsubs(self) -> Sequence[DaprResource]:
        """Every pub/sub component, regardless of scopes, as written in its file."""
        return _pubsubs(self._everything())

    def _sets(self) -> Iterable[tuple[tuple[Path, ...], Path]]:
        """The folders of the topology and of each sidecar that has its own, each with its sidecars'
        working folder."""
        own = [
            (
                tuple(getattr(node, "resources", None) or ()),
                self.root / getattr(node, "cwd", Path()),
            )
            for node in self.topology.nodes
            if node.name.endswith("-daprd")
        ]
        return dict.fromkeys([(self.topology.resources, self.root), *own])

    def components(self, kind: str) -> Sequence[DaprResource]:
        """Every component of a type, regardless of scopes, as written in its file."""
        # Several sidecars may read one folder.
        places = {each.at(): each for each in self._everything() if each.type == kind}
        return list(places.values())

    def _everything(self) -> Iterator[DaprResource]:
        for folders, start in self._sets():
            yield from self._checked(folders, start)

    def _filled(
        self, resources: Iterable[DaprResource], viewer: str, start: Path
    ) -> list[DaprResource]:
        def fill_in(text: str, where: str) -> str:
            return self.fill(text, where, viewer)

        return [self._rooted(each.filled(fill_in), viewer, start) for each in resources]

    def _checked(
        self, folders: tuple[Path, ...], start: Path, files: tuple[Path, ...] | None = None
    ) -> list[DaprResource]:
        """The resources of folders, and Configurations: those of files, or without files, of the
        folders; daprd itself never reads a Configuration from a folder."""
        with self._lock:
            if (folders, files, start) not in self._resources:
                found = read_resources([self.root / path for path in folders])
                if files is not None:
                    found = [each for each in found if each.kind != "Configuration"]
                    found += [each for file in files for each in read_file(self.root / file)]
                checked = check_resources(found, self._app_ids(), self._readable(), start)
                require_sound(checked, strict=self.strict)
                self._resources[folders, files, start] = found
            return self._resources[folders, files, start]

    def _app_ids(self) -> list[str]:
        names = [node.name for node in self.topology.nodes]
        return [name for name in names if f"{name}-daprd" in names]

    def variables(self) -> Mapping[str, str]:
        """What the topology sets for its sidecars, with placeholders, merged.

        Inherited variables are not included: only texts of the topology are templates, and an
        inherited ``MAKEOVERRIDES`` contains ``${-*-command-variables-*-}``.
        """
        merged: dict[str, str] = {}
        for node in self.topology.nodes:
            merged |= getattr(node, "sidecar_env", {})
            if node.name.endswith("-daprd"):
                merged |= getattr(node, "env", {})
        return merged

    def _readable(self) -> Mapping[str, str]:
        """The environment of the sidecars, for ``secretstores.local.env``."""
        sidecars = [node for node in self.topology.nodes if node.name.endswith("-daprd")]
        inherits = any(not getattr(node, "hermetic", True) for node in sidecars)
        return {**(self._inherited if inherits else {}), **self.variables()}

    def _rooted(self, resource: DaprResource, viewer: str, start: Path) -> DaprResource:
        """A copy whose secrets file, with placeholders filled, is in its sidecar's folder."""
        if resource.type != "secretstores.local.file" or viewer == HOST:
            return resource
        for item in resource.body["spec"]["metadata"]:
            if str(item.get("name")).lower() == "secretsfile":
                file = secrets_file(resource, start)
                name = f"secrets/{file.name}"
                resource.companions[name] = self.fill(read_text(file), str(file), viewer)
                item["value"] = str(self.home(viewer) / name)
        return resource


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _pubsubs(resources: Iterable[DaprResource]) -> list[DaprResource]:
    return [each for each in resources if each.type.startswith("pubsub.")]
