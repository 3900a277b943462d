"""Wakes whoever waits for a port of this machine, as soon as something listens on it.

The kernel does not tell when a socket begins to listen, but says in a few microseconds whether one
does (sock_diag(7)). One thread asks for all ports that are waited for, every millisecond; to
connect to each of them as often would take the processor time that the programs need to start.
"""

from __future__ import annotations

import errno
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from harness.core.deadline import Deadline, ticks
from harness.core.endpoint import LOOPBACK, Endpoint

EVERY = 0.001
"""Seconds between two looks; more where a look takes more than a twentieth of it, of CPU time."""

SHARE = 20
THREAD = "listening ports"

SOCK_DIAG, BY_FAMILY, REQUEST, ERROR = 4, 20, 1, 2
"""From linux/netlink.h and linux/sock_diag.h."""

LISTENING = 1 << 10
"""The state TCP_LISTEN, as a bit."""

AT_ONCE = 64
"""Requests of one message: the answers must fit into the socket's buffer."""

HEAD = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""

WANTED = struct.Struct("=BBBBI")
"""The first part of inet_diag_req_v2: family, protocol, extensions, padding, states."""

SOCKET = struct.Struct("!HH4s12x16x")
"""The first part of inet_diag_sockid: the ports of both ends, and their addresses."""

ANY = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
"""The rest of it: any interface, and no cookie."""

ERRNO = struct.Struct("=i")


class PortWatch:
    """Ports that are waited for; its thread lives as long as there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: WeakKeyDictionary[threading.Event, int] = WeakKeyDictionary()
        self._thread: threading.Thread | None = None
        self._works = sys.platform.startswith("linux")

    def event(self, port: int) -> threading.Event | None:
        """What is set once something listens on a port; it is forgotten with the last reference.

        Returns:
            None where the kernel does not answer questions about sockets.
        """
        if not self._works:
            return None
        event = threading.Event()
        with self._lock:
            self._waiting[event] = port
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name=THREAD, daemon=True)
                self._thread.start()
        return event

    def _look(self) -> None:
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as kernel:
                began = time.thread_time()
                going_on = self._wake(kernel)
                took = time.thread_time() - began
                for _ in ticks(Deadline(math.inf), max(EVERY, SHARE * took)):
                    if not (going_on and self._wake(kernel)):
                        return
        except OSError:
            self._works = False
            with self._lock:
                self._thread = None

    def _wake(self, kernel: socket.socket) -> bool:
        """Look once; whether there is anything left to wait for. If not, the thread ends."""
        with self._lock:
            if not self._waiting:
                self._thread = None
                return False
            wanted = [*{*self._waiting.values()}]
        found = set()
        for start in range(0, len(wanted), AT_ONCE):
            found |= _listening(kernel, wanted[start : start + AT_ONCE])
        with self._lock:
            for event, port in list(self._waiting.items()):
                if port in found:
                    del self._waiting[event]
                    event.set()
        return True


def _listening(kernel: socket.socket, ports: Sequence[int]) -> set[int]:
    """Those of the ports at which a connection from this machine would reach a listener.

    Raises:
        OSError: the kernel does not say.
    """
    kernel.send(b"".join(_question(port) for port in ports))
    found = set()
    for _ in ports:
        answer = kernel.recv(1 << 12)
        _, kind, _, port, _ = HEAD.unpack_from(answer)
        if kind == BY_FAMILY:
            found.add(port)
        elif kind != ERROR or ERRNO.unpack_from(answer, HEAD.size)[0] != -errno.ENOENT:
            raise OSError("sock_diag is not supported")
    return found


def _question(port: int) -> bytes:
    """Asks for the listener of a port, which is the number of the answer as well."""
    wanted = WANTED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, LISTENING)
    body = wanted + SOCKET.pack(port, 0, socket.inet_aton(LOOPBACK)) + ANY
    return HEAD.pack(HEAD.size + len(body), BY_FAMILY, REQUEST, port, 0) + body


_watch = PortWatch()


def wake_at(endpoint: Endpoint) -> threading.Event | None:
    """What is set once something listens there; None if it is not an address of this machine."""
    return _watch.event(endpoint.port) if endpoint.host == LOOPBACK else None
