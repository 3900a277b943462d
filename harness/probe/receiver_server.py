"""Receives what a system sends out: HTTP requests and mail. A separate program.

    python receiver_server.py HTTP_HOST:PORT SMTP_HOST:PORT|- RECORD_FILE

Every request gets the response 202 and every mail is accepted. Each leaves one line in the record,
which has the same format and control paths as the inbox's. A mail is recorded as a ``MAIL`` to the
address of its first recipient, and its body is JSON.

Variables make it require credentials: RECEIVER_USERNAME and RECEIVER_PASSWORD of mail,
RECEIVER_TOKEN of requests; RECEIVER_CERTIFICATE is a PEM file with which it requires STARTTLS.

The body of a line is limited, so a large batch of spans becomes several lines, and what a reporter
has compressed is recorded as text.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import hmac
import json
import os
import ssl
import sys
import zlib
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import h11
from inbox_server import (  # type: ignore[import-not-found]  # in the same folder at run time
    BODY_LIMIT,
    SPANS,
    Answer,
    Proxy,
    address_of,
    row_of,
)

VARIABLE = "RECEIVER_"

UNPACKED = 16 * 1024 * 1024
"""Bytes of a batch of spans after it is decompressed, at most."""

TAGS, LONGEST = 100, 4000
"""What is recorded of a span that does not fit into a line: the number of tags, and characters of
each text."""


class Api(Proxy):  # type: ignore[misc]  # what it extends has no types at run time
    """Responds 202, or 401 to a request without the token, if there is one."""

    def __init__(self, record: Path, token: str) -> None:
        super().__init__(None, record)
        self._token = token

    async def _forward(self, request: h11.Request, body: bytes) -> Answer:
        given = dict(request.headers).get(b"authorization", b"")
        if self._token and not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            wrong = "another token" if given else "no bearer token"
            return Answer(401, [], f"unauthorized: {wrong}".encode())
        return await super()._forward(request, body)

    async def _delivered(self, request: h11.Request, body: bytes, row: dict[str, Any]) -> Answer:
        if row["path"] != SPANS:
            return await super()._delivered(request, body, row)
        encoding = dict(request.headers).get(b"content-encoding", b"")
        first, *more = lines_of(unpacked(body) if encoding == b"gzip" else body)
        row["body"] = first
        answer = await super()._delivered(request, body, row)
        for part in more:
            self.note({**row, "body": part})
        return answer

    def note(self, row: dict[str, Any]) -> None:
        """Add a line to the record, without the token."""
        if self._token:
            row["headers"].pop("authorization", None)
        super().note(row)


def unpacked(body: bytes) -> bytes:
    """A gzip body, decompressed; as it is, if it is none or would become too large."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        found = unpack.decompress(body, UNPACKED)
    except zlib.error:
        return body
    return found if unpack.eof else body


def lines_of(body: bytes) -> list[str]:
    """A batch of spans as JSON texts that are short enough for a line each.

    What is no batch is cut, as other bodies are.
    """
    if len(body) > BODY_LIMIT:
        try:
            spans = json.loads(body)
        except (ValueError, RecursionError):
            spans = None
        if isinstance(spans, list):
            return [f"[{each}]" for each in _parts(map(_text, spans))]
    return [body[:BODY_LIMIT].decode("utf-8", "replace")]


def _parts(texts: Iterator[str]) -> Iterator[str]:
    """Texts joined by commas, as many as fit into a line."""
    kept: list[str] = []
    size = 0
    for text in texts:
        if kept and size + len(text) > BODY_LIMIT:
            yield ",".join(kept)
            kept, size = [], 0
        kept.append(text)
        size += len(text)
    yield ",".join(kept)


def _text(span: Any) -> str:
    """A span as JSON, which is cut if it does not fit into a line."""
    text = json.dumps(span)
    return text if len(text) <= BODY_LIMIT else json.dumps(_cut(span, levels=3))


def _cut(value: Any, levels: int) -> Any:
    """A value with texts and objects of limited size; what is nested deeper than a span is left
    out."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    if isinstance(value, dict) and levels:
        fields = list(value.items())[:TAGS]
        return {name[:LONGEST]: _cut(each, levels - 1) for name, each in fields}
    return None if isinstance(value, dict | list) else value


class Mails:
    """Writes each mail to the record; a handler for aiosmtpd."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it by this name
        """One mail, with its recipients from the SMTP envelope."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        body = message.get_body(("html", "plain"))
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": str(message["subject"] or ""),
            "text": body.get_content().strip() if body else "",
            "headers": {name: str(value) for name, value in message.items()},
        }
        self._proxy.note(row_of("MAIL", envelope.rcpt_tos[0], json.dumps(mail).encode()))
        return "250 taken"


def session_of(mails: Mails, given: dict[str, str]) -> Callable[[], asyncio.Protocol]:
    """Makes the server's side of a connection, with the credentials and certificate given."""
    from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

    certificate = given.get("CERTIFICATE", "")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
    if context is not None:
        context.load_cert_chain(certificate)
    expected = [given.get(name, "").encode() for name in ("USERNAME", "PASSWORD")]

    def check(_server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
        seen = (data.login, data.password) if isinstance(data, LoginPassword) else (b"", b"")
        same = [hmac.compare_digest(*pair) for pair in zip(seen, expected, strict=True)]
        return AuthResult(success=all(same), handled=False)

    required = bool(given.get("USERNAME"))
    return lambda: SMTP(
        mails,
        tls_context=context,
        require_starttls=context is not None,
        authenticator=check if required else None,
        auth_required=required,
        auth_require_tls=context is not None,
    )


async def main(http: str, smtp: str, record: Path, given: dict[str, str]) -> None:
    """Serve until ended."""
    proxy = Api(record, given.get("TOKEN", ""))
    async with contextlib.AsyncExitStack() as servers:
        if smtp != "-":
            session = session_of(Mails(proxy), given)
            loop = asyncio.get_running_loop()
            await servers.enter_async_context(await loop.create_server(session, *address_of(smtp)))
        # Last: a check of this port then knows that both are there.
        server = await asyncio.start_server(proxy.serve, *address_of(http))
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        found = {
            name.removeprefix(VARIABLE): value
            for name, value in os.environ.items()
            if name.startswith(VARIABLE)
        }
        asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), found))
