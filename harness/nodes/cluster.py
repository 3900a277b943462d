"""A node of Kubernetes, with a control plane of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from harness.core.deadline import Check, Observation
from harness.core.errors import ProbeError
from harness.core.launch import Launch
from harness.core.node import Scope
from harness.dapr.resources import mapping, sequence
from harness.kubernetes import node_files
from harness.kubernetes.api import Access, ApiServer
from harness.kubernetes.keys import keys
from harness.kubernetes.node_files import NODE, Account
from harness.kubernetes.node_programs import LOGS, Installed, node_plan
from harness.nodes.base import BaseNode
from harness.provision.cluster_node import PAUSE, PROGRAM, SHELL

KUBECONFIG = "admin.kubeconfig"
"""The file in the node's folder with which clients of this machine reach the API server."""

AUTHORITY = "ca.crt"
"""The file in that folder with the certificate that it is trusted by."""

NODES = "/api/v1/nodes"
LOOK_AGAIN = 1
"""Seconds after which the node is looked at even if it has not changed."""

PLAN = "plan.json"
TOOLS: tuple[str, ...] = ("etcd", "kube-apiserver", PROGRAM, "container-runtime")
GRACE = 20.0
"""Seconds in which everything in its namespaces has ended and its cgroups are removed."""

ACCOUNTS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "dns": ("dapr-harness:dns", "system:masters"),
    "policies": ("dapr-harness:policies", "system:masters"),
}
"""Name and group of each account, by the file that its program reads."""


@dataclass(frozen=True)
class ClusterNode(BaseNode):
    """A cluster of one node, in namespaces and cgroups of its own.

    Args:
        name: the node's name in its stack; it exports ``<name>.url``, ``.token``, ``.authority``,
            the file with its certificate, and ``.kubeconfig``.
        images: archives of images that its pods can use, as ``docker save`` writes them.
    """

    tools = TOOLS
    on_host = True

    name: str = "cluster"
    images: tuple[Path, ...] = ()

    def plan(self, scope: Scope) -> Launch:
        """One program, which makes the namespaces and starts the others in them."""
        home, root = scope.home, scope.tool("container-runtime")
        program, group = scope.tool(PROGRAM), group_of(home)
        libraries = ":".join(str(each) for each in sorted(root.glob("**/lib/*-linux-gnu")))
        return Launch(
            name=self.name,
            argv=(str(program), "run", str(home / PLAN)),
            env={"LD_LIBRARY_PATH": libraries, "HOME": str(home)},
            prepended={"PATH": f"{program.parent}:{root}/usr/sbin:{root}/usr/bin"},
            files={**self._files(scope, root), PLAN: self._plan(scope, root, group)},
            ports={"main": scope.listen().port},
            at_end=(str(program), "clean", group),
            on_host=True,
            grace=GRACE,
        )

    def checks(self, scope: Scope) -> Iterator[Check]:
        """The node is ready, and pods can be created."""
        with ApiServer(self._access(scope)) as server:
            yield NodeCheck(server)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``url``, ``token``, ``authority`` and ``kubeconfig`` for its clients."""
        access = self._access(scope)
        return {
            "url": access.url,
            "token": access.token,
            "authority": str(access.authority),
            "kubeconfig": str(scope.home / KUBECONFIG),
        }

    def archives(self, scope: Scope) -> list[Path]:
        """The archives of images that its pods can use."""
        own = scope.tool(PROGRAM).parent / PAUSE, scope.tool("container-runtime") / SHELL
        return [*own, *self.images]

    def _plan(self, scope: Scope, root: Path, group: str) -> str:
        program, control_plane = scope.tool(PROGRAM), scope.tool("kube-apiserver")
        installed = Installed(control_plane.parent, program.parent, root)
        return node_plan(
            scope.home,
            installed,
            listen=str(scope.listen()),
            group=group,
            token=self._token(scope, "admin"),
            images=self.archives(scope),
        )

    def _files(self, scope: Scope, root: Path) -> dict[str, str]:
        authority, home = scope.authority(), scope.home
        servers = {"server": node_files.SERVER_NAMES, "kubelet": (NODE, node_files.ADDRESS)}
        accounts = {
            file: Account(name, self._token(scope, file), group)
            for file, (name, group) in ACCOUNTS.items()
        }
        inside = f"https://127.0.0.1:{node_files.API_PORT}"
        urls = dict.fromkeys(accounts, inside) | {"admin": f"https://{scope.listen()}"}
        return {
            **keys(authority, servers),
            **{
                f"{file}.kubeconfig": node_files.kubeconfig(url, authority.anchors, account.token)
                for (file, url), account in zip(urls.items(), accounts.values(), strict=True)
            },
            "tokens.csv": node_files.tokens(accounts),
            "kubelet.json": node_files.kubelet(home, group_of(home)),
            "kube-proxy.json": node_files.kube_proxy(home),
            "containerd.toml": node_files.containerd(home, root),
            "10-pods.conflist": node_files.network(),
            # Pods ask for no names outside of the cluster.
            "resolv.conf": "",
            f"{LOGS}/README": "One log for each program of the node.\n",
        }

    def _access(self, scope: Scope) -> Access:
        url = f"https://{scope.endpoint()}"
        return Access(url, self._token(scope, "admin"), Path(scope.home) / AUTHORITY)

    def _token(self, scope: Scope, account: str) -> str:
        return scope.token(f"{self.name}-{account}")


@dataclass(frozen=True)
class NodeCheck:
    """The node of a cluster is ready, and its default account exists, which pods need."""

    server: ApiServer
    name: str = "node"

    def observe(self) -> Observation:
        """Ask for both, and wait for a change if the node is not ready."""
        try:
            return self._look()
        except ProbeError as error:
            return Observation(False, error.last)

    def _look(self) -> Observation:
        nodes = self.server.get(NODES)
        if not nodes.accepted:
            return Observation(False, nodes.message)
        ready, fact = readiness(next(map(mapping, sequence(nodes.body.get("items"))), {}))
        if not ready:
            # Polling would slow the start down: the machine is busy with it.
            version = str(mapping(nodes.body.get("metadata")).get("resourceVersion") or "")
            self.server.await_change(NODES, version, LOOK_AGAIN)
            return Observation(False, fact)
        account = self.server.get("/api/v1/namespaces/default/serviceaccounts/default")
        return Observation(account.accepted, fact if account.accepted else account.message)


def access_in(home: Path, port: int) -> Access:
    """How clients of this machine reach the API server of a node with this folder.

    Args:
        home: the node's folder, in which it has written its files.
        port: on which it accepts their connections.
    """
    (user,) = json.loads((home / KUBECONFIG).read_text())["users"]
    return Access(f"https://127.0.0.1:{port}", user["user"]["token"], home / AUTHORITY)


def readiness(node: Mapping[str, object]) -> tuple[bool, str]:
    """Whether kubelet reports a node as ready, and what it says."""
    for each in sequence(mapping(node.get("status")).get("conditions")):
        condition = mapping(each)
        if condition.get("type") == "Ready":
            return condition.get("status") == "True", str(condition.get("message"))
    return False, "kubelet has not reported on the node"


def group_of(home: PurePath) -> str:
    """The name of the cgroup of a node's pods; the folder's own name differs for each run."""
    return f"dapr-harness-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
