"""What dead runs have left behind, and what an engine reports about running ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.cli.console import out, print_json
from harness.cli.state import opened
from harness.core.errors import HarnessError, TeardownError
from harness.core.settings import Settings
from harness.runtime.folder import clear_run_folder, dead_run_folders
from harness.stack.registry import Registry, UpStack


@dataclass(frozen=True)
class Stale:
    """Everything that belongs to runs whose owner is gone.

    Attributes:
        stacks: names of state files.
        folders: run folders.
        runs: ids of runs that have containers, networks or volumes.
    """

    stacks: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.stacks or self.folders or self.runs)

    def describe(self) -> str:
        """A one-line description."""
        counts = (len(self.stacks), len(self.folders), len(self.runs))
        return f"{counts[0]} state files, {counts[1]} folders, {counts[2]} runs with containers"


def find_stale(registry: Registry) -> Stale:
    """Find them; the engine is queried if one responds."""
    stacks = [each.name for each in registry if not each.alive]
    return Stale(stacks, dead_run_folders(), _dead_runs())


def clear_stale(settings: Settings, *, as_json: bool) -> None:
    """Remove everything that dead runs have left behind, and nothing of a running one.

    Raises:
        TeardownError: something could not be removed.
    """
    registry = opened(settings)
    found, problems = find_stale(registry), []
    for run in found.runs:
        from harness.runtime.containers.engine import Engine
        from harness.runtime.containers.ownership import sweep

        with Engine() as engine:
            problems += sweep(engine, run)
    problems += filter(None, map(clear_run_folder, found.folders))
    for name in found.stacks:
        registry.forget(name)
    if problems:
        raise TeardownError("not everything could be removed", last="\n".join(problems))
    if as_json:
        folders = [str(folder) for folder in found.folders]
        print_json({"stacks": found.stacks, "folders": folders, "runs": found.runs})
    else:
        out.print(
            f"removed: {found.describe()}" if found else "dead stacks have left nothing behind"
        )


def container_states(found: UpStack) -> dict[str, str]:
    """The engine's state for each node of a stack in containers; empty for processes."""
    if found.runtime == "compose":
        from harness.render.compose.attach import UpProject

        return found.states() if isinstance(found, UpProject) else {}
    if found.runtime != "containers":
        return {}
    from harness.runtime.containers.engine import Engine
    from harness.runtime.containers.ownership import states

    with Engine() as engine:
        return states(engine, Path(found.folder).name)


def _dead_runs() -> list[str]:
    try:
        from harness.runtime.containers.engine import Engine
        from harness.runtime.containers.ownership import stale_runs

        with Engine() as engine:
            return stale_runs(engine)
    except (HarnessError, ImportError):
        return []
