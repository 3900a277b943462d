"""The one way to a free port, for the supervisor of a stack and for everybody else."""

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

from harness.closing import Closing
from harness.private import private_folder

LOOPBACK = "127.0.0.1"
"""harness.endpoint has it too, and dataclasses, which would double the start of a supervisor."""

FLOOR = 10240
LEASES = Path(f"/tmp/dapr-harness-ports-{os.getuid()}")  # noqa: S108 - checked by private_folder
"""One for all stacks of a user, whatever their TMPDIR. Another user's stacks are kept apart by the
bound sockets alone: files that several users lock in /tmp are refused by fs.protected_regular."""


class Ports(Closing):
    """Ports held by a bound socket, and leased across processes by a locked file.

    A lease lasts until this is closed, or its process has ended. One that was given to somebody
    else is shared, so that a stack which is told that number can have it.

    Raises:
        Unavailable: the folder of the leases is not this user's own.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}
        self._leases: dict[int, int] = {}
        folder = private_folder(LEASES)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._ceiling = _ephemeral_floor()
        self._next = random.randrange(FLOOR, self._ceiling)  # noqa: S311 - no secret

    def reserve(self, wanted: int | None = None) -> int:
        """Hold a port; any one below the ephemeral range when none is wanted.

        Raises:
            OSError: the wanted one is taken, or there is no other.
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
        """Let others bind what was held; the leases stay."""
        for port in ports:
            if port in self._held:
                self._held.pop(port).close()

    def give(self) -> int:
        """A port that is not held and shall be listened on by somebody else."""
        while True:
            port = self.reserve()
            self.release([port])
            # Between the two kinds of lock there is a moment with none.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._leases[port], fcntl.LOCK_SH | fcntl.LOCK_NB)
                return port

    def close(self) -> None:
        """Give everything back."""
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
    """A port of 127.0.0.1 that this process never gives again, for somebody else to listen on.

    Raises:
        Unavailable: the folder of the leases is not this user's own.
    """
    with _lock_of_ours:
        if not _ours:
            _ours.append(Ports())
        return _ours[0].give()


def _ephemeral_floor() -> int:
    # An outgoing connection can take any port of the ephemeral range at any time.
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        return max(FLOOR + 1000, int(text.split()[0]))
    except OSError:
        return 49152


def _lock(lease: int, port: int, *, shared: bool) -> None:
    for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH) if shared else (fcntl.LOCK_EX,):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lease, kind | fcntl.LOCK_NB)
            return
    raise OSError(errno.EADDRINUSE, f"port {port} is leased by another node or stack")


def _bound(port: int, *, reuse: bool) -> socket.socket:
    """A socket that keeps a port on loopback from others.

    First bound on all interfaces for a moment, so that a listener on any of them is noticed.

    Args:
        port: the port.
        reuse: take it although connections of its last listener have not faded away yet.
    """
    with socket.socket() as everywhere:
        everywhere.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        everywhere.bind(("", port))
    found = socket.socket()
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        found.bind((LOOPBACK, port))
        # Or others that ask for reuse, as most servers do, could listen while this is held.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, False)
    except OSError:
        found.close()
        raise
    return found
