"""What a pod's annotations tell Dapr's injector, by its own names, types and defaults."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from harness import App, ConfigError, Kubernetes
from harness.manifests.annotations import (
    ANNOTATED,
    LEVELS,
    METRICS_PORT,
    PROBES,
    PROTOCOLS,
    SWITCH,
    TEXT,
    WHOLE,
)
from scenarios.topology import todo
from tests.kubernetes.rendering import annotated, one_app, rendered, the
from tests.support import ROOT

KNOWN = json.loads(files("harness.dapr").joinpath("crds.json").read_text())["annotations"]
READABLE = {"int": WHOLE, "bool": SWITCH, "string": TEXT}
EVERY = App(
    "shop",
    asgi="m:a",
    sidecar_flags={
        "app-max-concurrency": "10", "app-protocol": "h2c", "app-health-check-path": "/healthz",
        "enable-app-health-check": "true", "enable-api-logging": "true", "max-body-size": "8Mi",
    },
    kubernetes=Kubernetes(block_shutdown_seconds=5, sidecar_limits={"cpu": "1", "memory": "1Gi"}),
)  # fmt: skip


def test_a_sidecar_is_described_by_annotations() -> None:
    """Ids, port, tokens and Configuration; what operators of a cluster choose; its resources."""
    assert {
        "dapr.io/enabled": "true",
        "dapr.io/app-id": "backend-service",
        "dapr.io/app-port": "8000",
        "dapr.io/config": "access",
        "dapr.io/api-token-secret": "todo-dapr-api-token",
        "dapr.io/app-token-secret": "todo-app-api-token",
        "dapr.io/log-level": "info",
        "dapr.io/log-as-json": "false",
        "dapr.io/enable-metrics": "true",
        "dapr.io/metrics-port": "9090",
        "dapr.io/sidecar-liveness-probe-delay-seconds": "180",
        "dapr.io/sidecar-liveness-probe-timeout-seconds": "3",
        "dapr.io/sidecar-liveness-probe-period-seconds": "10",
        "dapr.io/sidecar-liveness-probe-threshold": "5",
        "dapr.io/sidecar-readiness-probe-delay-seconds": "1",
        "dapr.io/sidecar-readiness-probe-timeout-seconds": "1",
        "dapr.io/sidecar-readiness-probe-period-seconds": "1",
        "dapr.io/sidecar-readiness-probe-threshold": "5",
        "dapr.io/sidecar-cpu-request": "100m",
        "dapr.io/sidecar-memory-request": "128Mi",
        "dapr.io/sidecar-memory-limit": "512Mi",
        "dapr.io/graceful-shutdown-seconds": "10",
        "dapr.io/block-shutdown-duration": "5s",
        "dapr.io/disable-builtin-k8s-secret-store": "true",
    } == annotated(rendered(todo()), "backend-service")


def test_every_annotation_of_the_seed_documents_exists() -> None:
    """Those of the documents, ours, and those of a sidecar's own resources."""
    names = yaml.safe_load((ROOT / "tests" / "unit" / "design_names.yaml").read_text())
    said = {each["name"] for each in names if each["kind"] == "annotation"}
    ours = {f"dapr.io/{flag}" for flag in ANNOTATED}

    assert 16 == len(said)
    assert set() == (said | ours | set(annotated(rendered(todo()), "backend-service"))) - set(KNOWN)


def test_the_usual_annotations_can_be_rendered(tmp_path: Path) -> None:
    """From an app's flags, its resources, and what an installation chooses."""
    found = set(annotated(one_app(tmp_path, EVERY), "shop"))

    assert {
        "dapr.io/app-protocol", "dapr.io/app-max-concurrency", "dapr.io/enable-api-logging",
        "dapr.io/sidecar-cpu-limit", "dapr.io/sidecar-memory-limit",
    } <= found  # fmt: skip


def test_the_injector_can_read_every_value(tmp_path: Path) -> None:
    """It ignores a number that is none, with no more than a line in its log."""
    found = annotated(one_app(tmp_path, EVERY), "shop")
    unreadable = {
        name: value
        for name, value in found.items()
        if not READABLE[KNOWN[name]["type"]].fullmatch(value)
    }

    assert {} == unreadable


def test_flags_are_checked_by_the_type_that_the_injector_reads() -> None:
    """A number as a number, a switch as a switch; the injector takes any text for the others."""
    narrower = {"app-protocol": PROTOCOLS, "log-level": LEVELS}
    expected = {
        flag: narrower.get(flag, READABLE[KNOWN[f"dapr.io/{flag}"]["type"]]) for flag in ANNOTATED
    }

    assert expected == dict(ANNOTATED)


def test_defaults_are_those_of_the_injector() -> None:
    """Until an installation chooses others."""
    timing = {"delaySeconds": "delay-seconds", "timeoutSeconds": "timeout-seconds",
              "periodSeconds": "period-seconds", "threshold": "threshold"}  # fmt: skip
    injectors = {
        probe: {
            name: int(KNOWN[f"dapr.io/sidecar-{probe}-probe-{key}"]["default"])
            for name, key in timing.items()
        }
        for probe in ("liveness", "readiness")
    }

    assert injectors == PROBES
    assert str(METRICS_PORT) == KNOWN["dapr.io/metrics-port"]["default"]


@pytest.mark.parametrize(
    ("flag", "value"),
    [("app-max-concurrency", "ten"), ("app-protocol", "httpp"), ("enable-api-logging", "yes"),
     ("log-level", "verbose")],
)  # fmt: skip
def test_a_flag_that_the_injector_would_ignore_is_refused(
    tmp_path: Path, flag: str, value: str
) -> None:
    """The error names the flag, the app and the value."""
    app = App("shop", asgi="m:a", sidecar_flags={flag: value})

    with pytest.raises(ConfigError, match=f"'{flag}' of shop has the value '{value}'"):
        one_app(tmp_path, app)


def test_a_flag_without_an_annotation_is_refused(tmp_path: Path) -> None:
    """There is no place for it in a cluster."""
    app = App("shop", asgi="m:a", sidecar_flags={"profile-port": "1"})

    with pytest.raises(ConfigError, match=r"'profile-port' of shop has no annotation"):
        one_app(tmp_path, app)


def test_a_flag_of_an_app_overrides_the_installations_choice(tmp_path: Path) -> None:
    """It is a property of the app."""
    app = App("shop", asgi="m:a", sidecar_flags={"log-level": "debug"})

    assert "debug" == annotated(one_app(tmp_path, app), "shop")["dapr.io/log-level"]


def test_api_logging_is_left_to_the_configuration() -> None:
    """The annotation would override it, even with the value false."""
    assert "dapr.io/enable-api-logging" not in annotated(rendered(todo()), "frontend")


def test_resources_of_a_sidecar_are_annotations(tmp_path: Path) -> None:
    """A container's own `resources` do not reach the sidecar."""
    own = Kubernetes(
        sidecar_requests={"cpu": "200m", "memory": "64Mi"},
        sidecar_limits={"cpu": "500m", "memory": "256Mi"},
    )
    found = annotated(one_app(tmp_path, App("shop", asgi="m:a", kubernetes=own)), "shop")

    assert ("200m", "64Mi", "500m", "256Mi") == tuple(
        found[f"dapr.io/sidecar-{each}"]
        for each in ("cpu-request", "memory-request", "cpu-limit", "memory-limit")
    )


@pytest.mark.parametrize(
    ("graceful", "block", "least"),
    [(0, 0, 30), (10, 5, 30), (60, 0, 65), (30, 20, 60)],
)
def test_a_pod_outlives_the_shutdown_of_its_sidecar(
    tmp_path: Path, graceful: int, block: int, least: int
) -> None:
    """Kubernetes would otherwise kill it in the middle of it."""
    own = Kubernetes(graceful_shutdown_seconds=graceful, block_shutdown_seconds=block)
    objects = one_app(tmp_path, App("shop", asgi="m:a", kubernetes=own))
    found = annotated(objects, "shop")
    pod = the(objects, "Deployment", "shop")["spec"]["template"]["spec"]

    assert str(graceful) == found["dapr.io/graceful-shutdown-seconds"]
    assert (f"{block}s" if block else None) == found.get("dapr.io/block-shutdown-duration")
    assert least == pod["terminationGracePeriodSeconds"]
    assert graceful + block < pod["terminationGracePeriodSeconds"]
