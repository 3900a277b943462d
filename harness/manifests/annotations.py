"""The annotations of a pod, which tell Dapr's injector what its sidecar must be like.

Names, types and defaults are those of pkg/injector/patcher/sidecar.go of Dapr 1.18.2. The injector
ignores a number that it cannot read, so values are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import ConfigError
from harness.manifests.values import Values
from harness.nodes.app import App

PREFIX = "dapr.io/"
WHOLE, SWITCH, TEXT = re.compile(r"-?\d+"), re.compile("true|false"), re.compile(".+")
PROTOCOLS = re.compile("http|https|grpc|grpcs|h2c")
LEVELS = re.compile("debug|info|warn|error|fatal")

ANNOTATED: Mapping[str, re.Pattern[str]] = {
    "actors-disseminate-timeout": TEXT,
    "app-health-check-path": TEXT,
    "app-health-probe-interval": WHOLE,
    "app-health-probe-timeout": WHOLE,
    "app-health-threshold": WHOLE,
    "app-max-concurrency": WHOLE,
    "app-protocol": PROTOCOLS,
    "disable-init-endpoints": TEXT,
    "enable-api-logging": SWITCH,
    "enable-app-health-check": SWITCH,
    "enable-metrics": SWITCH,
    "enable-profiling": SWITCH,
    "log-as-json": SWITCH,
    "log-level": LEVELS,
    "max-body-size": TEXT,
    "read-buffer-size": TEXT,
}
"""Flags of daprd that are annotations of the same name, with the values that are valid."""

PROBES: Mapping[str, Mapping[str, int]] = {
    "liveness": {"delaySeconds": 180, "timeoutSeconds": 3, "periodSeconds": 10, "threshold": 5},
    "readiness": {"delaySeconds": 1, "timeoutSeconds": 1, "periodSeconds": 1, "threshold": 5},
}
"""When Kubernetes probes a sidecar: the injector's defaults, by the name of the value."""

METRICS_PORT = 9090


def annotations_of(
    app: App, identity: Mapping[str, str], values: Values, *, reads_secrets: bool
) -> dict[str, str]:
    """The annotations of an app's pod.

    Args:
        app: the app.
        identity: those that make the sidecar this app's: its port, Configuration and tokens.
        values: what an installation can configure.
        reads_secrets: whether the app may read secrets through its sidecar.

    Raises:
        ConfigError: a flag of its sidecar has no annotation, or a value that the injector ignores.
    """
    found = {
        **{name: each for name, each in identity.items() if each},
        **_of_installation(values),
        **_resources(app, values),
        **_shutdown(app),
        **dict(_flags(app)),
    }
    if not reads_secrets:
        # Its client of Kubernetes would need a token, which the pod does not have.
        found["disable-builtin-k8s-secret-store"] = "true"
    return {f"{PREFIX}{name}": each for name, each in found.items() if each is not None}


def metrics_port(values: Values) -> Any:
    """The port on which sidecars serve their metrics, as a number."""
    return values.get("sidecar", "metrics", "port", default=METRICS_PORT)


def _of_installation(values: Values) -> dict[str, Any]:
    """What operators of a cluster choose for all sidecars; a flag of an app overrides it."""
    found = {
        "log-level": values.text("sidecar", "logLevel", default="info"),
        "log-as-json": values.text("sidecar", "logAsJson", default=False),
        # Even the value false would override what the Configuration says.
        "enable-api-logging": values.optional("sidecar", "apiLogging"),
        "enable-metrics": values.text("sidecar", "metrics", "enabled", default=True),
        "metrics-port": values.text("sidecar", "metrics", "port", default=METRICS_PORT),
    }
    for probe, timing in PROBES.items():
        for name, default in timing.items():
            key = re.sub("[A-Z]", lambda match: f"-{match[0].lower()}", name)
            found[f"sidecar-{probe}-probe-{key}"] = values.text(
                "sidecar", f"{probe}Probe", name, default=default
            )
    return found


def _resources(app: App, values: Values) -> dict[str, Any]:
    """The resources of the sidecar; `resources` of a pod's container are not its own."""
    given = {"request": app.kubernetes.sidecar_requests, "limit": app.kubernetes.sidecar_limits}
    found = {}
    for kind, quantities in given.items():
        for resource in ("cpu", "memory"):
            path = ("resources", app.name, "daprd", f"{kind}s", resource)
            found[f"sidecar-{resource}-{kind}"] = (
                values.text(*path, default=quantities[resource])
                if resource in quantities
                else values.optional(*path)
            )
    return found


def _shutdown(app: App) -> dict[str, Any]:
    block = app.kubernetes.block_shutdown_seconds
    return {
        "graceful-shutdown-seconds": str(app.kubernetes.graceful_shutdown_seconds),
        "block-shutdown-duration": f"{block}s" if block else None,
    }


def _flags(app: App) -> Iterator[tuple[str, str]]:
    for flag, value in app.sidecar_flags.items():
        valid = ANNOTATED.get(flag)
        if valid is None:
            raise ConfigError(
                f"the sidecar flag {flag!r} of {app.name} has no annotation",
                expected=", ".join(ANNOTATED),
                hint="leave it out of the topology that is rendered for a cluster",
            )
        if not valid.fullmatch(value):
            raise ConfigError(
                f"the sidecar flag {flag!r} of {app.name} has the value {value!r}",
                expected=valid.pattern.replace("|", ", ").replace(r"-?\d+", "a whole number"),
            )
        yield flag, value
