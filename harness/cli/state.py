"""The running stacks, for a command; reports problems with their state files."""

from __future__ import annotations

from harness.cli.console import err
from harness.core.settings import Settings
from harness.stack.registry import Registry


def opened(settings: Settings) -> Registry:
    """The registry, after a warning for each state file that cannot be read."""
    registry = Registry(settings.state_dir)
    for each in registry.damaged():
        err.print(f"warning: {each}", soft_wrap=True, markup=False)
    return registry
