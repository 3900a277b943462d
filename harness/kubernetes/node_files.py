"""The files that the programs of a Kubernetes node read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from harness.provision.cluster_node import PAUSE_IMAGE

NODE = "node"
"""The name of the node in its cluster."""

ADDRESS = "10.200.0.1"
"""The address of a node. Each node has a network of its own, so all of them have the same."""

SERVICES = "10.96.0.0/16"
"""The addresses of Services."""

API = "10.96.0.1"
"""The first of them is that of the API server."""

PODS = "10.244.0.0/24"
"""The addresses of pods."""

DOMAIN = "cluster.local"
API_PORT, ETCD_PORT, ETCD_PEER_PORT = 6443, 2379, 2380
CONTAINERD = "/run/containerd/containerd.sock"

SERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{DOMAIN}",
    "localhost",
    "127.0.0.1",
    API,
    ADDRESS,
)
"""What clients call the API server: those of this machine, of the node and of its pods."""

_DISABLED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
)


@dataclass(frozen=True)
class Account:
    """A user of the API server.

    Attributes:
        name: as Kubernetes calls the program.
        token: a secret.
        group: a group that it belongs to.
    """

    name: str
    token: str
    group: str = ""


def tokens(accounts: Mapping[str, Account]) -> str:
    """The file from which the API server knows the accounts."""
    rows = (
        [each.token, each.name, each.name, *([f'"{each.group}"'] if each.group else [])]
        for each in accounts.values()
    )
    return "".join(",".join(row) + "\n" for row in rows)


def kubeconfig(server: str, authority: str, token: str) -> str:
    """What a client needs to use the API server.

    Args:
        server: its URL.
        authority: the certificate that it is trusted by, as PEM.
        token: of an account.
    """
    name = "dapr-harness"
    trusted = base64.b64encode(authority.encode()).decode()
    cluster = {"server": server, "certificate-authority-data": trusted}
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def kubelet(home: PurePath, group: str) -> str:
    """The configuration of kubelet.

    Args:
        home: the node's folder.
        group: the cgroup of the pods.
    """
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{group}",
            "failCgroupV1": False,
            "failSwapOn": False,
            # Less than 0 needs CAP_SYS_RESOURCE, which root in a container lacks.
            "oomScoreAdj": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(home / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(home / "kubelet.crt"),
            "tlsPrivateKeyFile": str(home / "kubelet.key"),
            "clusterDNS": [ADDRESS],
            "clusterDomain": DOMAIN,
            "resolvConf": str(home / "resolv.conf"),
            "makeIPTablesUtilChains": False,
            # The disk is the machine's: nothing is evicted or removed because others fill it.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            "podLogsDir": str(home / "pods"),
            "volumePluginDir": "/run/kubelet-plugins",
            "nodeStatusUpdateFrequency": "5s",
            "syncFrequency": "10s",
        }
    )


def kube_proxy(home: PurePath) -> str:
    """The configuration of kube-proxy; it leaves the machine's settings of conntrack alone."""
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "oomScoreAdj": 0,
            "clusterCIDR": PODS,
            "clientConnection": {"kubeconfig": str(home / "kube-proxy.kubeconfig")},
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
        }
    )


def network() -> str:
    """How pods are connected: each by a pair of interfaces, without another address outside."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "ptp", "ipMasq": False, "ipam": addresses}
    return _json({"cniVersion": "0.4.0", "name": "dapr-harness", "plugins": [plugin]})


def containerd(home: PurePath, root: PurePath) -> str:
    """The configuration of containerd.

    Args:
        home: the node's folder.
        root: the folder in which the Debian packages were unpacked.
    """
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{home / "store"}"
state = "/run/containerd"
oom_score = 0
disabled_plugins = {json.dumps(_DISABLED)}

[grpc]
  address = "{CONTAINERD}"

{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true

{cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

{cri}.containerd.runtimes.runc.options]
  BinaryName = "{root / "usr/sbin/runc"}"
  SystemdCgroup = false

{cri}.cni]
  bin_dir = "{root / "usr/lib/cni"}"
  conf_dir = "{home}"
"""


def _json(value: object) -> str:
    """JSON, which the programs read as the YAML that it is."""
    return json.dumps(value, indent=1) + "\n"
