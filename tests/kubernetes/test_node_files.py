"""What the programs of a Kubernetes node are given."""

from __future__ import annotations

import base64
import json
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from harness import Topology
from harness.core.endpoint import Endpoint
from harness.core.launch import Launch
from harness.kubernetes import node_files
from harness.kubernetes.node_files import Account, kubeconfig, tokens
from harness.nodes.cluster import ACCOUNTS, KUBECONFIG, PLAN, ClusterNode, group_of, readiness
from harness.stack.book import AddressBook

HOME = PurePosixPath("/run-folder/nodes/cluster")


class Tools:
    """Where programs would be."""

    def path(self, tool: str) -> Path:
        return Path("/tools") / tool


@pytest.fixture
def book(tmp_path: Path) -> AddressBook:
    ports = iter(range(20000, 20100))
    return AddressBook(
        Topology(ClusterNode()), Tools(), tmp_path, tmp_path / "run",  # type: ignore[arg-type]
        lambda wanted: Endpoint("127.0.0.1", wanted or next(ports)),
    )  # fmt: skip


@pytest.fixture
def launch(book: AddressBook) -> Launch:
    (node,) = book.topology.nodes
    return node.plan(book.scope(node.name))


def programs(launch: Launch) -> dict[str, dict[str, str]]:
    """The flags of each program."""
    return {
        each["name"]: dict(
            word.removeprefix("--").split("=", 1) for word in each["argv"] if word[:2] == "--"
        )
        for each in json.loads(launch.files[PLAN])["programs"]
    }


def test_this_machine_reaches_the_api_server_on_loopback_only(launch: Launch) -> None:
    plan = json.loads(launch.files[PLAN])

    assert "127.0.0.1:20000" == plan["listen"]
    assert {"main": 20000} == launch.ports
    assert '"server": "https://127.0.0.1:20000"' in launch.files[KUBECONFIG]


def test_what_the_api_server_only_shares_with_the_node_listens_on_its_loopback(
    launch: Launch,
) -> None:
    """Pods have their own: they cannot reach the storage, the controllers and the scheduler."""
    found = programs(launch)

    urls = [value for name, value in found["etcd"].items() if name.endswith("-urls")]
    assert 4 == len(urls)
    assert all(each.startswith("http://127.0.0.1:") for each in urls)
    assert "127.0.0.1" == found["kube-controller-manager"]["bind-address"]
    assert "127.0.0.1" == found["kube-scheduler"]["bind-address"]


def test_no_secret_is_an_argument(launch: Launch, book: AddressBook) -> None:
    """Every account on the machine can see arguments."""
    argv = [json.dumps(each) for each in programs(launch).values()]

    assert len(ACCOUNTS) == len(book.secrets())
    assert [] == [token for token in book.secrets() for words in argv if token in words]
    assert [] == [token for token in book.secrets() if token in " ".join(launch.argv)]


def test_the_pods_of_each_run_have_a_cgroup_of_their_own(launch: Launch) -> None:
    """Two clusters are side by side, and each removes its own."""
    group = json.loads(launch.files[PLAN])["group"]

    assert f"/{group}" == json.loads(launch.files["kubelet.json"])["cgroupRoot"]
    assert ("/tools/cluster-node", "clean", group) == launch.at_end
    assert group_of(HOME) != group_of(PurePosixPath("/another-folder/nodes/cluster"))


def test_a_program_waits_for_what_it_needs(launch: Launch) -> None:
    """kubelet ends if no container runtime answers, the controllers if no API server does."""
    plan = json.loads(launch.files[PLAN])
    after = {each["name"]: each["after"] for each in plan["programs"]}

    assert [[], [], []] == [after[name] for name in ("containerd", "etcd", "kube-apiserver")]
    assert ["server", "images"] == after["kubelet"]
    assert "server" in after["kube-controller-manager"]


def test_nothing_of_the_machine_is_changed(launch: Launch) -> None:
    """Settings that kubelet and kube-proxy would make are those of the whole machine."""
    kubelet, proxy = (
        json.loads(launch.files[f"{name}.json"]) for name in ("kubelet", "kube-proxy")
    )

    assert {"maxPerCore": 0, "min": 0}.items() <= proxy["conntrack"].items()
    assert (0, 0) == (kubelet["oomScoreAdj"], proxy["oomScoreAdj"])
    assert not kubelet["makeIPTablesUtilChains"]


def test_the_container_runtime_uses_nothing_that_is_installed(launch: Launch) -> None:
    found = tomllib.loads(launch.files["containerd.toml"])
    cri = found["plugins"]["io.containerd.grpc.v1.cri"]

    runtime = cri["containerd"]["runtimes"]["runc"]["options"]["BinaryName"]
    assert "/tools/container-runtime/usr/sbin/runc" == runtime
    assert "/tools/container-runtime/usr/lib/cni" == cri["cni"]["bin_dir"]
    assert cri["cni"]["conf_dir"] in found["root"]


def test_kubelet_belongs_to_the_group_whose_rights_are_those_of_one_node() -> None:
    name, group = ACCOUNTS["kubelet"]

    assert ("system:node:node", "system:nodes") == (name, group)


def test_a_token_is_a_row_with_its_account() -> None:
    accounts = {"a": Account("admin", "one", "system:masters"), "b": Account("user", "two")}

    assert 'one,admin,admin,"system:masters"\ntwo,user,user\n' == tokens(accounts)


def test_a_kubeconfig_needs_no_other_file() -> None:
    found = json.loads(kubeconfig("https://127.0.0.1:1", "PEM", "secret"))

    (cluster,) = found["clusters"]
    assert b"PEM" == base64.b64decode(cluster["cluster"]["certificate-authority-data"])
    assert "secret" == found["users"][0]["user"]["token"]
    assert found["current-context"] == found["contexts"][0]["name"]


@pytest.mark.parametrize(
    ("conditions", "ready", "said"),
    [
        ([{"type": "Ready", "status": "True", "message": "posting"}], True, "posting"),
        ([{"type": "Ready", "status": "False", "message": "no network"}], False, "no network"),
        ([{"type": "DiskPressure", "status": "True"}], False, "has not reported"),
        ([], False, "has not reported"),
    ],
)
def test_a_node_is_ready_if_kubelet_says_so(
    conditions: list[dict[str, str]], ready: bool, said: str
) -> None:
    found = readiness({"status": {"conditions": conditions}})

    assert ready == found[0]
    assert said in found[1]


def test_a_client_of_this_machine_can_verify_the_api_server(launch: Launch) -> None:
    from cryptography import x509

    found = x509.load_pem_x509_certificates(launch.files["server.crt"].encode())

    names = found[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "127.0.0.1" in {str(each.value) for each in names}
    assert "kubernetes.default.svc" in {str(each.value) for each in names}
    (root,) = x509.load_pem_x509_certificates(launch.files["ca.crt"].encode())
    assert found[1].issuer == root.subject
    assert found[0].issuer == found[1].subject


def test_a_kubelet_obeys_the_api_server(launch: Launch) -> None:
    """As a member of the group that may do everything; Go refuses a certificate without names."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = x509.load_pem_x509_certificates(launch.files["client.crt"].encode())[0]

    (group,) = found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ("system:masters", 1) == (group.value, len(names))


def test_pods_and_services_have_different_addresses() -> None:
    from ipaddress import ip_address, ip_network

    services, pods = ip_network(node_files.SERVICES), ip_network(node_files.PODS)
    assert not services.overlaps(pods)
    assert ip_address(node_files.API) == next(services.hosts())
