"""The folders in which processes met that shared a run."""

from __future__ import annotations

from pathlib import Path

from harness.core.private import MEETING


def clear_meetings(folder: Path) -> None:
    """Remove those of dead processes: if all were killed, nobody else does.

    Args:
        folder: the run's.
    """
    if any(folder.parent.glob(f"{MEETING}*")):
        # Rarely needed, and a start of the supervisor would have to wait for its imports.
        from harness.runtime.folder import clear_dead_meetings

        clear_dead_meetings(folder)
