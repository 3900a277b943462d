"""What the machine must have to spare before anything is started on it."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import Unavailable
from harness.files import try_writing
from harness.private import temporary_folder
from harness.provision.store import require_disk

RUN_DISK = 0.2e9
"""Bytes of a run's folder: PostgreSQL's data, a scheduler's log, what everybody writes."""

THREADS_EACH = 15
"""Threads of a node, for which a limit of processes counts: the reference system has 250 in 17
nodes, a sidecar 9, a broker 60."""


def require_temporary(environment: Mapping[str, str], needed: float = RUN_DISK) -> Path:
    """The temporary folder, with room in it.

    Python goes on with /tmp when TMPDIR cannot be used, and a Go program ends of it.

    Args:
        environment: where TMPDIR may be set.
        needed: bytes.

    Raises:
        Unavailable: TMPDIR cannot be used, or has too little room.
    """
    folder = temporary_folder(environment)
    try:
        try_writing(folder)
    except OSError as error:
        raise Unavailable(
            f"the temporary folder {folder} cannot be used",
            last=error.strerror or str(error),
            hint="set TMPDIR to a folder of yours, on a disk with room",
        ) from None
    require_disk(folder, needed, "what runs", "set TMPDIR to a folder on another disk")
    return folder


def require_processes(nodes: int) -> str:
    """How many processes are allowed, in words, if they are enough for that many nodes.

    Raises:
        Unavailable: they are not.
    """
    needed = nodes * THREADS_EACH
    facts = []
    for what, limit, used, hint in _limits():
        fact = f"{limit} allowed by {what}, {used} in use"
        if limit - used < needed:
            raise Unavailable(
                f"too few processes are allowed for {nodes} nodes",
                expected=f"{needed} more; threads count as well",
                last=fact,
                hint=hint,
            )
        facts.append(fact)
    return "; ".join(facts) or "no limit"


def _limits() -> Iterator[tuple[str, int, int, str]]:
    """What counts, how many may be, how many there are, and how it is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    # The kernel does not hold root to it, and nobody fills a limit of tens of thousands.
    if os.geteuid() != 0 and 0 <= soft < 10_000:
        most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
        yield "ulimit -u", soft, _threads_of(os.getuid()), f"ulimit -u {most}, or end what runs"
    for folder in _cgroups():
        with contextlib.suppress(OSError, ValueError):
            limit = int((folder / "pids.max").read_text())  # the word max where there is none
            used = int((folder / "pids.current").read_text())
            yield f"{folder}/pids.max", limit, used, "raise the limit of the container or the unit"


def _cgroups() -> list[Path]:
    with contextlib.suppress(OSError):
        for row in Path("/proc/self/cgroup").read_text().splitlines():
            number, _, path = row.split(":", 2)
            if number == "0":
                top = Path("/sys/fs/cgroup")
                own = top / path.lstrip("/")
                return [each for each in (own, *own.parents) if each.is_relative_to(top)]
    return []


def _threads_of(account: int) -> int:
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == account:
                found += len(list((entry / "task").iterdir()))
    return found
