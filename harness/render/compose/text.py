"""The text of a rendered compose project: comments, images, health checks, variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from harness.core.launch import Build, Launch
from harness.core.node import Node
from harness.core.roles import RECORD_PORT, CallRecorder
from harness.provision.images import IMAGES, PYTHON, variable

READY = "/dev/shm/ready"  # noqa: S108 - in a container
"""The file that says that the last check of a container has succeeded; a restart removes it."""

PAUSE = 30
"""Seconds between two checks of a service that is ready."""

_MARK = re.compile(r"@@([A-Z0-9_]+)@@")

HEADER = """\
# Rendered by `dapr-harness render compose`; a test compares it with the topology. Do not edit.
#
#   dapr-harness render compose --secrets   # once: writes .env with fresh secrets
#   docker compose up -d                    # or docker-compose up -d
#
# A pod (`...-pod`) holds the network namespace that an app, its inbox and its sidecar share, as a
# pod does in Kubernetes: each of them can restart without the others losing their loopback. Ports
# are the same inside and outside, and published on this machine's loopback only.
services:
"""

OVERRIDE = """\
# Rendered by `dapr-harness render compose`; a test compares it with the topology. Do not edit.
# Redpanda instead of Kafka, under the same name and addresses:
#
#   docker compose -f compose.yaml -f compose.redpanda.yaml up -d
services:
"""

SETUP = "-- Rendered by `dapr-harness render compose`.\n"

POD = "The pod of {name}: its namespace, its name on the network, its published ports."
COMMENTS = {
    "kafka": "Two listeners: HOST for this machine, NETWORK for the containers.",
    "redpanda": "Two listeners: host for this machine, network for the containers.",
    "redis": "The state store.",
    "placement": "Where actors live. Its image has no shell, so no healthcheck can run in it.",
    "scheduler": "When jobs fire. As with placement, sidecars retry until it answers.",
    "daprd": "The sidecar. Its image has no shell; see the app's own check and its log.",
    "calls": "Between the app and its sidecar: records every call, for tests.",
    "app": "Between the sidecar and the app: records every delivery, for the scenarios.",
    "receiver": "External systems: accepts and records webhooks and mail.",
}


def service(name: str, body: Mapping[str, Any], comment: str) -> str:
    """One service of the file, with its comment."""
    text = yaml.safe_dump({name: body}, sort_keys=False, width=1000)
    rows = [f"# {comment}", *text.splitlines()] if comment else text.splitlines()
    return "".join(f"  {row}\n" if row else "\n" for row in rows)


def comment_of(node: Node, launch: Launch) -> str:
    """The comment on a service, for readers of the file."""
    if isinstance(node, CallRecorder):
        return COMMENTS["calls"]
    if isinstance(launch.container.image, Build):
        return ""
    return COMMENTS.get(
        launch.container.image
        if launch.container.pod or launch.container.image != "app"
        else "receiver",
        "",
    )


def image_of(name: str) -> str:
    """An entry of the table, or the variable that overrides it; a user's own image unchanged."""
    if name not in IMAGES:
        return name
    reference = IMAGES[name].reference
    if name == "app":
        # Not the rendering machine's Python: the file must not depend on the renderer.
        reference = reference.replace(PYTHON, APP_PYTHON)
    return f"${{{variable(name)}:-{reference}}}"


APP_PYTHON = "3.11"
"""The lowest version of Python for the reference services."""


def user_of(launch: Launch) -> str:
    """The account that an image must run as; "" for the image's own."""
    entry = IMAGES.get(launch.container.image) if isinstance(launch.container.image, str) else None
    return entry.user if entry else ""


def variables(text: str) -> str:
    """A value with its secrets as compose variables, and other dollar signs escaped."""
    escaped = text.replace("$", "$$")
    return _MARK.sub(r"${\1:?see .env.example}", escaped)


def without_secrets(text: str, environment: dict[str, str]) -> str:
    """A resource whose secret values are read from the sidecar's environment instead.

    Args:
        text: the resource.
        environment: the sidecar's; receives the variables that the resource refers to.
    """
    if not _MARK.search(text):
        return text
    body = yaml.safe_load(text)
    for item in body["spec"]["metadata"]:
        value = str(item.get("value", ""))
        if _MARK.search(value):
            words = f"{body['metadata']['name']}_{item['name']}"
            name = re.sub(r"[^A-Za-z0-9]+", "_", words).upper()
            environment[name] = variables(value)
            del item["value"]
            item["envRef"] = name
    return str(yaml.safe_dump(body, sort_keys=False))


def healthcheck(node: Node, launch: Launch) -> dict[str, Any] | None:
    """How an engine can check that a service is ready; None if its image has no program for it."""
    port = launch.ports.get(RECORD_PORT, launch.ports.get("main"))
    if port is None:
        return None
    dialled = asked = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
    if path := node.health:
        request = f"GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n"
        asked += f"; printf '{request}' >&3; timeout 3 grep -q '^HTTP/1.. 2' <&3"
    kind = "app" if isinstance(launch.container.image, Build) else launch.container.image
    ready = "rpk cluster health -X admin.hosts=127.0.0.1:{} | grep -E 'Healthy:.+true'"
    tests = {
        "kafka": ["CMD", "bash", "-c", _rarely(dialled)],
        "postgres": ["CMD", "bash", "-c", _rarely(dialled)],
        "redpanda": ["CMD-SHELL", _rarely(ready.format(launch.ports.get("admin")))],
        # Starting Python for each check of each service would take one core of a small machine.
        "app": ["CMD", "bash", "-c", _rarely(asked)],
    }
    if kind not in tests:
        return None
    return {"test": tests[kind], "interval": "2s", "timeout": f"{PAUSE + 5}s", "retries": 60}


def _rarely(check: str) -> str:
    """A check that waits before it looks again at what was ready.

    Each look is a new process in a container, and most of a core for the reference system if all of
    them look every two seconds. Only Docker 25 and Compose 2.20 know another interval for the start
    (`start_interval`); docker-compose 1.29 refuses a file with it.
    """
    found = f"if {check}; then : > {READY}; else rm -f {READY}; exit 1; fi"
    return f"[ -e {READY} ] && sleep {PAUSE}; {found}"
