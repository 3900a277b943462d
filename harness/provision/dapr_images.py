"""Packs images of Dapr's programs for the pods of a cluster, of which two are built for that."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import ConfigError
from harness.core.settings import Settings
from harness.provision.cluster_node import OPTION
from harness.provision.dapr import go_caches, version_of
from harness.provision.kubernetes import require_network
from harness.provision.progress import Progress, step
from harness.provision.store import Store
from harness.provision.versions import DAPR_BINARIES

if TYPE_CHECKING:
    from harness.provision.golang import Counted

IMAGES = "dapr-images"
"""The name of the tool, a folder with an archive for each program."""

OF_CLUSTERS = ("operator", "injector")
"""The programs that run in clusters only."""

PROGRAMS = (*DAPR_BINARIES, *OF_CLUSTERS)
WITH_ZONES = ("daprd", "scheduler")
"""The programs that read time zones and connect to other systems."""

REGISTRY = "dapr-harness.local"
"""A registry that does not exist: nothing is ever pulled from it."""

COST = "once: 20 seconds of CPU time if your Go has built Dapr, 8 minutes if not; 500 MB afterwards"
"""Told before it begins; measured: 17 seconds for both programs."""

_ARCHIVE = re.compile(r"daprd-(.+)\.tar")


def provide_dapr_images(settings: Settings, store: Store, progress: Progress, dapr: Path) -> Path:
    """The folder with an archive of an image for each of `PROGRAMS`, from the cache or made.

    Args:
        dapr: the folder of Dapr's four binaries.

    Raises:
        Unavailable: an archive is missing and cannot be made; the message gives the reason.
        LaunchError: the user's own daprd cannot be executed.
    """
    name = images_name(dapr)
    if found := store.find(name):
        return found
    require_network(settings, store, name, "the control plane of Dapr in a cluster", OPTION)
    version = version_of(dapr / "daprd")

    def make(target: Path) -> None:
        from harness.provision.golang import Counted

        counted = Counted()
        said = f"build Dapr's operator and injector {version}, and pack its images ({COST})"
        with step(progress, said, lambda: str(counted)):
            _build(settings, store, target, version, counted)
            _pack(dapr, target, version)

    return store.make(name, make)


def images_name(dapr: Path) -> str:
    """The name of their folder in the cache, which changes with each of the binaries."""
    facts = [(each, (dapr / each).stat()) for each in DAPR_BINARIES]
    found = [f"{each} {fact.st_size} {fact.st_mtime_ns}" for each, fact in facts]
    text = " ".join([*found, *PROGRAMS, *WITH_ZONES, REGISTRY])
    return f"{IMAGES}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def archives_in(folder: Path) -> list[Path]:
    """The archives."""
    return sorted(folder.glob("*.tar"))


def version_in(folder: Path) -> str:
    """The version of Dapr that the images have.

    Raises:
        ConfigError: the folder has no image of daprd.
    """
    for each in archives_in(folder):
        if match := _ARCHIVE.fullmatch(each.name):
            return match[1]
    raise ConfigError(
        f"{folder} has no image of daprd",
        expected="a file such as daprd-1.18.2.tar",
        hint=f"run `dapr-harness provision {OPTION}`",
    )


def image_of(program: str, version: str) -> str:
    """The name of the image of a program."""
    return f"{REGISTRY}/{program}:{version}"


def _build(settings: Settings, store: Store, target: Path, version: str, counted: Counted) -> None:
    from harness.provision import gobuild

    gobuild.build(
        settings.environment,
        version,
        target,
        go_caches(settings, store),
        counted,
        packages=lambda _dapr, _work: [f"{gobuild.MODULE}/cmd/{each}" for each in OF_CLUSTERS],
    )


def _pack(dapr: Path, target: Path, version: str) -> None:
    """An image for each program; what was built for them is in them only."""
    from harness.provision.image_archive import Image, pack

    for program in PROGRAMS:
        folder = target if program in OF_CLUSTERS else dapr
        shared = _shared() if program in WITH_ZONES else ()
        files = {f"/{program}": folder / program, **dict(shared)}
        # Without an entrypoint, as Dapr's own: the injector names the program itself.
        image = Image(image_of(program, version), files, ())
        pack(image, target / f"{program}-{version}.tar")
    for program in OF_CLUSTERS:
        (target / program).unlink()


def _shared() -> Iterator[tuple[str, Path]]:
    """Certificates and time zones, which Go looks for in these places."""
    from harness.provision.recipes import CERTIFICATES, ZONES

    found: Mapping[str, Path] = {str(each): each for each in (CERTIFICATES, ZONES)}
    yield from ((path, each) for path, each in found.items() if each.exists())
