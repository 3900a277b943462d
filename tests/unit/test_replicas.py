"""Replicas of an app: their names, what they share, and what cannot be replicated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import App, ConfigError, Sidecar, Topology
from harness.core.endpoint import Endpoint
from harness.core.external import with_external
from harness.core.names import replica_name
from harness.core.node import Target
from harness.core.settings import Settings
from harness.inspection.sidecars import sidecars_of
from harness.manifests.project import KubernetesProject
from harness.nodes.consumer_groups import DeliveryCheck
from harness.render.compose.render import render
from harness.runtime.fake import FakeRuntime
from harness.stack.book import AddressBook
from harness.stack.planning.addresses import HOST
from harness.stack.registry import Registry
from harness.stack.stack import Stack
from tests.support import Fake, project
from tests.unit.test_images import ImagePaths, planned
from tests.unit.test_secrets_file import Tools


def test_each_replica_has_a_node_a_sidecar_and_an_inbox() -> None:
    """The first has the app's own name; all are of one app-id, which is an app once."""
    topology = Topology(App("shop", asgi="m:x", inbox=True, replicas=3))

    for number in (1, 2, 3):
        name = replica_name("shop", number)
        app, sidecar = topology[name], topology.sidecar_of(name)
        assert isinstance(app, App)
        assert isinstance(sidecar, Sidecar)
        assert ("shop", "shop") == (app.app_id, sidecar.app_id)
        assert (f"{name}-daprd", f"{name}-inbox") == (sidecar.name, sidecar.app_node)
        assert f"{name}-inbox" in topology
    assert ["shop", "shop-2", "shop-3"] == [n.name for n in topology.nodes if isinstance(n, App)]
    assert ["shop"] == topology.app_ids()


def test_a_replica_calls_and_is_called_by_its_own_sidecar(tmp_path: Path) -> None:
    """And both are told the app-id, not the name of the node."""
    numbers = iter(range(20000, 30000))
    topology = Topology(App("shop", command="serve", replicas=2))
    book = AddressBook(
        topology, Tools(), tmp_path, tmp_path, lambda _: Endpoint("127.0.0.1", next(numbers))
    )
    scopes = {name: book.scope(name) for name in ("shop-2", "shop-2-daprd")}

    app, sidecar = (book.topology[name].plan(scope) for name, scope in scopes.items())

    assert "shop" == app.env["APP_ID"]
    assert str(sidecar.ports["http"]) == app.env["DAPR_HTTP_PORT"]
    assert "--app-id=shop" in sidecar.argv
    assert f"--app-port={app.ports['main']}" in sidecar.argv


def test_a_replica_in_a_container_has_a_pod_of_its_own(tmp_path: Path) -> None:
    """As in a cluster: the loopback of one is not that of the other."""
    app = App("shop", asgi="shop:app", replicas=2)

    pods = {
        name: planned(tmp_path, app, name=name).container.pod for name in ("shop", "shop-daprd")
    }
    others = {
        name: planned(tmp_path, app, name=name).container.pod for name in ("shop-2", "shop-2-daprd")
    }

    assert {"shop"} == {*pods.values()}
    assert {"shop-2"} == {*others.values()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"replicas": 0}, "app 'shop' has replicas=0"),
        ({"replicas": -1}, "app 'shop' has replicas=-1"),
        ({"replicas": 2, "port": 8000}, "app 'shop' has 2 replicas and the fixed port 8000"),
        ({"replicas": 2, "external": True}, "app 'shop' is external and has 2 replicas"),
    ],
)
def test_what_cannot_be_replicated_is_refused(given: dict[str, Any], message: str) -> None:
    """When the app is made, with what to do."""
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        App("shop", command="serve", **given)

    assert caught.value.hint


@pytest.mark.parametrize("other", [App("shop-2", asgi="m:x"), Fake("shop-2")], ids=["app", "node"])
def test_a_node_that_takes_the_name_of_a_replica_is_refused(other: Any) -> None:
    """It would silently be missing."""
    with pytest.raises(ConfigError, match="'shop' brings a node named 'shop-2'"):
        Topology(App("shop", asgi="m:x", replicas=2), other)


def test_another_app_of_the_same_id_is_a_replica() -> None:
    """Such as the next version of an app; it is no other app-id."""
    new = App("shop-2", asgi="new:x", app_id="shop")

    topology = Topology(App("shop", asgi="m:x", replicas=2), new)

    assert topology["shop-2"] is new
    assert ["shop"] == topology.app_ids()


def test_one_replica_can_be_external() -> None:
    """The others stay, and its sidecar reaches it on the machine."""
    topology = Topology(App("shop", asgi="m:x", replicas=2))

    changed = with_external(topology, ["shop-2"])

    first, second = changed["shop"], changed["shop-2"]
    assert isinstance(first, App)
    assert isinstance(second, App)
    assert (False, True) == (first.external, second.external)
    assert ("shop", "") == (changed["shop-daprd"].pod, changed["shop-2-daprd"].pod)


def test_a_deployment_runs_all_replicas(tmp_path: Path) -> None:
    """One object for all of them, in the manifests and as a value of the chart."""
    topology = Topology(App("shop", command="serve {port}", replicas=3))

    found = KubernetesProject(topology, Settings.load(tmp_path, {}), tmp_path, "todo").rendered()

    assert "manifests/shop-2.yaml" not in found
    assert "replicas: 3" in found["manifests/shop.yaml"]
    assert "dapr.io/app-id: shop" in found["manifests/shop.yaml"]
    assert "shop: 3" in found["chart/values.yaml"]


def test_replicas_are_settled_like_other_apps() -> None:
    """Their names are host names on containers."""
    assert "shop-2" in Topology(App("shop", asgi="m:x", replicas=2)).resolved(Target("containers"))


def test_a_compose_project_has_a_service_for_each_replica(tmp_path: Path) -> None:
    """With a pod, an inbox and a sidecar, and ports that nobody else has."""
    topology = Topology(App("shop", asgi="m:x", inbox=True, replicas=2))

    text = render(topology, ImagePaths(), tmp_path, tmp_path / "compose")["compose.yaml"]

    services = yaml.safe_load(text)["services"]
    for app in ("shop", "shop-2"):
        assert {app, f"{app}-pod", f"{app}-inbox", f"{app}-daprd"} <= {*services}
        assert "--app-id=shop" in services[f"{app}-daprd"]["command"]
        assert f"service:{app}-pod" == services[f"{app}-daprd"]["network_mode"]
    published = [port for each in services.values() for port in each.get("ports", [])]
    assert len(published) == len({*published})


def test_commands_know_the_app_id_of_a_replica(tmp_path: Path) -> None:
    """Its node is what a person names; Dapr is asked for the app-id."""
    settings = Settings.load(tmp_path, {})
    topology = Topology(App("shop", command="serve", replicas=2))
    stack = Stack(topology, settings, Tools(), lambda: FakeRuntime(tmp_path / "run"))
    stack._start.prepare(FakeRuntime(tmp_path / "run"), Tools())
    stack._runtime = FakeRuntime(tmp_path / "run")
    stack._start.adopt()

    found = sidecars_of(Registry(tmp_path / "state").record(stack, "default"))

    assert {"shop": "shop", "shop-2": "shop"} == {n: each.dapr_id for n, each in found.items()}


GROUP = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: bus}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {name: brokers, value: "b:9"}
  - {name: authType, value: none}
  - {name: consumerID, value: "GROUP"}
"""


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("fixed", "fixed"),
        ("{appID}-x", "shop-x"),
        ("{appID}-{podName}", "shop-shop-2"),
    ],
)
def test_the_group_of_a_replica_is_the_one_that_daprd_joins(
    tmp_path: Path, group: str, expected: str
) -> None:
    """`{podName}` is the name of the node, which daprd finds in its environment."""
    project(tmp_path, c__bus_yaml=GROUP.replace("GROUP", group))
    app = App("shop", command="serve", replicas=2)
    book = AddressBook(
        Topology(app, resources="c"), Tools(), tmp_path, tmp_path, lambda _: Endpoint("x", 1)
    )
    sidecar = book.topology["shop-2-daprd"]
    launch = sidecar.plan(book.scope(sidecar.name))

    checks = list(sidecar.checks(book.scope(sidecar.name, HOST)))

    (waited_for,) = [each for each in checks if isinstance(each, DeliveryCheck)]
    assert ["bus"] == [*waited_for.groups]
    group_of: Any = waited_for.groups["bus"]
    assert ("b:9", expected) == (group_of.brokers, group_of.name)
    assert ("shop-2" if "podName" in group else None) == launch.env.get("POD_NAME")
