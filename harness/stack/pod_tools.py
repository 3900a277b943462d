"""What the Kubernetes runtime needs: the programs of a node, and the images of pods."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.core.errors import ConfigError, Unavailable
from harness.core.launch import Build
from harness.core.node import Node
from harness.core.roles import Buildable
from harness.core.settings import Settings
from harness.kubernetes.obstacles import require_node, this_machine, try_node
from harness.provision.apps import app_context, fingerprint, site_of
from harness.provision.cluster_node import PROGRAM, SHELL_IMAGE
from harness.provision.dapr_images import IMAGES, REGISTRY, version_in
from harness.provision.layered_image import ARCHIVE, name_of
from harness.provision.machine import require_temporary
from harness.provision.pod_images import PodImages
from harness.provision.progress import Progress, Quiet
from harness.provision.toolbox import Provisioner

DAPRD = Path("/daprd")
"""Where the program is in its image."""

PACKED = ("kafka", "postgres", "redis")
STACK_IMAGES = "stack-images"


class PodTools:
    """The tools of the Kubernetes runtime.

    Args:
        settings: the project, and whether the network may be used.
        progress: informed about everything slow.

    Attributes:
        archives: of the images that have been asked for so far, each after those below it.
    """

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self._settings = settings
        self._progress = progress or Quiet()
        self.toolbox = Provisioner(settings, progress)
        self._images = PodImages(settings, self.toolbox, self._progress)
        self._references: dict[str | Build, str] = {}
        self._lock = threading.RLock()
        self.archives: list[Path] = []

    def require_node(self) -> None:
        """Check that a node of Kubernetes can run here.

        Raises:
            Unavailable: it cannot; the message says what is missing.
        """
        environment = self._settings.environment
        require_temporary(environment)
        require_node(this_machine(environment, self.toolbox.store.root))
        group = f"dapr-harness-{secrets.token_hex(6)}"
        try_node(self.toolbox.path(PROGRAM), environment, group)

    def path(self, tool: str) -> Path:
        """The path of a program of the node; of daprd, that in its image."""
        return DAPRD if tool == "daprd" else self.toolbox.path(tool)

    def daprd(self, _types: Collection[str]) -> Path:
        """The daprd of its image, which has every component."""
        return DAPRD

    def version(self, tool: str) -> str:
        """The version of the images of Dapr; "" for other tools."""
        return version_in(self.toolbox.path(IMAGES)) if tool == "daprd" else ""

    def reference(self, what: str | Build) -> str:
        """The image of a launch.

        Raises:
            Unavailable: it cannot be made.
            ConfigError: the cluster does not have it.
        """
        with self._lock:
            if what not in self._references:
                self._references[what] = self._resolve(what)
            return self._references[what]

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Provide the programs of the node, and make every image.

        Raises:
            Unavailable: something cannot be provided.
        """
        here = [node for node in nodes if node.on_host]
        self.toolbox.provide(here, root)
        inside = [node for node in nodes if not node.on_host]
        for tool in sorted({tool for node in inside for tool in node.tools}):
            self.reference(tool)
        for node in inside:
            if isinstance(node, Buildable) and (build := node.build(root)):
                self.reference(build)
            elif node.image:
                self.reference(node.image)

    def _resolve(self, what: str | Build) -> str:
        if isinstance(what, Build):
            return self._app(what)
        if what == "daprd":
            version = version_in(self.toolbox.path(IMAGES))
            return f"{REGISTRY}/daprd:{version}"
        if what == "app":
            return self._packed(self._images.base())
        if what in PACKED:
            self.reference("app")
            return self._packed(self._images.program(what))
        if what == SHELL_IMAGE:
            return what
        if what == "redpanda":
            raise Unavailable(
                "Redpanda cannot be packed for a cluster",
                expected="Kafka",
                hint="use the broker `kafka`",
            )
        raise ConfigError(
            f"the cluster of a stack has no image {what!r}",
            expected="an app with asgi= or command=, whose image is packed here",
            hint="use `cluster up --image FILE` and `kubectl` for an image of your own",
        )

    def _app(self, build: Build) -> str:
        # Lazily: what is ignored is Docker's own reading of .dockerignore.
        from harness.runtime.containers.ignored import app_files

        if build.base:
            raise ConfigError(
                f"the app in {build.folder} has a base image, which cannot be had here",
                hint="leave out its base, or use the containers runtime",
            )
        self.reference("app")
        python, store = self._images.python(), self.toolbox.store
        packages = site_of(build, python, self._settings, store, self._progress)
        site = self._images.site(packages)
        self._packed(site)
        files = app_files(build.folder)
        key = fingerprint(app_context(build, "", packages, files))
        name = build.folder.name.lower().replace("_", "-") or "root"
        return self._packed(self._images.app(name, site, build.folder, files, key))

    def _packed(self, folder: Path) -> str:
        archive = folder / ARCHIVE
        if archive not in self.archives:
            self.archives.append(archive)
        return name_of(folder)
