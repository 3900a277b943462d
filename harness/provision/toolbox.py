"""Every tool by its name, provisioned on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from harness.core.errors import ConfigError, Unavailable, did_you_mean
from harness.core.node import Node
from harness.core.settings import Settings
from harness.provision.dapr import provide_dapr
from harness.provision.java import provide_java
from harness.provision.kafka import provide_kafka
from harness.provision.local_daprd import LocalDaprd, provide_local_daprd
from harness.provision.postgres import postgres_binary, postgres_wheel, provide_postgres
from harness.provision.progress import Progress, Quiet
from harness.provision.redis import provide_redis
from harness.provision.store import Store
from harness.provision.versions import DAPR_BINARIES


class Provisioner:
    """Finds or builds the programs that the processes runtime needs.

    Tools: ``daprd``, ``placement``, ``scheduler``, ``sentry``, ``java``, ``kafka`` (a folder),
    ``postgres`` (the executable), ``postgres-data`` (a prepared data folder), ``redis``; ``etcd``,
    ``kube-apiserver`` and ``dapr-crds`` (a folder); ``cluster-node``, ``kubectl`` and the other
    programs of a node, and ``container-runtime`` and ``dapr-images`` (folders).

    Args:
        settings: where to look, and whether the network may be used.
        progress: informed about everything slow.
        thorough: whether every byte of an installed tool is checked before it is used.
    """

    def __init__(
        self, settings: Settings, progress: Progress | None = None, *, thorough: bool = False
    ) -> None:
        self.settings = settings
        self._progress = progress or Quiet()
        self.store = Store(
            settings.cache_dir,
            self._progress,
            patience=settings.lock_timeout,
            thorough=thorough,
        )
        self._locks = {
            name: threading.Lock()
            for name in (
                "dapr",
                "images",
                "java",
                "kafka",
                "kubernetes",
                "node",
                "postgres",
                "redis",
            )
        }
        self._found: dict[str, Path] = {}
        self._local: tuple[LocalDaprd | None] | None = None

    def path(self, tool: str) -> Path:
        """The path of a tool.

        Raises:
            Unavailable: it is not available; the message says what to install.
            ConfigError: there is no tool of that name.
        """
        makers: dict[str, tuple[str, Callable[[], Path]]] = {
            "daprd": ("dapr", lambda: self._dapr() / "daprd"),
            "placement": ("dapr", lambda: self._dapr() / "placement"),
            "scheduler": ("dapr", lambda: self._dapr() / "scheduler"),
            "sentry": ("dapr", lambda: self._dapr() / "sentry"),
            "java": ("java", lambda: provide_java(self.settings)),
            "kafka": ("kafka", self._kafka),
            "postgres": ("postgres", postgres_binary),
            "postgres-wheel": ("postgres", postgres_wheel),
            "redis": ("redis", lambda: provide_redis(self.settings)),
            "postgres-data": ("postgres", self._postgres),
        }
        if tool not in makers:
            makers |= self._makers_of_clusters()
        if tool not in makers:
            raise ConfigError(f"no tool is named {tool!r}", hint=did_you_mean(tool, list(makers)))
        group, make = makers[tool]
        with self._locks[group]:
            if tool not in self._found:
                self._found[tool] = make()
            return self._found[tool]

    def daprd(self, types: Collection[str]) -> Path:
        """The path of the daprd with fewer components if it has these types, or else of the whole.

        Raises:
            Unavailable: Dapr is not available.
        """
        local = self.local_daprd()
        return local.program if local and local.suffices(types) else self.path("daprd")

    def local_daprd(self) -> LocalDaprd | None:
        """The daprd with fewer components; None if the settings ask for all, or it is unavailable.

        Raises:
            Unavailable: Dapr is not available.
        """
        if self.settings.daprd_components == "all":
            return None
        whole = self.path("daprd")
        with self._locks["dapr"]:
            if self._local is None:
                made = provide_local_daprd(self.settings, self.store, self._progress, whole)
                self._local = (made,)
            return self._local[0]

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Provision everything that these nodes need.

        Quick ones come first, so that a missing Java is not reported after minutes of building
        Dapr.

        Raises:
            Unavailable: a tool is not available, or a node runs only in containers.
        """
        wanted = {part for node in nodes for tool in node.tools for part in _parts(tool)}
        for part in sorted(wanted, key=lambda part: (part in DAPR_BINARIES, part)):
            self.path(part)
        if "daprd" in wanted:
            self.local_daprd()

    def version(self, tool: str) -> str:
        """No version is required: a binary's version was checked when it was provisioned."""
        return ""

    def require_obtainable(self, nodes: Sequence[Node]) -> None:
        """Check what can be checked without installing anything.

        Raises:
            Unavailable: a wheel is missing, or a tool is not installed and the network is
                forbidden.
        """
        wanted = {part for node in nodes for tool in node.tools for part in _parts(tool)}
        for part in sorted(wanted & {"java", "postgres", "redis"}):
            self.path(part)
        if self.settings.offline:
            for part in sorted(wanted - {"java", "postgres", "redis"}):
                self.path(part)

    def _makers_of_clusters(self) -> dict[str, tuple[str, Callable[[], Path]]]:
        # Few stacks have a cluster, and each session that attaches imports this module.
        from harness.provision import cluster_node, dapr_images, kubernetes

        found = self.settings, self.store, self._progress

        def control_plane(program: str) -> Path:
            return kubernetes.provide_control_plane(*found) / program

        def of_node(program: str) -> Path:
            return cluster_node.provide_node_programs(*found) / program

        def images() -> Path:
            return dapr_images.provide_dapr_images(*found, self.path("daprd").parent)

        of_nodes = (cluster_node.PROGRAM, *cluster_node.NAMES)
        return {
            "dapr-crds": ("kubernetes", partial(kubernetes.provide_crds, *found)),
            **{each: ("kubernetes", partial(control_plane, each)) for each in kubernetes.NAMES},
            **{each: ("node", partial(of_node, each)) for each in of_nodes},
            "container-runtime": ("node", partial(cluster_node.provide_container_runtime, *found)),
            dapr_images.IMAGES: ("images", images),
        }

    def _dapr(self) -> Path:
        if "dapr" not in self._found:
            self._found["dapr"] = provide_dapr(self.settings, self.store, self._progress)
        return self._found["dapr"]

    def _kafka(self) -> Path:
        return provide_kafka(self.settings, self.store, self.path("java"), self._progress)

    def _postgres(self) -> Path:
        return provide_postgres(self.store, self._progress) / "data"


def _parts(tool: str) -> tuple[str, ...]:
    """The programs and folders that make up a node's tool."""
    if tool == "redpanda":
        raise Unavailable(
            "Redpanda runs in containers only",
            hint="use the containers runtime, or the broker `kafka`",
        )
    parts = {
        # An app runs with this Python.
        "app": (),
        "kafka": ("java", "kafka"),
        "postgres": ("postgres", "postgres-data"),
    }
    return parts.get(tool, (tool,))
