"""The free resources that a machine must have before anything is started on it."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core.cgroups import own_groups
from harness.core.errors import Unavailable
from harness.core.files import try_writing
from harness.core.private import temporary_folder
from harness.provision.store import require_disk

RUN_DISK = 0.2e9
"""Bytes of a run's folder: PostgreSQL's data, a scheduler's log, files of other nodes."""

THREADS_EACH = 15
"""Threads per node, which count towards a process limit: the reference system has 250 in 17
nodes, a sidecar 9, a broker 60."""


def require_temporary(environment: Mapping[str, str], needed: float = RUN_DISK) -> Path:
    """The temporary folder, which has enough room.

    If TMPDIR is unusable, Python continues with /tmp, and a Go program exits.

    Args:
        environment: where TMPDIR may be set.
        needed: bytes.

    Raises:
        Unavailable: TMPDIR is unusable, or has too little room.
    """
    folder = temporary_folder(environment)
    try:
        try_writing(folder)
    except OSError as error:
        raise Unavailable(
            f"the temporary folder {folder} cannot be used",
            last=error.strerror or str(error),
            hint="set TMPDIR to a folder that you own, on a disk with room",
        ) from None
    require_disk(folder, needed, "what runs", "set TMPDIR to a folder on another disk")
    return folder


def require_processes(nodes: int) -> str:
    """The number of allowed processes, in words, if it is enough for this number of nodes.

    Raises:
        Unavailable: it is not enough.
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
    """What is limited, the limit, the current number, and how to raise the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    # The kernel does not apply it to root, and nobody reaches a limit of tens of thousands.
    if os.geteuid() != 0 and 0 <= soft < 10_000:
        most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
        yield (
            "ulimit -u",
            soft,
            _threads_of(os.getuid()),
            f"ulimit -u {most}, or stop other processes",
        )
    for folder in own_groups():
        with contextlib.suppress(OSError, ValueError):
            limit = int((folder / "pids.max").read_text())  # the word max if there is no limit
            used = int((folder / "pids.current").read_text())
            yield f"{folder}/pids.max", limit, used, "raise the limit of the container or the unit"


# Not psutil: this is part of every start, and the import takes longer than the count.
def _threads_of(account: int) -> int:
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == account:
                found += len(list((entry / "task").iterdir()))
    return found
