"""Servers that bindings speak to: one of HTTP, which tells what it was asked, and one of mail."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class _Verbs(BaseHTTPRequestHandler):
    """Answers with the verb of the request."""

    def do_GET(self) -> None:
        """GET, or another; with the path /headers, with the headers."""
        headers = dict(self.headers.items()) if self.path == "/headers" else None
        body = json.dumps(headers or self.command).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """POST."""
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def verb_server() -> Iterator[str]:
    """The address of a server that tells the verb it was called by, or the headers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Verbs)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mailbox:
    """What a mail server took.

    Attributes:
        came: the text of each mail, with the credentials that it was sent with.
        mails: each of them, with its headers.
    """

    def __init__(self) -> None:
        self.came: list[tuple[str, tuple[str, str] | None]] = []
        self.mails: list[EmailMessage] = []
        self.port = 0

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        assert isinstance(envelope.content, bytes)
        text = envelope.content.decode().split()[-1]
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        self.came.append((text, session.auth_data))
        return "250 OK"


def _login(*request: Any) -> AuthResult:
    """Whoever logs in may."""
    data: LoginPassword = request[-1]
    return AuthResult(success=True, auth_data=(data.login.decode(), data.password.decode()))


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A server that offers a login, and takes mail without one."""
    box = Mailbox()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        box.port = server.getsockname()[1]
        ready, ended = Event(), asyncio.Event()

        async def serve() -> None:
            loop = asyncio.get_running_loop()
            ends.append(lambda: loop.call_soon_threadsafe(ended.set))
            async with await loop.create_server(
                lambda: SMTP(box, authenticator=_login, auth_require_tls=False), sock=server
            ):
                ready.set()
                await ended.wait()

        ends: list[Callable[[], object]] = []
        thread = Thread(target=asyncio.run, args=(serve(),), daemon=True)
        thread.start()
        ready.wait()
        try:
            yield box
        finally:
            ends[0]()
            thread.join()
