"""The Deployments, StatefulSets and Services of Dapr's control plane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.kubernetes.dapr_roles import SYSTEM, TRUST, WEBHOOK
from harness.provision.dapr_images import image_of

DOMAIN = "cluster.local"
"""The domain of the cluster, and the trust domain of the control plane."""

SENTRY = f"dapr-sentry.{SYSTEM}.svc.{DOMAIN}:443"
REQUESTS = {"cpu": "100m"}
"""Without a request, a container has the smallest share of the CPU, and fails its probes on a busy
machine."""

CERTIFICATES = "/var/run/secrets/dapr.io/tls"
TOKENS = "/var/run/secrets/dapr.io/sentrytoken"
CREDENTIALS = "/var/run/secrets/dapr.io/credentials"
DATA = "/var/run/data/dapr-scheduler"
HEALTH, METRICS = 8080, 9090

_TRUSTED = f"--trust-anchors-file={CERTIFICATES}/ca.crt"
_IDENTITY = (
    "--tls-enabled",
    f"--trust-domain={DOMAIN}",
    _TRUSTED,
    f"--sentry-address={SENTRY}",
    "--mode=kubernetes",
)


@dataclass(frozen=True)
class Program:
    """One program of the control plane; all of them have one pod.

    Attributes:
        name: of its workload, as Dapr's own tools expect it.
        program: of its image.
        account: its service account.
        services: the ports of each of its Services, and the ports of the pod that these lead to.
        arguments: of the program.
        env: variables.
        stateful: whether it is known by the name of its pod.
        own_identity: whether sentry issues its certificate; sentry has the issuer's itself.
        memory: folders that it writes to.
    """

    name: str
    program: str
    account: str
    services: Mapping[str, Mapping[int, int]]
    arguments: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    stateful: bool = False
    own_identity: bool = True
    memory: Sequence[str] = ()


def programs(version: str) -> tuple[Program, ...]:
    """All of them, sentry first, from which the others get their certificates."""
    scheduler = "dapr-scheduler-server"
    own = f"https://{scheduler}-0.{scheduler}.{SYSTEM}.svc.{DOMAIN}:2380"
    return (
        Program(
            "dapr-sentry",
            "sentry",
            "dapr-sentry",
            {"dapr-sentry": {443: 50001}},
            ("--mode=kubernetes", f"--trust-domain={DOMAIN}"),
            own_identity=False,
        ),
        Program(
            "dapr-operator",
            "operator",
            "dapr-operator",
            {"dapr-api": {443: 6500}, "dapr-webhook": {443: 19443}},
            ("--watch-interval=0", _TRUSTED),
            memory=("/tmp",),  # noqa: S108 - of a container
        ),
        Program(
            "dapr-sidecar-injector",
            "injector",
            "dapr-injector",
            {WEBHOOK: {443: 4000}},
            env={
                "DAPR_TRUST_ANCHORS_FILE": f"{CERTIFICATES}/ca.crt",
                "DAPR_CONTROL_PLANE_TRUST_DOMAIN": DOMAIN,
                "DAPR_SENTRY_ADDRESS": SENTRY,
                "KUBE_CLUSTER_DOMAIN": DOMAIN,
                "SIDECAR_IMAGE": image_of("daprd", version),
                "SIDECAR_IMAGE_PULL_POLICY": "Never",
                "SIDECAR_RUN_AS_NON_ROOT": "true",
                "SIDECAR_READ_ONLY_ROOT_FILESYSTEM": "true",
                "SIDECAR_DROP_ALL_CAPABILITIES": "false",
                "ENABLE_K8S_DOWNWARD_APIS": "false",
                "NATIVE_SIDECAR_ENABLED": "false",
                "ACTORS_ENABLED": "true",
                "ACTORS_SERVICE_NAME": "placement",
                "ACTORS_SERVICE_ADDRESS": "dapr-placement-server:50005",
            },
        ),
        Program(
            "dapr-placement-server",
            "placement",
            "dapr-placement",
            {"dapr-placement-server": {50005: 50005, 8201: 8201}},
            _IDENTITY,
            stateful=True,
        ),
        Program(
            scheduler,
            "scheduler",
            "dapr-scheduler",
            {scheduler: {50006: 50006, 2379: 2379, 2380: 2380}, f"{scheduler}-a": {443: 50006}},
            (
                "--listen-address=0.0.0.0",
                f"--id={scheduler}-0",
                f"--etcd-initial-cluster={scheduler}-0={own}",
                f"--etcd-data-dir={DATA}/{SYSTEM}/{scheduler}-0",
                *_IDENTITY,
            ),
            stateful=True,
            memory=("/tmp", DATA),  # noqa: S108 - of a container
        ),
    )


def workloads(version: str) -> Iterator[dict[str, Any]]:
    """The Services and the workload of each program."""
    for each in programs(version):
        yield from _services(each)
        yield _workload(each, version)


def _services(each: Program) -> Iterator[dict[str, Any]]:
    for name, ports in each.services.items():
        # Pods of a StatefulSet are found by their own names, before they are ready.
        headless = each.stateful and name == each.name
        more = {"clusterIP": "None", "publishNotReadyAddresses": True} if headless else {}
        found = [
            {"name": f"port-{port}", "port": port, "targetPort": target, "protocol": "TCP"}
            for port, target in ports.items()
        ]
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": SYSTEM, "labels": {"app": each.name}},
            "spec": {"selector": {"app": each.name}, "ports": found, **more},
        }


def _workload(each: Program, version: str) -> dict[str, Any]:
    labels = {
        "app": each.name,
        "app.kubernetes.io/name": "dapr",
        "app.kubernetes.io/part-of": "dapr",
        "app.kubernetes.io/component": each.program,
        "app.kubernetes.io/version": version,
    }
    annotations = {"dapr.io/control-plane": each.program}
    stateful = {"serviceName": each.name, "podManagementPolicy": "Parallel"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet" if each.stateful else "Deployment",
        "metadata": {"name": each.name, "namespace": SYSTEM, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": each.name}},
            **(stateful if each.stateful else {}),
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": _pod(each, version),
            },
        },
    }


def _pod(each: Program, version: str) -> dict[str, Any]:
    mounts = [{"name": name, "mountPath": path} for name, path in _mounts(each).items()]
    container = {
        "name": each.name,
        "image": image_of(each.program, version),
        "imagePullPolicy": "Never",
        "command": [f"/{each.program}"],
        "args": [*each.arguments, "--enable-metrics=true", f"--metrics-port={METRICS}"],
        "env": [
            {"name": "NAMESPACE", "value": SYSTEM},
            *({"name": name, "value": value} for name, value in each.env.items()),
        ],
        "resources": {"requests": REQUESTS},
        "readinessProbe": {**_health(), "periodSeconds": 1, "failureThreshold": 3},
        "livenessProbe": {**_health(), "initialDelaySeconds": 180, "failureThreshold": 5},
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    return {
        "serviceAccountName": each.account,
        "securityContext": {"fsGroup": 65532},
        "containers": [container],
        "volumes": [*_volumes(each)],
    }


def _health() -> dict[str, Any]:
    return {"httpGet": {"path": "/healthz", "port": HEALTH}}


def _mounts(each: Program) -> dict[str, str]:
    given = {TRUST: CERTIFICATES, "token": TOKENS} if each.own_identity else {TRUST: CREDENTIALS}
    return {**given, **{f"memory-{number}": path for number, path in enumerate(each.memory)}}


def _volumes(each: Program) -> Iterator[dict[str, Any]]:
    if each.own_identity:
        yield {"name": TRUST, "configMap": {"name": TRUST}}
        audience = f"spiffe://{DOMAIN}/ns/{SYSTEM}/dapr-sentry"
        token = {"path": "token", "expirationSeconds": 600, "audience": audience}
        yield {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}}
    else:
        yield {"name": TRUST, "secret": {"secretName": TRUST}}
    for number, _ in enumerate(each.memory):
        yield {"name": f"memory-{number}", "emptyDir": {"medium": "Memory"}}
