"""The programs of a Kubernetes node, with their arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath

from harness.kubernetes.node_files import (
    ADDRESS,
    API_PORT,
    CONTAINERD,
    ETCD_PEER_PORT,
    ETCD_PORT,
    NODE,
    SERVICES,
)

LOGS = "logs"
"""The folder with a log for each program."""


@dataclass(frozen=True)
class Installed:
    """Where the programs are.

    Attributes:
        control_plane: the folder with etcd and kube-apiserver.
        node: the folder with the other programs of Kubernetes.
        root: the folder in which the Debian packages were unpacked.
    """

    control_plane: PurePath
    node: PurePath
    root: PurePath


@dataclass(frozen=True)
class Program:
    """One of the node's programs, none of which may end.

    Attributes:
        after: what it waits for: ``server`` for the API server, ``images`` for the images.
    """

    name: str
    argv: Sequence[str]
    log: str
    after: Sequence[str] = ()


def programs(home: PurePath, installed: Installed) -> Iterator[Program]:
    """All of them, in the order in which they start."""

    def program(path: PurePath, flags: Mapping[str, str], *after: str) -> Program:
        words = [f"--{name}={value}" for name, value in flags.items()]
        log = str(home / LOGS / f"{path.name}.log")
        return Program(path.name, [str(path), *words], log, after)

    containerd = installed.root / "usr/bin/containerd"
    yield program(containerd, {"config": str(home / "containerd.toml"), "log-level": "warn"})
    yield program(installed.control_plane / "etcd", _etcd(home))
    yield program(installed.control_plane / "kube-apiserver", _api_server(home))
    controllers = {**_client(home, "kube-controller-manager"), **_controllers(home)}
    yield program(installed.node / "kube-controller-manager", controllers, "server")
    yield program(installed.node / "kube-scheduler", _client(home, "kube-scheduler"), "server")
    proxy = {"config": str(home / "kube-proxy.json"), "hostname-override": NODE}
    yield program(installed.node / "kube-proxy", proxy, "server")
    for command, more in (("dns", [f"{ADDRESS}:53"]), ("policies", [])):
        yield _own(home, installed, command, more)
    yield program(installed.node / "kubelet", _kubelet(home), "server", "images")


def node_plan(
    home: PurePath,
    installed: Installed,
    *,
    listen: str,
    group: str,
    token: str,
    images: Sequence[PurePath],
) -> str:
    """What the first process of the node's namespaces reads.

    Args:
        home: the node's folder.
        listen: where this machine connects to the API server.
        group: the name of the cgroup of the pods.
        token: of an account that may ask whether the API server is ready.
        images: archives to import.
    """
    server = f"127.0.0.1:{API_PORT}"
    client = [str(installed.root / "usr/bin/ctr"), "--address", CONTAINERD, "-n", "k8s.io"]
    return json.dumps(
        {
            "home": str(home),
            "hostname": NODE,
            "address": ADDRESS,
            "services": SERVICES,
            "group": group,
            "listen": listen,
            "server": server,
            "runtime": CONTAINERD,
            "import": [*client, "images", "import"],
            "ready": [f"https://{server}/readyz", token, str(home / "ca.crt")],
            "images": [str(each) for each in images],
            "programs": [asdict(each) for each in programs(home, installed)],
        },
        indent=1,
    )


def _etcd(home: PurePath) -> dict[str, str]:
    client, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return {
        "name": "etcd",
        "data-dir": str(home / "etcd"),
        "log-level": "warn",
        "unsafe-no-fsync": "true",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"etcd={peer}",
    }


def _api_server(home: PurePath) -> dict[str, str]:
    return {
        "etcd-servers": f"http://127.0.0.1:{ETCD_PORT}",
        # All addresses of a network of its own: pods reach it by the node's.
        "bind-address": "0.0.0.0",  # noqa: S104 - of its own network namespace
        "advertise-address": ADDRESS,
        "secure-port": str(API_PORT),
        "service-cluster-ip-range": SERVICES,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "token-auth-file": str(home / "tokens.csv"),
        "client-ca-file": str(home / "ca.crt"),
        "tls-cert-file": str(home / "server.crt"),
        "tls-private-key-file": str(home / "server.key"),
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-certificate-authority": str(home / "ca.crt"),
        "kubelet-client-certificate": str(home / "client.crt"),
        "kubelet-client-key": str(home / "client.key"),
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": str(home / "server.key"),
        "service-account-signing-key-file": str(home / "server.key"),
        "profiling": "false",
    }


def _client(home: PurePath, name: str) -> dict[str, str]:
    return {
        "kubeconfig": str(home / f"{name}.kubeconfig"),
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "profiling": "false",
    }


def _controllers(home: PurePath) -> dict[str, str]:
    return {
        "service-account-private-key-file": str(home / "server.key"),
        "root-ca-file": str(home / "ca.crt"),
        "cluster-signing-cert-file": str(home / "issuer.crt"),
        "cluster-signing-key-file": str(home / "issuer.key"),
        "use-service-account-credentials": "true",
    }


def _kubelet(home: PurePath) -> dict[str, str]:
    return {
        "config": str(home / "kubelet.json"),
        "kubeconfig": str(home / "kubelet.kubeconfig"),
        "root-dir": "/var/lib/kubelet",
        "hostname-override": NODE,
        "node-ip": ADDRESS,
    }


def _own(home: PurePath, installed: Installed, command: str, more: Sequence[str]) -> Program:
    """The server for the names of Services, or what enforces NetworkPolicies."""
    argv = [str(installed.node / "cluster-node"), command, str(home / f"{command}.kubeconfig")]
    return Program(command, [*argv, *more], str(home / LOGS / f"{command}.log"), ("server",))
