"""A compose project in its folder: writing, comparing, adding secrets."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Container, Mapping
from io import StringIO
from pathlib import Path, PurePosixPath

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from harness.core.errors import ConfigError, Unavailable
from harness.core.files import write_private
from harness.core.launch import Build
from harness.core.node import Target
from harness.core.reading import read_text
from harness.core.rendered import Rendered, text_of
from harness.core.roles import Buildable
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.provision.images import IMAGES, NAMESPACE, variable
from harness.render.compose.render import (
    APPS,
    render,
    secrets_of,
    with_packages,
)
from harness.stack.images import Images

SECRETS = ".env"
NAME = "COMPOSE_PROJECT_NAME"


class Project(Rendered):
    """The compose project of a topology.

    Args:
        topology: the topology it describes.
        settings: the project's root, and the user's images.
        folder: where it is.
    """

    def __init__(self, topology: Topology, settings: Settings, folder: Path) -> None:
        self._topology = topology
        self._settings = settings
        self._images = Images(settings)
        super().__init__(folder, "dapr-harness render compose")

    def rendered(self) -> dict[str, str]:
        """The expected contents of the files, by name."""
        return render(self._topology, self._images, self._settings.root, self.folder)

    def write_secrets(self) -> Path:
        """Write the file with fresh secrets, and with the images that this engine has.

        Only its owner can read it, and it is not part of the repository. Existing secrets are kept,
        because the database of a running project was created with them. The project's name, or its
        absence, is kept too, because another name would mean another project.
        """
        path = self.folder / SECRETS
        there = read_env(path) if path.is_file() else {}
        known = there if path.is_file() else {NAME: self._name()}
        rows = {name: known.get(name) or _secret() for name in secrets_of(self.rendered())}
        rows |= {NAME: known[NAME]} if NAME in known else {}
        rows |= self._own_images()
        new = {name: value for name, value in rows.items() if there.get(name) != value}
        # Lines that others have written are kept, and those that are still right.
        lines = parse_stream(StringIO(text_of(path)))
        kept = "".join(each.original.string for each in lines if not _is_stale(each, rows, new))
        kept += "\n" if kept and not kept.endswith("\n") else ""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_private(path, kept + "".join(f"{name}={value}\n" for name, value in new.items()))
        return path

    def _name(self) -> str:
        """A unique name for this folder. Compose's default is the folder's last part, so that all
        projects in folders called ``compose`` would share containers and volumes."""
        plain = re.sub(r"[^a-z0-9]+", "-", self._settings.root.name.lower()).strip("-") or "project"
        return f"{plain}-{hashlib.sha256(bytes(self.folder.resolve())).hexdigest()[:8]}"

    def _own_images(self) -> Mapping[str, str]:
        """Images that are not the table's: the user's, and locally built ones."""
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
        """The apps' image, built in the way that needs neither a registry nor pip inside."""
        resolved = self._topology.resolved(Target("containers", "kafka"))
        builds = [
            node.build(self._settings.root)
            for node in resolved.nodes
            if isinstance(node, Buildable)
        ]
        first = next((each for each in builds if isinstance(each, Build)), None)
        if first is None:
            return {}
        return {APPS: self._images.reference(with_packages(first, resolved.nodes))}

    def strangers(self, files: Mapping[str, str]) -> list[str]:
        """Files that a sidecar or a database would read, because whole folders are mounted."""
        mounted = {self.folder / PurePosixPath(name).parts[0] for name in files if "/" in name}
        found = (path for folder in sorted(mounted) for path in folder.rglob("*") if path.is_file())
        known = {*files, *self._listed()}
        names = (str(path.relative_to(self.folder)) for path in found)
        return [name for name in names if name not in known]


def read_env(path: Path) -> dict[str, str]:
    """The variables of a ``.env`` file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        text = read_text(path)
    except ConfigError as error:
        error.hint = error.hint or "dapr-harness render compose --secrets"
        raise
    pairs = dotenv_values(stream=StringIO(text)).items()
    return {name: value for name, value in pairs if value is not None}


def _is_stale(line: Binding, rows: Container[str], new: Container[str]) -> bool:
    """Whether a line of the file is rewritten, or names a locally built image that is not used."""
    return line.key in new or (
        line.key not in rows and (line.value or "").startswith(f"{NAMESPACE}/")
    )


def _secret() -> str:
    # URL-safe: it becomes part of a connection string.
    return secrets.token_urlsafe(24)
