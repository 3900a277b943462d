"""Builds the programs of a Kubernetes node, and fetches its container runtime."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.settings import Settings
from harness.provision import packages
from harness.provision.kubernetes import GoModule, build_module, require_network, sources_of
from harness.provision.progress import Progress, size_of, step
from harness.provision.store import Store, require_disk
from harness.provision.versions import KUBERNETES

if TYPE_CHECKING:
    from harness.provision.golang import Counted

MODULE = "cluster-node"
SOURCES = (
    "go.mod",
    "go.sum",
    "main.go",
    "plan.go",
    "run.go",
    "init.go",
    "children.go",
    "groups.go",
    "check.go",
    "dns.go",
    "policies.go",
    "pause/main.go",
)
"""The module that is built: every module that it requires has its checksum in go.sum."""

PROGRAM = "cluster-node"
"""One program, because the parts of Kubernetes have most of their packages in common."""

NAMES = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
"""The names that it is called by; by its own name, it is what these run in."""

OPTION = "--kubernetes-node"
"""The option of ``provision`` that installs it."""

NEEDED_DISK = 10e9
"""In bytes; measured: 1 GB of modules, 3 GB of build cache, 0.4 GB for the programs; and what runs
on a node needs room, too."""

COST = "once: 5 minutes of CPU time more, 4 GB of disk meanwhile, 130 MB afterwards"
"""Told before it begins."""

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "nftables", "busybox-static")
LEFT_OUT = ("iptables",)
"""kube-proxy uses nftables, and pods have no ports of the machine."""

PACKAGES_COST = "40 MB, unpacked 170 MB"
PAUSE, SHELL = "pause.tar", "busybox.tar"
"""The images that each node has, as archives."""

PAUSE_IMAGE = "dapr-harness.local/pause:1"
SHELL_IMAGE = "dapr-harness.local/busybox:1"


def node_programs_name() -> str:
    """The name of their folder in the cache, which changes with each of their modules."""
    text = "".join(sources_of(MODULE, SOURCES).values())
    return f"{MODULE}-{KUBERNETES}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def provide_node_programs(settings: Settings, store: Store, progress: Progress) -> Path:
    """The folder with `PROGRAM`, `NAMES` and the image `PAUSE`, from the cache or built.

    Raises:
        Unavailable: it is not installed and cannot be built; the message gives the reason.
    """
    name, what = node_programs_name(), f"a node of Kubernetes {KUBERNETES}"
    if found := store.find(name):
        return found
    require_network(settings, store, name, what, OPTION)
    require_disk(store.root, NEEDED_DISK, what)

    def build(target: Path) -> None:
        from harness.provision.golang import Counted

        counted = Counted()
        said = f"build the programs of {what} from its Go modules ({COST})"
        with step(progress, said, lambda: str(counted)):
            _build(settings, store, target, counted)

    return store.make(name, build)


def runtime_name() -> str:
    """The name of the folder with the container runtime, which changes with its packages."""
    text = " ".join((*PACKAGES, *LEFT_OUT, platform.machine()))
    return f"cluster-runtime-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def provide_container_runtime(settings: Settings, store: Store, progress: Progress) -> Path:
    """The folder in which containerd, runc, plugins for networks and nftables are unpacked.

    Raises:
        Unavailable: it is not there, and the packages cannot be fetched.
    """
    name = runtime_name()
    if found := store.find(name):
        return found
    require_network(settings, store, name, "the container runtime of a node", OPTION)

    def fetch(target: Path) -> None:
        from harness.provision.image_archive import Image, pack

        said = f"fetch {', '.join(PACKAGES)} from Debian packages ({PACKAGES_COST})"
        with step(progress, said, lambda: size_of(target)):
            packages.fetch(settings.environment, PACKAGES, target, LEFT_OUT)
            files = {"/bin/busybox": target / "bin" / "busybox"}
            links = {f"/bin/{each}": "busybox" for each in ("sh", "cat", "ls", "nslookup", "wget")}
            image = Image(SHELL_IMAGE, files, ["/bin/busybox"], links=links)
            pack(image, target / SHELL)

    return store.make(name, fetch)


def _build(settings: Settings, store: Store, target: Path, counted: Counted) -> None:
    from harness.provision.image_archive import Image, pack

    programs = {".": PROGRAM, "./pause": "pause"}
    module = GoModule(sources_of(MODULE, SOURCES), programs, NEEDED_DISK)
    build_module(settings, store, target, module, counted)
    for name in NAMES:
        (target / name).symlink_to(PROGRAM)
    image = Image(PAUSE_IMAGE, {"/pause": target / "pause"}, ["/pause"], user="65535:65535")
    pack(image, target / PAUSE)
