"""Serves the page on a port of loopback."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from harness.core.errors import PortTaken
from harness.core.ports import LOOPBACK, free_port
from harness.ui.guard import Asgi

ENDING = 2
"""Seconds that open pages have to read the last message."""


LOGGERS = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class _Server(uvicorn.Server):
    """Leaves the process's signals alone: the command handles them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handler."""
        yield


def listening(port: int | None) -> socket.socket:
    """A socket that listens on loopback.

    Args:
        port: its number; any free one if None.

    Raises:
        PortTaken: another process listens there.
    """
    number = free_port() if port is None else port
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((LOOPBACK, number))
        made.listen()
    except OSError as error:
        made.close()
        raise PortTaken(
            f"the page cannot listen on port {number}",
            port=number,
            last=str(error),
            hint="choose another --port, or none",
        ) from None
    return made


@contextmanager
def serving(app: Asgi, listener: socket.socket) -> Iterator[None]:
    """Serve an application in a thread inside the ``with`` block, then close the listener."""
    with listener, _loggers_kept():
        server = _Server(_config(app))
        thread = threading.Thread(target=server.run, args=([listener],), name="page", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def _config(app: Asgi) -> uvicorn.Config:
    return uvicorn.Config(
        app, http="h11", loop="asyncio", ws="none", lifespan="off", log_config=None,
        log_level="critical",
        access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=ENDING,
    )  # fmt: skip


@contextmanager
def _loggers_kept() -> Iterator[None]:
    """Undo what uvicorn does to loggers of the whole process: apps in it may use them, too."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    known = [(each, each.level, [*each.handlers], each.propagate) for each in loggers]
    try:
        yield
    finally:
        for logger, level, handlers, propagate in known:
            logger.setLevel(level)
            logger.handlers, logger.propagate = handlers, propagate
