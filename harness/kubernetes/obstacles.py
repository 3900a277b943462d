"""Why a node of Kubernetes cannot run on a machine, in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import Unavailable
from harness.core.private import temporary_folder
from harness.provision.store import require_disk

INSTEAD = (
    "`dapr-harness validate k8s` needs neither root nor any of this: an API server alone checks "
    "manifests"
)
"""What is possible everywhere."""

NEEDED_DISK = 10e9
"""In bytes: images, their unpacked layers and what pods write."""

COVERED = ("/run", "/var/lib", "/var/log")
"""The folders that a node replaces by its own; nothing that it needs can be in them."""

GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """What is known of a machine before anything is tried on it.

    Attributes:
        system: as in `sys.platform`.
        user: the effective user id.
        groups: where cgroups are mounted.
        writable: whether groups can be made there.
        folders: what a node uses, by what it is for.
    """

    system: str
    user: int
    groups: Path
    writable: bool
    folders: Mapping[str, Path]


def this_machine(environment: Mapping[str, str], cache: Path) -> Machine:
    """What is known of the machine that this runs on."""
    folders = {"DAPR_HARNESS_CACHE_DIR": cache, "TMPDIR": temporary_folder(environment)}
    return Machine(sys.platform, os.geteuid(), GROUPS, os.access(GROUPS, os.W_OK), folders)


def require_node(machine: Machine) -> None:
    """Check what can be checked without the node's programs.

    Raises:
        Unavailable: a node cannot run; the message says what is missing, and what is possible.
    """
    if not machine.system.startswith("linux"):
        raise _missing("Linux", f"this is {machine.system}")
    if machine.user != 0:
        raise _missing("root", f"the user id is {machine.user}")
    if not machine.groups.is_dir():
        raise _missing("cgroups", f"{machine.groups} is not a folder")
    if not machine.writable:
        raise _missing("cgroups that it can change", f"{machine.groups} is read-only")
    for setting, folder in machine.folders.items():
        for covered in COVERED:
            if folder.resolve().is_relative_to(covered):
                raise Unavailable(
                    f"a node of Kubernetes cannot use {folder}",
                    expected=f"a folder outside {', '.join(COVERED)}: each node has its own",
                    hint=f"set {setting} to another folder; or {INSTEAD}",
                )
    elsewhere = f"set TMPDIR to a folder on another disk; or {INSTEAD}"
    require_disk(machine.folders["TMPDIR"], NEEDED_DISK, "a node of Kubernetes", elsewhere)


def try_node(program: Path, environment: Mapping[str, str], group: str) -> None:
    """Make the namespaces, the cgroup and the overlay of a node, and remove them.

    Args:
        program: what nodes run in.
        environment: where TMPDIR may be set.
        group: the name of a cgroup that does not exist.

    Raises:
        Unavailable: one of them cannot be made.
    """
    folder = temporary_folder(environment)
    done = subprocess.run(
        [str(program), "check", str(folder), group], capture_output=True, text=True
    )
    if done.returncode != 0:
        last = done.stderr.strip() or f"exit code {done.returncode}"
        raise _missing("namespaces, cgroups and overlayfs", last)


def _missing(needed: str, last: str) -> Unavailable:
    return Unavailable(f"a node of Kubernetes needs {needed}", last=last, hint=INSTEAD)
