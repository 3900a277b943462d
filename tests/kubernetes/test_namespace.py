"""A topology planned for a namespace: numbers of ports, what is applied, and what is refused."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from harness import App, ConfigError, Kafka, Postgres, Receiver, Topology
from harness.core.endpoint import Endpoint
from harness.core.launch import Launch
from harness.core.node import Node, Target
from harness.kubernetes.dapr_roles import SYSTEM
from harness.nodes.cluster import ClusterNode
from harness.nodes.tap import TapSidecar
from harness.stack.namespace import NamespaceBook, system_name, with_cluster
from harness.stack.pod_tools import DAPRD
from tests.kubernetes.rendering import the
from tests.projects import KAFKA
from tests.support import project

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: secrets}
spec: {type: secretstores.local.env, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
auth: {secretStore: secrets}
spec:
  type: state.postgresql
  version: v2
  metadata:
  - {name: connectionString, secretKeyRef: {name: DSN, key: DSN}}
"""


class Tools:
    """Without the programs of a node: nothing is started."""

    archives: Collection[Path] = ()

    def provide(self, nodes: object, root: Path) -> None:
        raise AssertionError("nothing is provided while planning")

    def path(self, tool: str) -> Path:
        return Path("/tools") / tool

    def daprd(self, types: object) -> Path:
        return DAPRD

    def version(self, tool: str) -> str:
        return ""


class Planned:
    """The launches of a topology, each port with a number from 20001 on."""

    def __init__(self, folder: Path, *nodes: Node, **resources: str) -> None:
        root = folder / "shop"
        project(root, pyproject_toml="", **{f"c__{k}_yaml": text for k, text in resources.items()})
        (root / "c").mkdir(exist_ok=True)
        given = with_cluster(Topology(*nodes, resources="c"), Tools())  # type: ignore[arg-type]
        topology = given.resolved(Target("kubernetes", "kafka"))
        ports = iter(range(20001, 20100))
        self.book = NamespaceBook(
            topology, Tools(), root, folder,
            lambda wanted: Endpoint("127.0.0.1", wanted or next(ports)), gateway="10.200.0.1",
        )  # fmt: skip
        self.launches: dict[str, Launch] = {}
        self.needs: dict[str, set[str]] = {}
        for node in topology.nodes:
            if not isinstance(node, ClusterNode):
                scope = self.book.scope(node.name)
                self.launches[node.name] = self.book.launch(node, scope)
                self.needs[node.name] = {*node.needs, *scope.needs}

    def objects(self, app: str = "shop") -> list[dict[str, Any]]:
        return [dict(each) for each in self.launches[app].in_pod.objects]


def shop(**given: Any) -> App:
    return App("shop", asgi="shop:app", **given)


def test_a_sidecar_has_the_ports_of_the_injector_in_its_pod_and_its_own_ones_here(
    tmp_path: Path,
) -> None:
    planned = Planned(tmp_path, shop())

    sidecar = planned.launches["shop-daprd"]

    assert {"http": 3500, "grpc": 50001, "internal": 50002, "metrics": 9090} == dict(
        sidecar.in_pod.ports
    )
    assert sidecar.ports["http"] == planned.book.endpoint("shop-daprd", "http").port != 3500
    assert ("daprd", "shop") == (sidecar.in_pod.name, sidecar.in_pod.workload)


def test_other_pods_see_the_port_of_the_manifest_of_an_app(tmp_path: Path) -> None:
    planned = Planned(tmp_path, shop(), App("web", asgi="web:app"))

    assert Endpoint("shop", 8000) == planned.book.endpoint("shop", viewer="web")
    assert 8000 != planned.book.endpoint("shop").port == planned.launches["shop"].ports["main"]


def test_an_app_waits_for_what_its_sidecar_needs_as_both_are_one_pod(tmp_path: Path) -> None:
    planned = Planned(tmp_path, Kafka(["orders"]), shop(inbox=True), pubsub=KAFKA)

    assert {"cluster", "kafka", "placement", "scheduler"} == planned.needs["shop"]


def test_the_control_plane_is_that_of_the_cluster(tmp_path: Path) -> None:
    scheduler = Planned(tmp_path, shop()).launches["scheduler"]

    assert (SYSTEM, {"app": "dapr-scheduler-server"}) == (
        scheduler.in_pod.namespace, scheduler.in_pod.labels,
    )  # fmt: skip


def test_components_have_the_addresses_that_nodes_have_in_the_namespace(tmp_path: Path) -> None:
    planned = Planned(tmp_path, Kafka(["orders"]), shop(), pubsub=KAFKA)

    component = the(planned.objects(), "Component", "pubsub")

    network = planned.book.endpoint("kafka", "network", viewer="shop")
    assert "kafka" == network.host
    assert {"name": "brokers", "value": str(network)} in component["spec"]["metadata"]


def test_secrets_are_those_of_the_run(tmp_path: Path) -> None:
    planned = Planned(
        tmp_path, Postgres(), shop(sidecar_env={"DSN": "${postgres.dsn}"}), store=STORE
    )

    objects = planned.objects()

    dsn = the(objects, "Secret", "shop")["stringData"]["DSN"]
    assert f"{planned.book.token('postgres')}@postgres:" in dsn
    token = the(objects, "Secret", "shop-dapr-api-token")["stringData"]["token"]
    assert planned.book.token("dapr-api") == token


def test_secrets_in_files_are_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "s.json").write_text('{"DSN": "x"}')
    metadata = (
        "secretstores.local.file, version: v1, metadata: [{name: secretsFile, value: s.json}]"
    )
    store = STORE.replace("secretstores.local.env, version: v1", metadata)

    with pytest.raises(ConfigError, match="no value for DSN"):
        Planned(tmp_path, shop(), store=store)


def test_the_inbox_of_an_app_is_called_by_its_sidecar(tmp_path: Path) -> None:
    planned = Planned(tmp_path, shop(inbox=True))

    template = the(planned.objects(), "Deployment", "shop")["spec"]["template"]

    inbox = planned.launches["shop-inbox"]
    assert str(inbox.ports["main"]) == template["metadata"]["annotations"]["dapr.io/app-port"]
    assert "127.0.0.1:8000" in inbox.argv
    assert ("", "shop") == (inbox.in_pod.name, inbox.in_pod.workload)


def test_an_app_without_an_inbox_is_called_itself(tmp_path: Path) -> None:
    template = the(Planned(tmp_path, shop()).objects(), "Deployment", "shop")["spec"]["template"]

    assert "8000" == template["metadata"]["annotations"]["dapr.io/app-port"]


def test_a_scaled_app_has_one_pod_in_a_stack(tmp_path: Path) -> None:
    from harness import Kubernetes

    objects = Planned(tmp_path, shop(kubernetes=Kubernetes(replicas=2, max_replicas=4))).objects()

    assert 1 == the(objects, "Deployment", "shop")["spec"]["replicas"]
    assert not {"HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"} & {
        each["kind"] for each in objects
    }


def test_the_sidecar_of_a_tap_is_not_injected() -> None:
    tap = TapSidecar("tap-1", pubsub="pubsub", find=lambda _name, _viewer: ())

    resolved = tap.resolve(Target("kubernetes"))

    assert isinstance(resolved, TapSidecar)
    assert not resolved.injected


def test_a_sidecar_loads_no_local_store_of_secrets_in_a_cluster(tmp_path: Path) -> None:
    planned = Planned(
        tmp_path, Postgres(), shop(sidecar_env={"DSN": "${postgres.dsn}"}), store=STORE
    )

    files = planned.launches["shop-daprd"].files

    components = [each for each in files if "-component-" in each]
    assert ["resources/01-component-store.yaml"] == components
    assert ["store"] == [each.name for each in planned.book.resources("shop-daprd")]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"replicas": 2}, "replicas"),
        ({"on_host": True}, "on_host"),
        ({"after_sidecar": True}, "after_sidecar"),
        ({"calls": True}, "calls"),
    ],
)
def test_what_a_pod_cannot_do_is_refused_with_the_option(
    tmp_path: Path, given: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=f"has {what}, which the Kubernetes runtime cannot do"):
        Planned(tmp_path, shop(), App("web", asgi="web:app", **given))


def test_virtual_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="virtual time needs the harness's own scheduler"):
        with_cluster(Topology(shop(), time="virtual"), Tools())  # type: ignore[arg-type]


def test_pods_see_no_address_of_this_machine(tmp_path: Path) -> None:
    planned = Planned(tmp_path, shop(), Receiver())

    with pytest.raises(ConfigError, match="runs on this machine, and pods cannot reach it"):
        planned.book.endpoint("cluster", viewer="shop")
    assert "127.0.0.1" == planned.book.endpoint("receiver").host


@pytest.mark.parametrize(
    ("folder", "name"), [("Shop_App", "shop-app"), ("...", "system"), ("a" * 80, "a" * 50)]
)
def test_the_namespace_is_named_after_the_folder_of_the_project(folder: str, name: str) -> None:
    assert name == system_name(Path("/x") / folder)
