"""The node of a cluster that runs on this machine, from outside: its images."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil

from harness.core.errors import HarnessError
from harness.kubernetes.node_files import CONTAINERD
from harness.provision.layered_image import name_of


def load_images(node: int, root: Path, archives: Iterable[Path]) -> None:
    """Import the images that a node does not have yet.

    Args:
        node: its process.
        root: the folder in which containerd was unpacked.
        archives: of packed images, each after those below it.

    Raises:
        HarnessError: the node is gone, or does not take one.
    """
    address = f"/proc/{_inside(node)}/root{CONTAINERD}"
    known = _run(root, address, "list", "-q").split()
    for archive in archives:
        if name_of(archive.parent) not in known:
            _run(root, address, "import", str(archive))


def _inside(node: int) -> int:
    """The process that has the mounts of a node."""
    try:
        children = psutil.Process(node).children()
        return next(each.pid for each in children if "init" in each.cmdline())
    except (psutil.Error, StopIteration):
        raise HarnessError(
            f"the node of the cluster, process {node}, has ended",
            hint="`dapr-harness cluster status` shows the clusters of this machine",
        ) from None


def _run(root: Path, address: str, *words: str) -> str:
    libraries = ":".join(str(each) for each in sorted(root.glob("**/lib/*-linux-gnu")))
    command = [str(root / "usr/bin/ctr"), "--address", address, "-n", "k8s.io", "images", *words]
    environment = {"PATH": os.defpath, "LD_LIBRARY_PATH": libraries}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(
            f"the node does not take the image {Path(words[-1]).parent.name}",
            last=done.stderr.strip()[-300:],
        )
    return done.stdout
