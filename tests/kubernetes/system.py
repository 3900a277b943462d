"""The reference system on a node: its cluster, its pods, and what connects this machine to them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka.admin import AdminClient, NewTopic

from harness import Settings
from harness.core.endpoint import LOOPBACK
from harness.core.ports import free_port
from harness.provision.progress import Quiet
from harness.provision.toolbox import Provisioner
from scenarios.topology import TOPICS
from tests.kubernetes import packing
from tests.kubernetes.clusters import Place, remains, run, up
from tests.kubernetes.infrastructure import BROKER, dsn, infrastructure
from tests.support import CLI, ROOT

SYSTEM = "todo"
"""The name of the system, and of its namespace."""

MANIFESTS, CHART = ROOT / "kubernetes" / "manifests", ROOT / "kubernetes" / "chart"
TOKEN = "a-token-of-its-own"
SECRET = "known-to-services-and-tests-only"


@dataclass(frozen=True)
class OnNode:
    """A cluster in which the reference system runs.

    Attributes:
        place: the environment of commands.
        name: of the cluster.
        kubeconfig: the file by which other clients reach it.
    """

    place: Place
    name: str
    kubeconfig: Path

    def kubectl(self, *words: str, given: str = "") -> str:
        """What kubectl prints, of the system's namespace."""
        command = ("kubectl", "--cluster", self.name, "-n", SYSTEM)
        return run(self.place, *command, *words, given=given).stdout

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects."""
        self.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(map(dict, objects)))

    def wait(self, namespace: str = SYSTEM) -> None:
        """Until every pod is ready."""
        run(self.place, "cluster", "wait", namespace, "--cluster", self.name)

    @contextmanager
    def forwarded(self, target: str, ports: str) -> Iterator[str]:
        """An address of this machine that leads to a pod, for the duration of the `with` block."""
        words = ("kubectl", "--cluster", self.name, "-n", SYSTEM, "port-forward", target, ports)
        forward = subprocess.Popen(
            [*CLI, *words], cwd=ROOT, env=self.place, stdout=subprocess.PIPE, text=True
        )
        try:
            assert forward.stdout is not None
            told = re.search(r"127\.0\.0\.1:\d+", forward.stdout.readline())
            assert told, f"{target} is not forwarded"
            yield told[0]
        finally:
            forward.terminate()
            forward.communicate()


@contextmanager
def system(place: Place, name: str, folder: Path) -> Iterator[OnNode]:
    """A cluster with Dapr, a broker and a database, for the duration of the `with` block.

    Args:
        place: the environment of commands.
        name: of the cluster.
        folder: where an image of the apps is written.
    """
    settings = Settings.load(ROOT)
    images = [word for each in archives(settings, folder) for word in ("--image", str(each))]
    found = up(place, name, "--dapr", *images)
    try:
        node = OnNode(place, name, Path(found["kubeconfig"]))
        prepare(node)
        yield node
    finally:
        run(place, "cluster", "down", name)
    assert [] == remains(found["folder"])


def archives(settings: Settings, folder: Path) -> list[Path]:
    """The images of the system and of its broker and database."""
    python = packing.python_with(settings, Quiet())
    return [packing.apps(python, folder), packing.infrastructure(settings, Quiet())]


def prepare(node: OnNode) -> None:
    """Start broker and database, with the topics of the system."""
    outside = f"{LOOPBACK}:{free_port()}"
    node.kubectl("create", "namespace", SYSTEM)
    node.apply(*infrastructure(SYSTEM, outside))
    node.wait()
    port = outside.rpartition(":")[2]
    with node.forwarded(f"service/{BROKER}", f"{port}:{port}"):
        admin = AdminClient({"bootstrap.servers": outside, "log_level": 0})
        topics = [each.partition(":") for each in TOPICS]
        made = admin.create_topics([NewTopic(name, int(count), 1) for name, _, count in topics])
        for each in made.values():
            each.result()


def install(node: OnNode) -> None:
    """Apply the manifests as they are committed, and the Secrets, which they leave to the user."""
    given = secrets().items()
    node.apply(
        *(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys}
            for name, keys in given
        )
    )
    node.kubectl("apply", "-f", str(MANIFESTS))
    node.wait()


def secrets() -> dict[str, dict[str, str]]:
    """What the operator of a cluster fills in, by the names of the three Secrets."""
    address = dsn(Provisioner(Settings.load(ROOT)).path("postgres-data"))
    own = {"DATABASE_URL": address, "STATE_STORE_DSN": address, "BETTER_AUTH_SECRET": SECRET}
    tokens = {f"{SYSTEM}-{each}": {"token": TOKEN} for each in ("dapr-api-token", "app-api-token")}
    return {SYSTEM: own, **tokens}
