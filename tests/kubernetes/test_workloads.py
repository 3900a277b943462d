"""Accounts, permissions, probes, and how many pods an app has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import App, ConfigError, Kubernetes
from tests.kubernetes.rendering import annotated, container, kinds, one_app, the
from tests.kubernetes.validate import validate

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: local}
spec: {type: secretstores.local.env, version: v1, metadata: []}
"""
SCOPES = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: access}
spec:
  secrets:
    scopes: [{storeName: local, SCOPE}]
"""
DISABLED = "dapr.io/disable-builtin-k8s-secret-store"


def shop(**kubernetes: Any) -> App:
    """An app with these properties in a cluster."""
    return App("shop", asgi="m:a", kubernetes=Kubernetes(**kubernetes))


def pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The spec of the shop's pods."""
    found: dict[str, Any] = the(objects, "Deployment", "shop")["spec"]["template"]["spec"]
    return found


def test_an_app_has_an_account_of_its_own_without_a_token(tmp_path: Path) -> None:
    """Neither the account nor the pod mounts one; the injector adds what its sidecar needs."""
    objects = one_app(tmp_path, shop())
    account = the(objects, "ServiceAccount", "shop")

    assert account["metadata"]["name"] == pod(objects)["serviceAccountName"]
    assert (False, False) == (
        account["automountServiceAccountToken"],
        pod(objects)["automountServiceAccountToken"],
    )


def test_an_app_without_a_secret_store_may_read_no_secret(tmp_path: Path) -> None:
    """Its sidecar would exit without a token if the built-in store were not switched off."""
    objects = one_app(tmp_path, shop())

    assert not {"Role", "RoleBinding"} & kinds(objects)
    assert "true" == annotated(objects, "shop")[DISABLED]


@pytest.mark.parametrize(
    "scope",
    ["defaultAccess: deny, allowedSecrets: []", "defaultAccess: deny", "deniedSecrets: [KEY]"],
)
def test_an_app_to_which_secrets_are_denied_has_no_permission(tmp_path: Path, scope: str) -> None:
    """All secrets of a local store are keys of one Secret: if one is denied, it is."""
    objects = one_app(tmp_path, shop(), store=STORE, access=SCOPES.replace("SCOPE", scope))

    assert not {"Role", "RoleBinding"} & kinds(objects)
    assert "true" == annotated(objects, "shop")[DISABLED]
    assert not pod(objects)["automountServiceAccountToken"]


@pytest.mark.parametrize("scope", ["", "defaultAccess: allow", "allowedSecrets: [KEY]"])
def test_an_app_that_reads_secrets_may_read_one_and_no_more(tmp_path: Path, scope: str) -> None:
    """That of the system, by name and without listing: what the built-in store needs for `get`."""
    access = {"access": SCOPES.replace("SCOPE", scope)} if scope else {}
    objects = one_app(tmp_path, shop(), store=STORE, **access)
    role = the(objects, "Role", "shop-secrets")
    binding = the(objects, "RoleBinding", "shop-secrets")

    assert [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["todo"], "verbs": ["get"]}
    ] == role["rules"]
    assert ("Role", role["metadata"]["name"]) == (
        binding["roleRef"]["kind"],
        binding["roleRef"]["name"],
    )
    assert [
        {"kind": "ServiceAccount", "name": pod(objects)["serviceAccountName"], "namespace": "todo"}
    ] == binding["subjects"]
    assert pod(objects)["automountServiceAccountToken"]
    assert DISABLED not in annotated(objects, "shop")
    for each in objects:
        validate(each)


def test_a_scope_of_a_local_store_names_the_clusters_secret(tmp_path: Path) -> None:
    """In a cluster, Dapr compares the name of the Secret, of which the local names are keys."""
    scope = "allowedSecrets: [KEY], deniedSecrets: [OTHER]"
    objects = one_app(tmp_path, shop(), store=STORE, access=SCOPES.replace("SCOPE", scope))

    assert [
        {"storeName": "kubernetes", "allowedSecrets": ["todo"], "deniedSecrets": ["todo"]}
    ] == the(objects, "Configuration", "access")["spec"]["secrets"]["scopes"]


def test_resources_of_an_app_are_those_of_its_container(tmp_path: Path) -> None:
    """As the topology says."""
    own = shop(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "2"})

    assert {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}} == container(
        one_app(tmp_path, own), "shop"
    )["resources"]


def test_each_probe_has_a_handler(tmp_path: Path) -> None:
    """Exactly one: Kubernetes' schema takes a probe without any, its server does not."""
    plain, healthy = App("plain", asgi="m:a"), App("healthy", asgi="m:a", health="/health")
    objects = one_app(tmp_path, plain, healthy)
    timing = {"periodSeconds", "timeoutSeconds", "failureThreshold"}
    asked = {"httpGet": {"path": "/health", "port": "http"}}
    connected = {"tcpSocket": {"port": "http"}}

    for app, handler in (("plain", connected), ("healthy", asked)):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            own = container(objects, app)[probe]
            assert handler == {key: each for key, each in own.items() if key not in timing}


@pytest.mark.parametrize("seconds", [1, 60, 61])
def test_a_slow_start_is_not_ended_by_the_liveness_probe(tmp_path: Path, seconds: int) -> None:
    """Kubernetes waits for the startup probe, which lasts as long as the app may take."""
    probe = container(one_app(tmp_path, shop(startup_seconds=seconds)), "shop")["startupProbe"]

    assert seconds <= probe["periodSeconds"] * probe["failureThreshold"] < seconds + 2


@pytest.mark.parametrize(
    ("own", "seconds", "least"),
    [
        ({}, 10, 30),
        ({"block_shutdown_seconds": 30}, 35, 50),
        ({"pre_stop_seconds": 60}, 60, 75),
        ({"pre_stop_seconds": 1}, 1, 30),
    ],
)
def test_an_app_listens_until_its_sidecar_has_ended(
    tmp_path: Path, own: dict[str, int], seconds: int, least: int
) -> None:
    """Unless the topology says otherwise: the sidecar would answer others with errors."""
    objects = one_app(tmp_path, shop(**own))
    pod = the(objects, "Deployment", "shop")["spec"]["template"]["spec"]
    for each in objects:
        validate(each)

    assert {"preStop": {"sleep": {"seconds": seconds}}} == container(objects, "shop")["lifecycle"]
    assert least == pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    "app", [shop(block_shutdown_seconds=0), App("shop", command="w", listens=False)]
)
def test_a_pod_that_gets_no_requests_ends_at_once(tmp_path: Path, app: App) -> None:
    """And so does one whose topology says so."""
    assert "lifecycle" not in container(one_app(tmp_path, app), "shop")


def test_a_pod_is_replaced_when_the_new_one_is_ready(tmp_path: Path) -> None:
    """An app with one pod is available meanwhile, too."""
    spec = the(one_app(tmp_path, shop()), "Deployment", "shop")["spec"]

    assert {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}} == spec["strategy"]


def test_an_app_that_is_not_scaled_has_no_autoscaler(tmp_path: Path) -> None:
    """More replicas can do harm, so the topology must say that it may have them."""
    objects = one_app(tmp_path, shop(replicas=2))

    assert "HorizontalPodAutoscaler" not in kinds(objects)
    assert 2 == the(objects, "Deployment", "shop")["spec"]["replicas"]


def test_an_autoscaler_keeps_the_number_of_pods_within_bounds(tmp_path: Path) -> None:
    """It acts on the app's Deployment, which does not state a number that would undo its choice."""
    objects = one_app(tmp_path, shop(replicas=2, max_replicas=5, cpu_target=60))
    spec = the(objects, "HorizontalPodAutoscaler", "shop")["spec"]
    deployment = the(objects, "Deployment", "shop")

    assert (2, 5) == (spec["minReplicas"], spec["maxReplicas"])
    assert {
        "apiVersion": deployment["apiVersion"], "kind": "Deployment", "name": "shop"
    } == spec["scaleTargetRef"]  # fmt: skip
    (metric,) = spec["metrics"]
    assert {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}
    } == metric["resource"]  # fmt: skip
    assert "replicas" not in deployment["spec"]
    for each in objects:
        validate(each)


@pytest.mark.parametrize(
    ("app", "number"),
    [
        (App("shop", asgi="m:a", replicas=3), 3),
        (App("shop", asgi="m:a", replicas=3, kubernetes=Kubernetes(replicas=1)), 1),
        (shop(), 1),
    ],
)
def test_the_number_of_pods_is_that_of_the_app_or_of_the_cluster(
    tmp_path: Path, app: App, number: int
) -> None:
    """The latter, if the topology distinguishes them."""
    deployment = the(one_app(tmp_path, app), "Deployment", "shop")

    assert number == deployment["spec"]["replicas"]


@pytest.mark.parametrize(
    ("app", "protected"),
    [
        (shop(), False),
        (shop(max_replicas=3), False),
        (shop(replicas=2), True),
        (shop(replicas=2, max_replicas=3), True),
    ],
)
def test_pods_are_moved_one_at_a_time_if_there_are_several(
    tmp_path: Path, app: App, protected: bool
) -> None:
    """The budget of a single pod would only keep its node from being drained."""
    objects = one_app(tmp_path, app)
    budgets = [each for each in objects if each["kind"] == "PodDisruptionBudget"]
    labels = the(objects, "Deployment", "shop")["spec"]["template"]["metadata"]["labels"]

    assert protected == bool(budgets)
    for each in budgets:
        assert 1 == each["spec"]["maxUnavailable"]
        assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()
        validate(each)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"requests": {"cpu": "lots"}}, "requests has cpu='lots'"),
        ({"sidecar_limits": {"memory": "128m"}}, "sidecar_limits has memory='128m'"),
        ({"limits": {"disk": "1Gi"}}, "limits contains 'disk'"),
        ({"replicas": 0}, "replicas is 0"),
        ({"startup_seconds": 0}, "startup_seconds is 0"),
        ({"graceful_shutdown_seconds": -1}, "graceful_shutdown_seconds is -1"),
        ({"block_shutdown_seconds": -1}, "block_shutdown_seconds is -1"),
        ({"pre_stop_seconds": -1}, "pre_stop_seconds is -1"),
        ({"cpu_target": 101}, "cpu_target is 101"),
    ],
)
def test_a_wrong_property_is_refused_when_the_topology_is_made(
    wrong: dict[str, Any], said: str
) -> None:
    """The injector would drop all resources of a sidecar, with no more than a line in its log."""
    with pytest.raises(ConfigError, match=said):
        Kubernetes(**wrong)


@pytest.mark.parametrize("most", [1, 2])
def test_an_autoscaler_needs_a_choice(most: int) -> None:
    """Between the number of replicas and a higher one."""
    with pytest.raises(ConfigError, match=f"max_replicas={most}"):
        shop(replicas=2, max_replicas=most)


@pytest.mark.parametrize("name", ["requests", "sidecar_requests"])
def test_an_autoscaler_needs_requests_of_cpu(name: str) -> None:
    """Of every container: without one of them, Kubernetes cannot compute the percentage."""
    with pytest.raises(ConfigError, match=rf"kubernetes.{name} does not contain cpu"):
        shop(max_replicas=2, **{name: {"memory": "1Gi"}})
