"""An existing cluster, in which a stack has a namespace."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.core.deadline import Check, Observation
from harness.core.launch import Launch
from harness.core.node import Scope
from harness.kubernetes import session_agent
from harness.kubernetes.api import Access, ApiServer
from harness.kubernetes.existing import ExistingCluster, Right
from harness.kubernetes.kubeconfig import Reached
from harness.nodes.base import BaseNode
from harness.nodes.cluster import AUTHORITY

ABOUT, CERTIFICATE = "session.json", "client.pem"
"""Files in the node's folder: what its program has to know, and the client's certificate."""

RIGHTS = (
    Right("create", "leases", "coordination.k8s.io"),
    *(Right(verb, "deployments", "apps") for verb in ("create", "patch", "delete")),
    *(Right("create", each) for each in ("services", "secrets", "serviceaccounts")),
    *(Right("create", each, "dapr.io") for each in ("components", "configurations")),
    *(Right(verb, "pods") for verb in ("create", "watch", "delete")),
    Right("get", "pods/log"),
    Right("get", "pods/portforward"),
    Right("create", "pods/portforward"),
)
"""What a stack does in its namespace."""

OWN_NAMESPACE = tuple(Right(verb, "namespaces") for verb in ("create", "delete"))
"""What it does if no namespace was named."""

GRACE = 5.0


@dataclass(frozen=True)
class GivenCluster(BaseNode):
    """The namespace of a stack in a cluster that is up: claimed, and removed with the stack.

    Args:
        reached: the cluster, and the user who reaches it.
        namespace: in which the pods are.
        own: whether it is created for the stack.
        session: the label of what the stack applies.
        packed: whether images are packed here; for other clients of the run.
        wanted: the version of Dapr for which the objects are written.
        found: called with the image of the sidecars.
        load: called when the namespace is there, and before any pod.
        name: the node's name in its stack.
    """

    on_host = True

    reached: Reached = field(repr=False, compare=False)
    namespace: str
    own: bool
    session: str
    packed: bool
    wanted: str
    found: Callable[[str], None] = field(default=lambda _: None, repr=False, compare=False)
    load: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    name: str = "cluster"

    def plan(self, scope: Scope) -> Launch:
        """A program that claims the namespace."""
        home = Path(scope.home)
        about = {
            "server": access_to(self.reached, home).told(),
            "context": self.reached.context,
            "packed": self.packed,
            "namespace": self.namespace,
            "own": self.own,
            "session": self.session,
            "holder": f"{socket.gethostname()}, process {os.getpid()}",
        }
        program = (sys.executable, "-E", session_agent.__file__)
        texts = {AUTHORITY: self.reached.authority, CERTIFICATE: self.reached.certificate}
        return Launch(
            name=self.name,
            argv=(*program, "hold", str(home / ABOUT)),
            files={
                ABOUT: json.dumps(about),
                **{name: text for name, text in texts.items() if text},
            },
            at_end=(*program, "end", str(home / ABOUT)),
            on_host=True,
            grace=GRACE,
        )

    def checks(self, scope: Scope) -> Iterator[Check]:
        """The namespace can be used, and pods in it are given sidecars."""
        with ApiServer(self.reached.access) as server:
            cluster = ExistingCluster(server, self.reached.context)
            yield NamespaceCheck(cluster, self.namespace, self.wanted, self.found)

    def initialize(self, scope: Scope) -> None:
        """Load what is packed here."""
        self.load()


@dataclass(frozen=True)
class NamespaceCheck:
    """The namespace of a stack can be used by it.

    Attributes:
        namespace: its name.
        wanted: the version of Dapr for which the objects are written.
        found: called with the image of the sidecars.
    """

    cluster: ExistingCluster
    namespace: str
    wanted: str
    found: Callable[[str], None]
    name: str = "namespace"

    def observe(self) -> Observation:
        """Ask for its default account, the permissions, and a sidecar in a dry run.

        Raises:
            Unavailable: a permission or a sidecar is missing, or the latter is of another version.
            ProbeError: the injector or the API server does not answer.
        """
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default"
        account = self.cluster.server.get(path)
        if not account.accepted:
            # Without it, no pod is accepted.
            return Observation(False, account.message)
        self.cluster.require_rights(RIGHTS, self.namespace)
        image = self.cluster.injected(self.namespace, self.wanted)
        self.found(image)
        return Observation(True, f"{self.namespace}: sidecars are {image}")


def access_to(reached: Reached, home: Path) -> Access:
    """The same access, by files in a node's folder."""
    return replace(
        reached.access,
        authority=home / AUTHORITY if reached.authority else None,
        certificate=home / CERTIFICATE if reached.certificate else None,
    )
