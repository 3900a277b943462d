"""A compose project in its folder: written, compared, given its secrets."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.compose.render import (
    APPS,
    DOCKERFILE,
    EXAMPLE,
    FILE,
    REDPANDA,
    SETUP,
    render,
    secrets_of,
    with_packages,
)
from harness.errors import ConfigError, Unavailable
from harness.images import Images
from harness.launch import Build
from harness.provision.images import IMAGES, variable
from harness.rendered import Rendered
from harness.settings import Settings
from harness.topology import Choice, Topology

SECRETS = ".env"


class Project(Rendered):
    """The compose project of a topology.

    Args:
        topology: what it describes.
        settings: the project's root, and the user's images.
        folder: where it lies.
    """

    def __init__(self, topology: Topology, settings: Settings, folder: Path) -> None:
        self._topology = topology
        self._settings = settings
        self._images = Images(settings)
        super().__init__(folder, "dapr-harness render compose")

    def rendered(self) -> dict[str, str]:
        """The files as they should be, by name."""
        return render(self._topology, self._images, self._settings.root, self.folder)

    def write_secrets(self) -> Path:
        """Write the file with fresh secrets, and with the images that this engine has.

        It is readable by its owner only, and no part of the repository. Secrets that are there
        already are kept: the database of a running project was made with them.
        """
        path = self.folder / SECRETS
        known = read_env(path) if path.is_file() else {}
        rows = {name: known.get(name) or _secret() for name in secrets_of(self.rendered())}
        rows |= self._own_images()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("".join(f"{name}={value}\n" for name, value in rows.items()))
        return path

    def _own_images(self) -> Mapping[str, str]:
        """Images that are not the table's: the user's, and those made here."""
        try:
            _ = self._images.engine
        except Unavailable:
            return {}
        found = {variable(name): self._images.find(name) for name in IMAGES}
        rows = {
            name: each.reference
            for name, each in found.items()
            if each.origin in ("built", "chosen")
        }
        built = self._images.find("app").origin == "built"
        return rows | self._apps() if built else rows

    def _apps(self) -> dict[str, str]:
        """The apps' image, built the way that needs no registry and no pip inside."""
        settled = self._topology.settled(Choice("containers", "kafka"))
        builds = [
            node.build(self._settings.root) for node in settled.nodes if hasattr(node, "build")
        ]
        first = next((each for each in builds if isinstance(each, Build)), None)
        if first is None:
            return {}
        return {APPS: self._images.reference(with_packages(first, settled.nodes))}

    def earlier(self) -> Iterator[Path]:
        """Named like ours, or in a service's folder."""
        own = (FILE, REDPANDA, DOCKERFILE, EXAMPLE)
        for pattern in (*own, "*-daprd/**/*", f"*/{SETUP}", "*/*_server.py"):
            yield from (path for path in self.folder.glob(pattern) if path.is_file())


def read_env(path: Path) -> dict[str, str]:
    """The variables of a ``.env`` file.

    Raises:
        ConfigError: it is not there.
    """
    try:
        rows = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read",
            last=str(error),
            hint="dapr-harness render compose --secrets",
        ) from None
    pairs = (row.split("=", 1) for row in rows if "=" in row and not row.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def _secret() -> str:
    # URL-safe: it becomes part of a connection string.
    return secrets.token_urlsafe(24)
