"""Whether a node lives, and what it uses."""

from __future__ import annotations

from harness.runtime.base import Instance, Measurable
from harness.runtime.proc import cpu_of

AWAY = ("paused", "exited", "not started")
"""The states in which a node does not answer."""


def state_of(instance: Instance | None) -> str:
    """``running``, ``starting``, ``paused``, ``exited``, or ``not started``."""
    import psutil

    if instance is None:
        return "not started"
    if isinstance(instance, Measurable):
        alive = instance.exit_code is None
        return "paused" if instance.frozen and alive else instance.state.value
    try:
        if instance.exit_code is None and psutil.Process(instance.pid).status() == "stopped":
            return "paused"
    except (psutil.Error, ValueError):
        pass
    return instance.state.value


def used_by(pid: int) -> tuple[int, float]:
    """Bytes of memory and seconds of processor time of a process; zeros if it is gone."""
    import psutil

    try:
        return psutil.Process(pid).memory_info().rss, cpu_of(pid) or 0.0
    except (psutil.Error, ValueError):
        return 0, 0.0
