"""Wakes whoever waits for a port of this machine, as soon as something listens on it.

The kernel does not tell when a socket begins to listen, but it lists all that do in 50 microseconds
(sock_diag(7)). One thread asks for all ports that are waited for, every two milliseconds; to
connect to each of them as often would take the processor time that the programs need to start.
"""

from __future__ import annotations

import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from harness.core.deadline import Deadline, ticks
from harness.core.endpoint import LOOPBACK, Endpoint

EVERY = 0.002
"""Seconds between two looks; more where a look takes more than a tenth of it, of CPU time."""

SHARE = 10
THREAD = "listening ports"

SOCK_DIAG, BY_FAMILY, DUMP, DONE, ERROR = 4, 20, 0x301, 3, 2
"""From linux/netlink.h and linux/sock_diag.h."""

LISTENING = 1 << 10
"""The state TCP_LISTEN, as a bit."""

HEAD = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""


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
            None where the kernel does not list sockets.
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
        found = {*_listening(kernel, socket.AF_INET), *_listening(kernel, socket.AF_INET6)}
        with self._lock:
            for event, port in list(self._waiting.items()):
                if port in found:
                    del self._waiting[event]
                    event.set()
        return True


def _listening(kernel: socket.socket, family: int) -> Iterator[int]:
    """The ports on which something listens.

    Raises:
        OSError: the kernel does not say.
    """
    wanted = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, LISTENING)
    kernel.send(HEAD.pack(HEAD.size + len(wanted), BY_FAMILY, DUMP, 1, 0) + wanted)
    while True:
        data, at = kernel.recv(1 << 16), 0
        while at < len(data):
            size, kind, *_ = HEAD.unpack_from(data, at)
            if kind == DONE:
                return
            if kind == ERROR:
                raise OSError("sock_diag is not supported")
            # inet_diag_msg: family, state, timer, retransmits, then the port in network order.
            yield int.from_bytes(data[at + HEAD.size + 4 : at + HEAD.size + 6], "big")
            at += (size + 3) & ~3


_watch = PortWatch()


def wake_at(endpoint: Endpoint) -> threading.Event | None:
    """What is set once something listens there; None if it is not an address of this machine."""
    return _watch.event(endpoint.port) if endpoint.host == LOOPBACK else None
