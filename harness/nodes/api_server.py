"""The API server of Kubernetes with its storage, and nothing that would run pods."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Check
from harness.core.errors import HarnessError
from harness.core.launch import Launch
from harness.core.node import Node, Scope
from harness.kubernetes.api import Access, ApiServer
from harness.kubernetes.checks import ReadyCheck
from harness.kubernetes.kinds import Kinds, ServedCheck, defined_by
from harness.kubernetes.manifests import Manifest, manifests_in
from harness.nodes.base import BaseNode
from harness.ready.http import HttpCheck
from harness.ready.tcp import TcpCheck

TOKENS = "tokens.csv"
"""The accounts of the server: one that may do everything."""

CERTIFICATES = "certificates"
"""The folder in which the server signs a certificate for itself."""

SERVICES = "10.96.0.0/16"
"""Addresses of Services, which nothing routes; the server requires some."""


@dataclass(frozen=True)
class Etcd(BaseNode):
    """The storage of an API server; it does not wait for the disk.

    Args:
        name: the node's name; it exports ``<name>.url``.
    """

    tools = ("etcd",)
    on_host = True

    name: str = "etcd"

    def plan(self, scope: Scope) -> Launch:
        """A cluster of one."""
        client, peer = scope.listen(), scope.listen("peer")
        flags = {
            "name": self.name,
            "data-dir": str(scope.home / "data"),
            "log-level": "warn",
            "listen-client-urls": client.http,
            "advertise-client-urls": client.http,
            "listen-peer-urls": peer.http,
            "initial-advertise-peer-urls": peer.http,
            "initial-cluster": f"{self.name}={peer.http}",
        }
        return Launch(
            name=self.name,
            argv=(str(scope.tool("etcd")), "--unsafe-no-fsync", *_flags(flags)),
            ports={"main": client.port, "peer": peer.port},
            on_host=True,
            end_signal=signal.SIGKILL,
        )

    def checks(self, scope: Scope) -> Iterable[Check]:
        """It has elected itself."""
        return (HttpCheck(f"{scope.endpoint().http}/health", "health"),)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``url`` for its clients."""
        return {"url": scope.endpoint().http}


@dataclass(frozen=True)
class KubeApiServer(BaseNode):
    """An API server that knows Dapr's kinds.

    Args:
        name: the node's name; it exports ``<name>.url``, ``.token`` and ``.authority``, the file
            with its certificate.
        etcd: the name of its storage.
    """

    tools = ("kube-apiserver", "dapr-crds")
    on_host = True

    name: str = "kube-apiserver"
    etcd: str = "etcd"

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """Its storage."""
        return (Etcd(self.etcd),)

    def plan(self, scope: Scope) -> Launch:
        """The server with one account; it issues tokens with the key of its own certificate."""
        listen, home = scope.listen(), scope.home
        key = str(home / CERTIFICATES / "apiserver.key")
        flags = {
            "etcd-servers": scope.exports(self.etcd)["url"],
            "bind-address": listen.host,
            "advertise-address": listen.host,
            "secure-port": str(listen.port),
            "cert-dir": str(home / CERTIFICATES),
            "token-auth-file": str(home / TOKENS),
            # There is one account. With RBAC, the server would first store 150 roles for nobody.
            "authorization-mode": "AlwaysAllow",
            "anonymous-auth": "false",
            "service-cluster-ip-range": SERVICES,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            # There are no controllers that would create the accounts of namespaces, and no nodes
            # whose addresses could be published.
            "disable-admission-plugins": "ServiceAccount",
            "endpoint-reconciler-type": "none",
        }
        return Launch(
            name=self.name,
            argv=(str(scope.tool("kube-apiserver")), *_flags(flags)),
            files={TOKENS: f'{self._token(scope)},admin,admin,"system:masters"\n'},
            ports={"main": listen.port},
            on_host=True,
            end_signal=signal.SIGKILL,
        )

    def checks(self, scope: Scope) -> Iterator[Check]:
        """It listens, and is ready."""
        yield TcpCheck(scope.endpoint())
        with ApiServer(self._access(scope)) as server:
            yield ReadyCheck(server)

    def initialize(self, scope: Scope) -> None:
        """Define Dapr's kinds.

        Raises:
            HarnessError: the server refuses one.
        """
        with ApiServer(self._access(scope)) as server:
            kinds = Kinds(server)
            for each in _crds(scope):
                path = kinds.find(each.version, each.kind).object(each.name, "")
                answer = server.apply(path, each.text.encode(), dry_run=False)
                if not answer.accepted:
                    raise HarnessError(
                        f"{self.name} refuses {each.kind} {each.name}", last=answer.message
                    )

    def post_checks(self, scope: Scope) -> Iterator[Check]:
        """It serves them."""
        kinds = tuple(kind for each in _crds(scope) for kind in defined_by(each.body))
        with ApiServer(self._access(scope)) as server:
            yield ServedCheck(server, kinds)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``url``, ``token`` and ``authority`` for its clients."""
        access = self._access(scope)
        return {"url": access.url, "token": access.token, "authority": str(access.authority)}

    def _access(self, scope: Scope) -> Access:
        authority = Path(scope.home) / CERTIFICATES / "apiserver.crt"
        return Access(f"https://{scope.endpoint()}", self._token(scope), authority)

    def _token(self, scope: Scope) -> str:
        return scope.token(f"{self.name}-admin")


def access_from(values: Mapping[str, str]) -> Access:
    """How the server is reached, from what its node exports."""
    return Access(values["url"], values["token"], Path(values["authority"]))


def _flags(values: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def _crds(scope: Scope) -> list[Manifest]:
    return manifests_in([scope.tool("dapr-crds")])
