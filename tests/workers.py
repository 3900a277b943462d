"""How workers of pytest-xdist share this suite: what belongs to one stack goes to one worker."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

RUNTIMES = ("containers", "processes")

ENGINE = (
    "tests/cli/test_bare.py",
    "tests/cli/test_containers.py",
    "tests/cli/test_seen_compose.py",
    "tests/cli/test_stacks.py",
    "tests/cli/test_streams.py",
    "tests/contract/test_containers.py",
    "tests/contract/test_engine.py",
    "tests/contract/test_ryuk.py",
    "tests/plugin/test_runtimes.py",
)
"""Files that leave dead runs in the engine on purpose, remove all dead runs there are, or start
compose projects, which have the same ports."""

CLUSTER = "tests/kubernetes/"
"""Its tests look for what a cluster has left in the network of this machine."""


class Scopes(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests of one scope run on one worker, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """The scope of a test: its file, but one scope for the scenarios on each runtime.

    A session's stack is started once on each worker that needs it, and a module's once for each
    scope that has tests of the module.
    """
    file, _, test = nodeid.partition("::")
    if file.startswith("scenarios/"):
        parameters = test.partition("[")[2].rstrip("]").split("-")
        return next((name for name in RUNTIMES if name in parameters), RUNTIMES[-1])
    if file.startswith(CLUSTER):
        return "cluster"
    return "engine" if file in ENGINE else file
