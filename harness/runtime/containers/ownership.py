"""The owner of a container: labels that distinguish a dead run from another live one."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.runtime.containers import agent
from harness.runtime.containers.engine import Engine, refusals
from harness.runtime.proc import born

OWNER, BORN = "dapr-harness.owner", "dapr-harness.born"
MACHINE, BOOT = "dapr-harness.machine", "dapr-harness.boot"


def labels_of(run: str, owner: int) -> dict[str, str]:
    """The labels of everything that a run creates.

    Args:
        run: the run's id.
        owner: the process whose exit ends the run.
    """
    return {
        agent.RUN_LABEL: run,
        OWNER: str(owner),
        BORN: born(owner),
        MACHINE: _machine(),
        BOOT: _boot(),
    }


def stale_runs(engine: Engine) -> list[str]:
    """The runs on an engine whose owner is gone.

    Runs of other machines, or of another process namespace that shares the engine, are left alone:
    their owners cannot be checked from here.
    """
    found = {labels[agent.RUN_LABEL]: labels for labels in _all_labels(engine)}
    return sorted(run for run, labels in found.items() if _owner_is_gone(labels))


def sweep(engine: Engine, run: str) -> list[str]:
    """Remove everything of a run; return what could not be removed, in words."""
    return agent.sweep(agent.Engine(engine.address), f"{agent.RUN_LABEL}={run}")


def states(engine: Engine, run: str) -> dict[str, str]:
    """The engine's state for each node of a run: ``running``, ``paused``, ``exited`` ..."""
    filters: dict[str, str | list[str] | bool] = {"label": f"{agent.RUN_LABEL}={run}"}
    with refusals(f"looking at the run {run}"):
        found = engine.client.containers.list(all=True, filters=filters, ignore_removed=True)
    return {each.labels.get(agent.NODE_LABEL, ""): each.status for each in found}


def _owner_is_gone(labels: Mapping[str, str]) -> bool:
    if labels.get(MACHINE) != _machine():
        return False
    if labels.get(BOOT) != _boot():
        return True
    # An image that was built for a run has no owner label; without one, nothing belongs to a run.
    return OWNER in labels and born(int(labels[OWNER])) != labels.get(BORN)


def _all_labels(engine: Engine) -> Iterator[Mapping[str, str]]:
    filters: dict[str, str | list[str] | bool] = {"label": agent.RUN_LABEL}
    with refusals("listing what runs have left"):
        for container in engine.client.containers.list(
            all=True, filters=filters, ignore_removed=True
        ):
            yield container.labels
        for network in engine.client.networks.list(filters=filters):
            yield network.attrs["Labels"]
        for volume in engine.client.volumes.list(filters=filters):
            yield volume.attrs["Labels"]


def _machine() -> str:
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{platform.node()}/{namespace}"


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
