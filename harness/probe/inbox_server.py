"""The recording proxy between daprd and an app, a separate program.

    python inbox_server.py LISTEN_HOST:PORT APP_HOST:PORT RECORD_FILE

It also runs in containers, so it needs only h11 and no code of the harness.

Every request from daprd is forwarded to the app and back unchanged, and leaves one JSON line with
the request and the response. ``GET /__inbox__/record?from=N`` returns the record from byte N on,
and its size in a header. Rules sent to ``POST /__inbox__/rules`` respond to chosen deliveries with
an error instead: before the app has received them, or after it has done its work.
The proxy listens only while the app listens: otherwise daprd would take the app's port for open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11

CONTROL = "/__inbox__/rules"
RECORD = "/__inbox__/record"
SIZE = "inbox-size"
"""The header that contains the size of the record in bytes."""

OPEN = "inbox-open"
"""The header with the time of the oldest delivery without a response; ``inf`` if none."""

CHUNK = 8 * 1024 * 1024
"""The maximum number of bytes of the record in one response."""

IDLE = 1.0
"""Seconds to keep an idle connection to the app; servers close theirs after two or more."""

SPANS = "/api/v2/spans"
"""The path of a Zipkin collector for spans."""

BODY_LIMIT = 256 * 1024
"""The maximum number of recorded bytes of a body; forwarded bodies are never truncated."""

UNRECORDED = "dapr-api-token"
"""The header of calls that is not recorded."""


@dataclass
class Rule:
    """Respond to some deliveries with an error.

    Attributes:
        path: the prefix of the request's path.
        contains: text that the body must contain.
        times: how many deliveries are left to fail.
        status: the status of the response.
        after: whether the app does its work first (a lost acknowledgement).
        answer: the body of the response.
    """

    path: str
    contains: str = ""
    times: int = 1
    status: int = 500
    after: bool = False
    answer: str = "failed by the inbox"

    def hits(self, path: str, body: bytes) -> bool:
        """Whether this delivery is to fail; if so, it is counted."""
        wanted = path.startswith(self.path) and self.contains.encode() in body
        if wanted and self.times > 0:
            self.times -= 1
            return True
        return False


@dataclass
class Answer:
    """A complete response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Link:
    """A connection to the app; opening one for each delivery took longer than the delivery."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(h11.CLIENT)
        self.since = 0.0

    def is_open(self) -> bool:
        """Whether the app has not closed it, and is not about to."""
        closed = self.reader.at_eof() or self.reader.exception() is not None
        return not closed and time.monotonic() - self.since < IDLE


class Proxy:
    """Forwards, records and fails requests. Without an app, it responds 202 to all of them."""

    def __init__(self, app: tuple[str, int] | None, record: Path) -> None:
        self.app = app
        self.path = record
        self.record = open(record, "a", buffering=1, opener=_private)  # noqa: SIM115 - kept
        self.rules: list[Rule] = []
        self.idle: list[Link] = []
        self.open: dict[int, float] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from daprd, with any number of requests."""
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError):
            pass  # daprd hung up; there is no one to respond to
        finally:
            writer.close()

    async def _exchange(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        request, body = await _read_message(connection, reader)
        if not isinstance(request, h11.Request):
            return False
        answer = await self._answer(request, body)
        headers = [
            (name, value)
            for name, value in answer.headers
            if name.lower() not in (b"content-length", b"transfer-encoding", b"connection")
        ]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        writer.write(
            (connection.send(h11.Response(status_code=answer.status, headers=headers)) or b"")
            + (connection.send(h11.Data(data=answer.body)) or b"")
            + (connection.send(h11.EndOfMessage()) or b"")
        )
        await writer.drain()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, request: h11.Request, body: bytes) -> Answer:
        path = request.target.decode()
        if path == CONTROL:
            return self._control(request, body)
        if path.startswith(RECORD):
            return self._recorded(path)
        row = row_of(request.method.decode(), path, body)
        self.open[id(row)] = row["at"]
        try:
            return await self._delivered(request, body, row)
        finally:
            del self.open[id(row)]

    async def _delivered(self, request: h11.Request, body: bytes, row: dict[str, Any]) -> Answer:
        path = row["path"]
        rule = next((rule for rule in self.rules if rule.hits(path, body)), None)
        if rule is not None and not rule.after:
            answer = _failed(rule)
        else:
            answer = await self._forward(request, body)
            seen = answer.status
            if rule is not None:
                answer = _failed(rule)
        row |= {
            "took": time.monotonic() - row["at"],
            "headers": {name.decode(): value.decode("latin-1") for name, value in request.headers},
            "status": answer.status,
            "answer": answer.body[:BODY_LIMIT].decode("utf-8", "replace"),
            "failed": "" if rule is None else ("after" if rule.after else "before"),
            "app_status": seen if rule is None or rule.after else None,
        }
        row["headers"].pop("dapr-api-token", None)
        self.note(row)
        return answer

    def note(self, row: dict[str, Any]) -> None:
        """Add a line to the record."""
        self.record.write(json.dumps(row) + "\n")

    def _control(self, request: h11.Request, body: bytes) -> Answer:
        if request.method == b"POST":
            self.rules.append(Rule(**json.loads(body)))
        elif request.method == b"DELETE":
            self.rules.clear()
        rules = json.dumps([asdict(rule) for rule in self.rules]).encode()
        return Answer(200, [(b"content-type", b"application/json")], rules)

    def _recorded(self, path: str) -> Answer:
        position = int(parse_qs(urlsplit(path).query)["from"][0])
        size = self.path.stat().st_size
        oldest = min(self.open.values(), default=math.inf)
        told = [(SIZE.encode(), str(size).encode()), (OPEN.encode(), str(oldest).encode())]
        with self.path.open("rb") as file:
            file.seek(min(position, size))
            return Answer(200, told, file.read(CHUNK))

    async def _forward(self, request: h11.Request, body: bytes) -> Answer:
        if self.app is None:
            return Answer(202, [], b"")
        try:
            link = await self._link(self.app)
        except OSError as error:
            return Answer(502, [], f"the app cannot be reached: {error}".encode())
        headers = [(n, v) for n, v in request.headers if n.lower() != b"connection"]
        head = h11.Request(method=request.method, target=request.target, headers=headers)
        try:
            link.writer.write((link.http.send(head) or b"") + _sent_body(link.http, body))
            response, content = await _read_message(link.http, link.reader)
        except (OSError, h11.RemoteProtocolError) as error:
            return Answer(502, [], f"the app hung up: {error}".encode())
        finally:
            self._keep(link)
        assert isinstance(response, h11.Response)
        return Answer(response.status_code, list(response.headers.raw_items()), content)

    async def _link(self, app: tuple[str, int]) -> Link:
        """A recently used connection, or a new one."""
        while self.idle:
            link = self.idle.pop()
            if link.is_open():
                return link
            link.writer.close()
        return Link(*await asyncio.open_connection(*app))

    def _keep(self, link: Link) -> None:
        """Keep the connection for the next delivery, or close it if this one is incomplete."""
        if link.http.our_state is h11.DONE and link.http.their_state is h11.DONE:
            link.http.start_next_cycle()
            link.since = time.monotonic()
            self.idle.append(link)
        else:
            link.writer.close()


def _private(path: str, flags: int) -> int:
    """Open for the owner only: it contains bodies of events and mail."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def row_of(method: str, path: str, body: bytes) -> dict[str, Any]:
    """A record line: the current request, and the default response."""
    return {
        "at": time.monotonic(),
        "time": time.time_ns(),
        "took": 0.0,
        "method": method,
        "path": path,
        "headers": {},
        "body": body[:BODY_LIMIT].decode("utf-8", "replace"),
        "status": 202,
        "answer": "",
        "failed": "",
        "app_status": None,
    }


def _sent_body(connection: h11.Connection, body: bytes) -> bytes:
    data = (connection.send(h11.Data(data=body)) or b"") if body else b""
    return data + (connection.send(h11.EndOfMessage()) or b"")


async def _read_message(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> tuple[h11.Event | None, bytes]:
    """The head and the whole body of the next message; no head if the peer is done."""
    head: h11.Event | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request | h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return head, body
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return None, b""


def _failed(rule: Rule) -> Answer:
    kind = b"application/json" if rule.answer.startswith("{") else b"text/plain"
    return Answer(rule.status, [(b"content-type", kind)], rule.answer.encode())


async def main(listen: str, app: str, record: Path) -> None:
    """Serve until ended."""
    server = await asyncio.start_server(Proxy(address_of(app), record).serve, *address_of(listen))
    async with server:
        await server.serve_forever()


def address_of(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``."""
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
