"""A compose project in its folder: written, compared, given its secrets."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
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
from harness.settings import Settings
from harness.topology import Choice, Topology

SECRETS = ".env"


class Project:
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
        self.folder = folder.resolve()

    def rendered(self) -> dict[str, str]:
        """The files as they should be, by name."""
        return render(self._topology, self._images, self._settings.root, self.folder)

    def write(self) -> list[Path]:
        """Write every file, and remove what an earlier rendering had and this one has not."""
        files = self.rendered()
        for old in self._stale(files):
            old.unlink()
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [self.folder / name for name in files]

    def require_same(self) -> None:
        """Check that the files are what would be rendered.

        Raises:
            ConfigError: one has drifted from the topology; the message names each.
        """
        files = self.rendered()
        wrong = [name for name, text in files.items() if self._text(name) != text]
        wrong += [str(path.relative_to(self.folder)) for path in self._stale(files)]
        if wrong:
            raise ConfigError(
                f"{len(wrong)} files of {self.folder} are not what the topology renders",
                last=", ".join(sorted(wrong)),
                hint="dapr-harness render compose",
            )

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

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.is_file() else ""

    def _stale(self, files: Mapping[str, str]) -> list[Path]:
        """Files of an earlier rendering: named like ours, or in a service's folder."""
        own = [self.folder / name for name in (FILE, REDPANDA, DOCKERFILE, EXAMPLE)]
        found = [path for path in own if path.is_file()]
        for pattern in ("*-daprd/**/*", f"*/{SETUP}", "*/*_server.py"):
            found += [path for path in self.folder.glob(pattern) if path.is_file()]
        return [path for path in found if str(path.relative_to(self.folder)) not in files]


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
