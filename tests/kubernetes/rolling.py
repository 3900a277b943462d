"""Load on the reference system in a cluster while its apps are restarted: what was lost.

`python -m tests.kubernetes.rolling`, which `make rolling` calls, does it with many events.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from harness.cli.console import out
from harness.core.deadline import Deadline, Observation, poll
from tests.kubernetes.packing import APPS
from tests.kubernetes.system import SYSTEM, OnNode, install, secrets, system
from tests.support import ROOT, environment

NAME = "load"
SCRIPT = ROOT / "tests" / "kubernetes" / "pod_load.py"
SERVICES = ("backend-service", "notification-service", "recurring-task-service", "frontend")
EVENTS, REQUESTS, MOST = 200, 1, 4000
"""Events and requests of each kind a second, and events altogether, by `make rolling`."""

REQUEST = "100m"
"""Without a request, it would get nothing of a busy machine."""

SOON = 300.0
"""Seconds in which a rollout is over, and what was published meanwhile is handled."""


@dataclass(frozen=True)
class Counted:
    """What was acknowledged, and what became of it.

    Attributes:
        published: ids of events that the sidecar has accepted.
        completed: ids of tasks of series whose completion was acknowledged.
        answered: the number of requests by kind.
        failed: what failed, as the pod has told it.
        seconds: how long it lasted.
        lost: what was acknowledged and has no effect.
    """

    published: Sequence[str]
    completed: Sequence[str]
    answered: dict[str, int]
    failed: Sequence[str]
    seconds: float
    lost: Sequence[str]


class Load:
    """Load from a pod of its own.

    Args:
        node: the cluster, in which the system runs.
        events: a second.
        requests: a second, of each kind.
    """

    def __init__(self, node: OnNode, events: int, requests: int) -> None:
        self._node = node
        rates = {"EVENTS": events, "REQUESTS": requests, "MOST": MOST}
        self._rates = {name: str(value) for name, value in rates.items()}

    def start(self) -> None:
        """Start it, and wait until it runs."""
        script = {"load.py": SCRIPT.read_text()}
        metadata = {"name": NAME}
        self._node.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": script},
            self._pod(),
        )
        self._node.wait()

    def stop(self) -> dict[str, Any]:
        """Stop it; what it has counted."""
        self._node.kubectl(
            "exec", NAME, "-c", "app", "--", "python3", "-c", "open('/tmp/stop', 'w')"
        )

        def look() -> Observation:
            said = self._node.kubectl("logs", NAME, "-c", "app")
            return Observation(said.endswith("}\n"), said)

        seen = poll(look, Deadline(SOON))
        assert seen.ok, f"the pod has counted nothing: {seen.fact[:300]}"
        found: dict[str, Any] = json.loads(seen.fact)
        self._node.kubectl("delete", "pod", NAME, "--grace-period=1")
        return found

    def _pod(self) -> dict[str, Any]:
        def secret(name: str, of: str, key: str) -> dict[str, Any]:
            return {"name": name, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}}

        token = f"{SYSTEM}-dapr-api-token"
        annotations = {"enabled": "true", "app-id": NAME, "api-token-secret": token}
        annotations["sidecar-cpu-request"] = REQUEST
        container = {
            "name": "app",
            "image": APPS,
            "imagePullPolicy": "Never",
            "command": ["python3", "/load/load.py"],
            "resources": {"requests": {"cpu": REQUEST}},
            "env": [
                *({"name": name, "value": rate} for name, rate in self._rates.items()),
                secret("BETTER_AUTH_SECRET", SYSTEM, "BETTER_AUTH_SECRET"),
                secret("DAPR_API_TOKEN", token, "token"),
            ],
            "volumeMounts": [{"name": "load", "mountPath": "/load"}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": NAME,
                "annotations": {f"dapr.io/{key}": each for key, each in annotations.items()},
            },
            "spec": {
                "containers": [container],
                "volumes": [{"name": "load", "configMap": {"name": NAME}}],
            },
        }


def roll(node: OnNode, events: int, requests: int, apps: Sequence[str] = SERVICES) -> Counted:
    """Replace all pods of each app under load, as `kubectl rollout restart` does.

    Args:
        node: the cluster, in which the system runs.
        events: a second.
        requests: a second, of each kind.
        apps: one after the other.
    """
    load = Load(node, events, requests)
    load.start()
    for each in apps:
        node.kubectl("rollout", "restart", f"deployment/{each}")
        node.kubectl("rollout", "status", f"deployment/{each}", f"--timeout={SOON:.0f}s")
    found = load.stop()
    with node.forwarded("service/postgres", ":5432") as forwarded:
        address = secrets()[SYSTEM]["DATABASE_URL"]
        return counted(found, address.replace("@postgres/", f"@{forwarded}/"))


def counted(found: dict[str, Any], database: str) -> Counted:
    """What became of what was acknowledged, once all of it is handled.

    Args:
        found: what the load has counted.
        database: where the effects are.
    """
    with psycopg.connect(database, autocommit=True) as connection:

        def look() -> Observation:
            lost = sorted(_without_effect(connection, found))
            return Observation(not lost, json.dumps(lost))

        lost = json.loads(poll(look, Deadline(SOON)).fact)
    return Counted(**found, lost=lost)


def _without_effect(connection: psycopg.Connection, found: dict[str, Any]) -> set[str]:
    """An event becomes a notification, and a completed task of a series has a next one."""
    notified = connection.execute("SELECT event_id FROM notifications").fetchall()
    followed = connection.execute("SELECT follows FROM tasks WHERE follows IS NOT NULL").fetchall()
    effects = {str(name) for (name,) in [*notified, *followed]}
    return {*found["published"], *found["completed"]} - effects


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        with system(environment(folder), "rolling", folder) as node:
            install(node)
            seen = roll(node, EVENTS, REQUESTS)
    out.print(
        f"all apps restarted in {seen.seconds:.0f} s under load: {len(seen.published)} events and "
        f"{len(seen.completed)} completed tasks acknowledged, lost {len(seen.lost)}; "
        f"{sum(seen.answered.values())} requests answered, failed {len(seen.failed)}"
    )
    raise SystemExit(bool(seen.lost or seen.failed))
