"""The short way from a topology to a running stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.journal import Entry
from harness.provision.progress import Progress
from harness.provision.toolbox import Toolbox
from harness.runtime.base import Runtime
from harness.runtime.processes import ProcessRuntime
from harness.settings import Settings
from harness.stack import Stack
from harness.topology import Topology


def running(
    topology: Topology,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
    watch: Callable[[Entry], None] = lambda _: None,
    **given: Any,
) -> Stack:
    """A stack on the runtime that the settings choose; use it in a ``with`` statement.

    Args:
        topology: what to run.
        settings: loaded from the environment and pyproject.toml when None.
        progress: told about provisioning.
        watch: told about the start, entry by entry.
        given: single settings that win over both.
    """
    settings = settings or Settings.load(**given)

    def runtime() -> Runtime:
        # `auto` is the processes runtime: nothing that only containers can run exists yet.
        return ProcessRuntime(settings.inherited)

    return Stack(topology, settings, Toolbox(settings, progress), runtime, watch=watch)
