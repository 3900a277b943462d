"""Connections to ports in pods by the API server, as `kubectl port-forward` makes them."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from harness.kubernetes.bare_api import Server

PROTOCOL = "v4.channel.k8s.io"
"""Each message begins with the number of its channel."""

DATA, ERROR = b"\x00", b"\x01"
CHUNK = 1 << 16
NUMBER = 2
"""Bytes of the port with which the first message of each channel consists."""


def forward(server: Server, pod: str, port: int, outside: socket.socket) -> None:
    """Connect a socket to a port in a pod, until one of them is closed.

    Args:
        server: the API server.
        pod: the path of the pod.
        port: its number in the pod.
        outside: the connection of a client.

    Raises:
        OSError: the API server does not forward.
    """
    try:
        inside = _connected(server, f"{pod}/portforward?ports={port}")
    except WebSocketException as error:
        raise OSError(str(error)) from None
    with inside:
        thread = threading.Thread(target=_send, args=(outside, inside), daemon=True)
        thread.start()
        _receive(inside, outside)
        with contextlib.suppress(OSError):
            outside.shutdown(socket.SHUT_RDWR)
        thread.join()


def _connected(server: Server, path: str) -> ClientConnection:
    url = urlsplit(server.url)
    return connect(
        url._replace(scheme=url.scheme.replace("http", "ws")).geturl().rstrip("/") + path,
        ssl=server.context,
        additional_headers=server.headers,
        subprotocols=[PROTOCOL],  # type: ignore[list-item]  # a NewType of str
        # The API server is one that the user has named, as for every other request.
        proxy=None,
        compression=None,
        max_size=None,
        ping_interval=None,
    )


def _send(outside: socket.socket, inside: ClientConnection) -> None:
    """What the client sends; the protocol cannot tell that it sends no more and still listens."""
    with contextlib.suppress(OSError, WebSocketException):
        while data := outside.recv(CHUNK):
            inside.send(DATA + data)
    inside.close()


def _receive(inside: ClientConnection, outside: socket.socket) -> None:
    """What the pod sends, until it closes the connection or does not accept one."""
    begun: set[bytes] = set()
    with contextlib.suppress(OSError, WebSocketException):
        while True:
            message = inside.recv()
            data = message.encode() if isinstance(message, str) else message
            channel, rest = data[:1], data[1:]
            if channel not in begun:
                begun.add(channel)
                rest = rest[NUMBER:]
            if channel == ERROR and rest:
                return
            outside.sendall(rest)
