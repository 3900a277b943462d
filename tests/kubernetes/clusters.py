"""Clusters of one node for tests: where one runs, its commands, and what is left of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from harness import Settings
from harness.core.errors import HarnessError
from harness.kubernetes.obstacles import require_node, this_machine
from harness.nodes.cluster import ClusterNode, group_of
from harness.provision.toolbox import Provisioner
from tests.support import CLI, ROOT

Place = Mapping[str, str]
"""The environment of commands."""

LIMIT = 60.0
"""Seconds for what takes some on an idle machine."""


def obstacle(kind: type[ClusterNode] = ClusterNode) -> str:
    """Why no node of a kind runs here; "" if one does."""
    settings = Settings.load(ROOT, offline=True)
    toolbox = Provisioner(settings)
    try:
        require_node(this_machine(settings.environment, toolbox.store.root))
        for tool in kind.tools:
            toolbox.path(tool)
    except HarnessError as error:
        return f"no node of Kubernetes runs here: {error.subject}"
    return ""


def run(
    place: Mapping[str, str], *words: str, given: str = "", code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*CLI, *words], cwd=ROOT, env=place, input=given, capture_output=True, text=True
    )
    assert code == done.returncode, done.stdout + done.stderr
    return done


def up(place: Mapping[str, str], name: str, *options: str) -> dict[str, Any]:
    done = run(place, "cluster", "up", name, *options, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def remains(folder: str) -> list[str]:
    """What is left of the cluster whose run had this folder."""
    processes = [f"process {each}" for each in psutil.process_iter() if mentions(each, folder)]
    mounts = [row for row in Path("/proc/self/mounts").read_text().splitlines() if folder in row]
    group = group_of(Path(folder) / "nodes" / "cluster")
    # Others may be removed meanwhile, which `glob` does not expect.
    walked = (path for path, _, _ in os.walk("/sys/fs/cgroup"))
    groups = [f"cgroup {each}" for each in walked if Path(each).name == group]
    links = [
        f"interface {name}" for name, addresses in psutil.net_if_addrs().items()
        if any(each.address.startswith(("10.200.", "10.244.")) for each in addresses)
    ]  # fmt: skip
    folders = [f"folder {each}" for each in [Path(folder)] if each.exists()]
    return [*processes, *mounts, *groups, *links, *folders]


def mentions(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in word for word in process.cmdline())
    except psutil.Error:
        return False
