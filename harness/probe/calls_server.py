"""The recorder between an app and the HTTP port of its sidecar, a separate program.

    python calls_server.py LISTEN_HOST:PORT DAPRD_HOST:PORT READ_HOST:PORT RECORD_FILE
                           [GRPC_LISTEN_HOST:PORT DAPRD_GRPC_HOST:PORT]

It also runs in containers, so it needs only h11, the inbox's program and no code of the harness.

Each connection of the app gets one to the sidecar, and bytes pass unchanged in both directions. A
parser reads along, and each call leaves one JSON line in the record, which has the same format and
control path as the inbox's, on a port of its own. What is not HTTP/1.1 is passed on unrecorded.
With the last two addresses, calls by gRPC are passed on and heard, too, which needs hpack and
hyperframe. While the sidecar refuses connections, so does this program: it resets those of the app.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import h11

if TYPE_CHECKING or __name__ != "__main__":
    from harness.probe.inbox_server import (
        BODY_LIMIT,
        RECORD,
        UNRECORDED,
        Answer,
        Proxy,
        address_of,
    )
else:
    from inbox_server import (  # in the same folder, without the harness
        BODY_LIMIT,
        RECORD,
        UNRECORDED,
        Answer,
        Proxy,
        address_of,
    )

HEADERS_LIMIT = 1024 * 1024
"""The maximum number of bytes of a message's head that is recorded."""

PIECE = 65536
"""The number of bytes that are passed on at once, at most."""

VERSIONS = (b"1.0", b"1.1")
"""The versions of HTTP that can be read."""

Hear = Callable[[bytes], None]


class Recorder(Proxy):
    """Keeps the record, and lets it be read."""

    async def _answer(self, request: h11.Request, _body: bytes) -> Answer:
        path = request.target.decode()
        if path.startswith(RECORD):
            return self._recorded(path)
        return Answer(404, [], b"this port is for reading the record")


@dataclass
class Call:
    """A call without a complete response.

    Attributes:
        status: of the response; None before it begins.
    """

    method: str
    path: str
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)
    time: int = field(default_factory=time.time_ns)
    body: bytearray = field(default_factory=bytearray)
    status: int | None = None
    answer: bytearray = field(default_factory=bytearray)

    def row(self) -> dict[str, Any]:
        """A record line: the call, and as much of the response as there is."""
        # Nobody should find a system's secrets in a record of its calls.
        secret = "/secrets/" in self.path
        return {
            "at": self.at,
            "time": self.time,
            "took": time.monotonic() - self.at,
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
            "status": self.status,
            "answer": "" if secret else self.answer.decode("utf-8", "replace"),
        }


class Conversation:
    """Reads along on one connection.

    Args:
        recorder: receives each call when its response is complete, or will never be.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._calls: deque[Call] = deque()
        self._asked: Call | None = None
        self._request = _parser(h11.SERVER)
        self._response: h11.Connection | None = None
        self._readable = True

    def from_app(self, data: bytes) -> None:
        """What the app sent; nothing if it will send no more."""
        self._hear(data, self._read_request)

    def from_sidecar(self, data: bytes) -> None:
        """What the sidecar sent; nothing if it will send no more."""
        self._hear(data, self._read_response)

    def end(self) -> None:
        """The connection has ended, or cannot be read any further."""
        self._readable = False
        while self._calls:
            self._finish()

    def _hear(self, data: bytes, read: Hear) -> None:
        if not self._readable:
            return
        try:
            read(data)
        except h11.ProtocolError:
            self.end()

    def _read_request(self, data: bytes) -> None:
        self._request.receive_data(data)
        while True:
            event = self._request.next_event()
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data) and self._asked is not None:
                _add(self._asked.body, event)
            elif isinstance(event, h11.EndOfMessage):
                rest, _ = self._request.trailing_data
                self._request = _parser(h11.SERVER)
                if rest:
                    self._request.receive_data(rest)
            else:  # incomplete, or closed
                return

    def _begin(self, request: h11.Request) -> None:
        if request.http_version not in VERSIONS:
            raise h11.RemoteProtocolError("the beginning of HTTP/2")
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        headers.pop(UNRECORDED, None)
        call = Call(request.method.decode(), request.target.decode("latin-1"), headers)
        self._asked = call
        self._calls.append(call)
        self._recorder.open[id(call)] = call.at

    def _read_response(self, data: bytes) -> None:
        rest = data
        while self._calls:
            if self._response is None:
                self._response = _asked(self._calls[0].method)
            self._response.receive_data(rest)
            if not self._response_ended(self._response):
                return
            rest, ended = self._response.trailing_data
            self._response = None
            self._finish()
            if not rest or ended:
                return

    def _response_ended(self, parser: h11.Connection) -> bool:
        call = self._calls[0]
        while True:
            event = parser.next_event()
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                call.status = 101
                self.end()
                return False
            if isinstance(event, h11.Response):
                call.status = event.status_code
            elif isinstance(event, h11.Data):
                _add(call.answer, event)
            elif isinstance(event, h11.EndOfMessage):
                return True
            elif not isinstance(event, h11.InformationalResponse):  # incomplete, or closed
                return False

    def _finish(self) -> None:
        call = self._calls.popleft()
        del self._recorder.open[id(call)]
        with contextlib.suppress(OSError):  # a full disk does not stop the app
            self._recorder.note(call.row())


class Heard(Protocol):
    """Reads along on one connection."""

    def from_app(self, data: bytes) -> None:
        """What the app sent; nothing if it will send no more."""

    def from_sidecar(self, data: bytes) -> None:
        """What the sidecar sent; nothing if it will send no more."""

    def end(self) -> None:
        """The connection has ended."""


class Relay:
    """Passes bytes between an app and its sidecar.

    Args:
        daprd: the sidecar.
        hear: makes what reads along on a connection.
    """

    def __init__(self, daprd: tuple[str, int], hear: Callable[[], Heard]) -> None:
        self._daprd = daprd
        self._hear = hear

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the app."""
        try:
            from_daprd, to_daprd = await asyncio.open_connection(*self._daprd)
        except OSError:
            _reset(writer)
            return
        heard = self._hear()
        asking = asyncio.create_task(_pass_on(reader, to_daprd, heard.from_app))
        try:
            await _pass_on(from_daprd, writer, heard.from_sidecar)
        finally:
            asking.cancel()
            heard.end()
            to_daprd.close()
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Hear) -> None:
    """Pass on what comes until its end, which is passed on as well."""
    try:
        while data := await reader.read(PIECE):
            # First: who has received a response finds its call in the record.
            hear(data)
            writer.write(data)
            await writer.drain()
        hear(b"")
        writer.write_eof()
    except OSError:  # one of both has hung up
        writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Reset a connection, as a port does on which nothing listens."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _parser(role: type[h11.CLIENT] | type[h11.SERVER]) -> h11.Connection:
    return h11.Connection(role, max_incomplete_event_size=HEADERS_LIMIT)


def _asked(method: str) -> h11.Connection:
    """A parser of one response, to a request with this method: a HEAD's has no body."""
    made = _parser(h11.CLIENT)
    # Any request may have asked for another protocol.
    headers = [("host", "daprd"), ("upgrade", "any")]
    made.send(h11.Request(method=method, target="/", headers=headers))
    made.send(h11.EndOfMessage())
    return made


def _add(body: bytearray, event: h11.Data) -> None:
    body += event.data[: BODY_LIMIT - len(body)]


def _by_grpc(recorder: Recorder) -> Callable[[], Heard]:
    """Makes what reads along on connections by gRPC."""
    if TYPE_CHECKING or __name__ != "__main__":
        from harness.probe.grpc_calls import GrpcConversation
    else:
        from grpc_calls import GrpcConversation  # in the same folder, without the harness

    def closed(request: int, row: dict[str, Any]) -> None:
        del recorder.open[request]
        with contextlib.suppress(OSError):  # a full disk does not stop the app
            recorder.note(row)

    return partial(GrpcConversation, recorder.open.__setitem__, closed)


async def main(listen: str, daprd: str, read: str, record: str, *grpc: str) -> None:
    """Serve until ended."""
    recorder = Recorder(None, Path(record))
    ways: list[tuple[str, str, Callable[[], Heard]]] = [
        (listen, daprd, partial(Conversation, recorder))
    ]
    if grpc:
        ways.append((grpc[0], grpc[1], _by_grpc(recorder)))
    async with contextlib.AsyncExitStack() as opened:
        for own, its, hear in ways:
            serve = Relay(address_of(its), hear).serve
            await opened.enter_async_context(await asyncio.start_server(serve, *address_of(own)))
        # Last: a check of this port then knows that all are there.
        server = await asyncio.start_server(recorder.serve, *address_of(read))
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
