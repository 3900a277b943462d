"""Builds the control plane of Kubernetes, etcd and kube-apiserver, and fetches Dapr's CRDs."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import Unavailable
from harness.core.settings import Settings
from harness.provision.dapr import go_caches
from harness.provision.progress import Progress, step
from harness.provision.store import Store
from harness.provision.versions import DAPR, KUBERNETES

if TYPE_CHECKING:
    from harness.provision.golang import Counted

SOURCES = ("go.mod", "go.sum", "main.go")
"""The module that is built: every module that it requires has its checksum in go.sum."""

PROGRAM = "control-plane"
"""One program, because etcd and kube-apiserver have most of their packages in common."""

NAMES = ("etcd", "kube-apiserver")
"""The names that it is called by."""

NEEDED_DISK = 3e9
"""In bytes; measured: 0.7 GB of modules, 2 GB of build cache and 0.1 GB for the program."""

COST = "once: 8 minutes of CPU time, 3 GB of disk meanwhile, 110 MB afterwards"
"""Told before it begins; measured: 1767 packages, 500 seconds on a busy machine of two cores."""

_VERSION = "k8s.io/component-base/version"


def control_plane_name() -> str:
    """The name of its folder in the cache, which changes with each of its modules."""
    digest = hashlib.sha256("".join(_sources().values()).encode()).hexdigest()[:8]
    return f"kubernetes-{KUBERNETES}-{digest}"


def provide_control_plane(settings: Settings, store: Store, progress: Progress) -> Path:
    """The folder with ``etcd`` and ``kube-apiserver``, from the cache or built.

    Raises:
        Unavailable: it is not installed and cannot be built; the message gives the reason.
    """
    name = control_plane_name()
    if found := store.find(name):
        return found
    require_network(settings, store, name, f"Kubernetes {KUBERNETES}")

    def build(target: Path) -> None:
        from harness.provision.golang import Counted

        counted = Counted()
        what = f"build the control plane of Kubernetes {KUBERNETES} from its Go modules ({COST})"
        with step(progress, what, lambda: str(counted)):
            _build(settings, store, target, counted)

    return store.make(name, build)


def provide_crds(settings: Settings, store: Store, progress: Progress) -> Path:
    """The folder with the CRDs of Dapr's chart, one file per kind.

    Raises:
        Unavailable: they are not there and cannot be fetched.
    """
    version = settings.dapr_version or DAPR
    name = f"dapr-{version}-crds"
    if found := store.find(name):
        return found
    require_network(settings, store, name, f"the CRDs of Dapr {version}")

    def fetch(target: Path) -> None:
        from harness.provision import gobuild

        with step(progress, f"fetch the CRDs of Dapr {version} from its Go module", lambda: ""):
            caches = go_caches(settings, store)
            with gobuild.sources(settings.environment, version, target, caches) as dapr:
                _copy_crds(dapr / "charts" / "dapr" / "crds", target)

    return store.make(name, fetch)


def _copy_crds(folder: Path, target: Path) -> None:
    found = sorted(folder.glob("*.yaml"))
    if not found:
        raise Unavailable(
            "Dapr's module has no CRDs where they are expected",
            expected=f"YAML files in {folder}",
            hint="choose another version",
        )
    for path in found:
        shutil.copyfile(path, target / path.name)


def require_network(
    settings: Settings, store: Store, name: str, what: str, option: str = "--kubernetes"
) -> None:
    """Check that something may be installed.

    Args:
        name: of its folder in the cache.
        what: it is, for the message.
        option: of ``provision``, which installs it.

    Raises:
        Unavailable: it may not.
    """
    if settings.offline:
        raise Unavailable(
            f"{what} is not installed and network access is disabled",
            last=store.lack(name),
            hint=f"run `dapr-harness provision {option}` once without --offline",
        )


def _sources() -> dict[str, str]:
    return sources_of(PROGRAM, SOURCES)


def _build(settings: Settings, store: Store, target: Path, counted: Counted) -> None:
    build_module(
        settings, store, target, GoModule(_sources(), {".": PROGRAM}, NEEDED_DISK), counted
    )
    for name in NAMES:
        (target / name).symlink_to(PROGRAM)


def sources_of(module: str, names: Iterable[str]) -> dict[str, str]:
    """The texts of the files of a Go module that is part of this package."""
    folder = files(__package__).joinpath(module)
    return {name: folder.joinpath(name).read_text() for name in names}


@dataclass(frozen=True)
class GoModule:
    """A Go module that is part of this package.

    Attributes:
        sources: its files, by their paths in it.
        programs: the names of its programs, by the packages that they are built from.
        disk: the bytes that must be free for the build.
    """

    sources: Mapping[str, str]
    programs: Mapping[str, str]
    disk: float


def build_module(
    settings: Settings, store: Store, target: Path, module: GoModule, counted: Counted
) -> None:
    """Build programs of Kubernetes into a folder.

    Raises:
        Unavailable: no Go, too little disk, the network is missing, or the build failed.
    """
    from harness.provision.golang import workplace

    caches, what = go_caches(settings, store), f"Kubernetes {KUBERNETES}"
    stamps = {"gitVersion": f"v{KUBERNETES}", "gitTreeState": "clean"}
    stamp = " ".join(f"-X {_VERSION}.{key}={value}" for key, value in stamps.items())
    flags = ["-v", "-mod=readonly", "-trimpath", "-ldflags", f"-s -w {stamp}"]
    with workplace(settings.environment, target, caches, what, disk=module.disk) as place:
        for name, text in module.sources.items():
            (place.folder / name).parent.mkdir(exist_ok=True)
            (place.folder / name).write_text(text)
        for package, program in module.programs.items():
            place.run("build", *flags, "-o", str(target / program), package, counted=counted)
