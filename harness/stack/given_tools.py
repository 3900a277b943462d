"""The images of a stack in an existing cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import ConfigError
from harness.core.launch import Build
from harness.core.node import Node
from harness.core.roles import Buildable
from harness.core.settings import Settings
from harness.provision.cluster_node import SHELL_IMAGE
from harness.provision.images import IMAGES, chosen, image, variable
from harness.provision.progress import Progress
from harness.provision.versions import DAPR
from harness.stack.pod_tools import PodTools

SHELL, APPS = "shell", "apps"
"""Settings of images beside those of the table: of the shell that unpacks files, and of all apps
that have none of their own."""

SHELL_DEFAULT = "busybox:1.37"


class GivenTools(PodTools):
    """What the cluster of a context can use.

    Args:
        settings: the project, and the images that its user has named.
        context: what messages call the cluster.
        packed: whether images are packed here, because its node is this machine's.
        progress: informed about everything slow.

    Attributes:
        sidecar: the image that the injector uses; known when the namespace is there.
    """

    def __init__(
        self, settings: Settings, context: str, *, packed: bool, progress: Progress | None = None
    ) -> None:
        super().__init__(settings, progress)
        self._context, self._packs = context, packed
        self.sidecar = ""

    def found(self, sidecar: str) -> None:
        """Keep the image that the injector uses."""
        self.sidecar = sidecar

    def version(self, tool: str) -> str:
        """The version of Dapr that the cluster must have."""
        return (self._settings.dapr_version or DAPR) if tool == "daprd" else ""

    def shell(self) -> str:
        """The image with a shell and `tar`."""
        return self._settings.images.get(SHELL) or (SHELL_IMAGE if self._packs else SHELL_DEFAULT)

    def app(self, name: str) -> str:
        """The image that the user has named for an app; "" if it is packed here.

        Raises:
            ConfigError: there is none, and the cluster cannot have one that is packed here.
        """
        own = name.replace("-", "_")
        found = self._settings.images.get(own) or self._settings.images.get(APPS) or ""
        if found or self._packs:
            return found
        raise ConfigError(
            f"app {name!r} has no image that the cluster of context {self._context!r} can pull",
            expected=f"{variable(own)}, {variable(APPS)} for all apps, or App(image=)",
            hint="build and push it: `docker build -f compose/app.Dockerfile`, see "
            "docs/kubernetes.md",
        )

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Pack what is packed here; everything else is pulled by the cluster."""
        if self._packs:
            super().provide([each for each in nodes if not self._is_named(each)], root)

    def _is_named(self, node: Node) -> bool:
        """Whether its image is not packed."""
        return bool(isinstance(node, Buildable) and (node.image or self.app(node.name)))

    def _resolve(self, what: str | Build) -> str:
        if isinstance(what, Build):
            return super()._resolve(what)
        if what == "daprd":
            return self.sidecar or image(what, self._settings).reference
        if named := chosen(what, self._settings):
            return named
        if what not in IMAGES:
            return what
        return super()._resolve(what) if self._packs else image(what, self._settings).reference
