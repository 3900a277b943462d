"""The only way to get a free port, for the supervisor of a stack and for everything else."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from harness.core.closing import Closing
from harness.core.private import private_folder

LOOPBACK = "127.0.0.1"
"""Also in harness.core.endpoint, whose import of dataclasses would double a supervisor's start."""

FLOOR = 24576
"""People choose ports below it: those of a compose project are, and a stack took one of them."""

LEASES = Path(f"/tmp/dapr-harness-ports-{os.getuid()}")  # noqa: S108 - checked by private_folder
"""One folder for all stacks of a user, whatever their TMPDIR. Only the bound sockets keep stacks of
other users apart: fs.protected_regular forbids files that several users lock in /tmp."""


class Ports(Closing):
    """Ports held by a bound socket, and leased across processes by a locked file.

    A lease lasts until this object is closed or its process exits. A lease that was given to
    another process is shared, so that a stack that receives that number can use it.

    Raises:
        Unavailable: the folder of the leases does not belong to this user.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}
        self._leases: dict[int, int] = {}
        folder = private_folder(LEASES)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._ceiling = _ephemeral_floor()
        self._next = random.randrange(FLOOR, self._ceiling)  # noqa: S311 - not a secret

    def reserve(self, wanted: int | None = None) -> int:
        """Reserve a port; if none is wanted, any port below the ephemeral range.

        Raises:
            OSError: the wanted port is taken, or no other is free.
        """
        if wanted is not None:
            self._take(wanted, chosen=True)
            return wanted
        for _ in range(self._ceiling - FLOOR):
            self._next = self._next + 1 if self._next + 1 < self._ceiling else FLOOR
            with contextlib.suppress(OSError):
                self._take(self._next, chosen=False)
                return self._next
        raise OSError(errno.EADDRINUSE, "no free port is left below the ephemeral range")

    def release(self, ports: Iterable[int]) -> None:
        """Let others bind the ports; the leases remain."""
        for port in ports:
            if port in self._held:
                self._held.pop(port).close()

    def give(self) -> int:
        """A port that is not held, for another process to listen on."""
        while True:
            port = self.reserve()
            self.release([port])
            # Switching between the two kinds of lock leaves a moment without a lock.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._leases[port], fcntl.LOCK_SH | fcntl.LOCK_NB)
                return port

    def close(self) -> None:
        """Release everything."""
        self.release(list(self._held))
        for descriptor in self._leases.values():
            os.close(descriptor)
        self._leases.clear()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _take(self, port: int, *, chosen: bool) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lease = os.open(str(port), flags, 0o600, dir_fd=self._folder)
        try:
            _lock(lease, port, shared=chosen)
            self._held[port] = _bound(port, reuse=chosen)
        except OSError:
            os.close(lease)
            raise
        self._leases[port] = lease


_ours: list[Ports] = []
_lock_of_ours = threading.Lock()


def free_port() -> int:
    """A port of 127.0.0.1 for another listener; this process never returns it again.

    Raises:
        Unavailable: the folder of the leases does not belong to this user.
    """
    with _lock_of_ours:
        if not _ours:
            _ours.append(Ports())
        return _ours[0].give()


def _ephemeral_floor() -> int:
    # An outgoing connection can take any port of the ephemeral range at any time.
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        return max(FLOOR + 4096, int(text.split()[0]))
    except OSError:
        return 49152


def _lock(lease: int, port: int, *, shared: bool) -> None:
    for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH) if shared else (fcntl.LOCK_EX,):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lease, kind | fcntl.LOCK_NB)
            return
    raise OSError(errno.EADDRINUSE, f"port {port} is leased by another node or stack")


def _bound(port: int, *, reuse: bool) -> socket.socket:
    """A socket that reserves a port on loopback.

    It is first bound on all interfaces for a moment, to detect a listener on any of them.

    Args:
        port: the port.
        reuse: take the port even if connections of its last listener have not fully closed yet.
    """
    with socket.socket() as everywhere:
        everywhere.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        everywhere.bind(("", port))
    found = socket.socket()
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        found.bind((LOOPBACK, port))
        # Otherwise sockets that also allow reuse, as most servers do, could listen on it meanwhile.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, False)
    except OSError:
        found.close()
        raise
    return found
