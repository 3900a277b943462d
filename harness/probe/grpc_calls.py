"""Reads along on a connection by which an app asks its sidecar by gRPC.

It also runs in containers, so it needs only hpack, hyperframe, the inbox's program and no code of
the harness. Requests to the state API leave a line in the record; all others are passed on
unrecorded.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpack import Decoder, HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    RstStreamFrame,
)

if TYPE_CHECKING or __package__:
    from harness.probe.inbox_server import BODY_LIMIT, UNRECORDED
else:
    from inbox_server import BODY_LIMIT, UNRECORDED  # in the same folder, without the harness

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends before its first frame."""

HEAD = 9
"""Bytes of the head of a frame."""

SERVICE = "/dapr.proto.runtime.v1.Dapr/"
"""How the path of each request to a sidecar begins."""

METHODS = (
    "SaveState", "GetState", "GetBulkState", "DeleteState", "DeleteBulkState",
    "ExecuteStateTransaction",
)  # fmt: skip
"""What is recorded."""

PATHS = frozenset(f"{SERVICE}{each}" for each in METHODS)

TABLE = 1024 * 1024
"""Bytes of a table of headers that a peer may ask for; what it has asked for is not looked at."""

ERRORS = (HPACKError, HyperframeError, UnicodeError)
"""What a connection raises that is not HTTP/2."""

Headers = dict[str, str]


@dataclass
class Request:
    """A request to the state API without a complete response.

    Attributes:
        status: the code of gRPC; None before it is known.
    """

    path: str
    headers: Headers
    at: float = field(default_factory=time.monotonic)
    time: int = field(default_factory=time.time_ns)
    sent: bytearray = field(default_factory=bytearray)
    got: bytearray = field(default_factory=bytearray)
    status: int | None = None

    def row(self) -> dict[str, Any]:
        """A record line: the request, and as much of the response as there is."""
        return {
            "at": self.at,
            "time": self.time,
            "took": time.monotonic() - self.at,
            "grpc": self.path,
            "headers": self.headers,
            "sent": base64.b64encode(self.sent).decode(),
            "got": base64.b64encode(self.got).decode(),
            "status": self.status,
        }


class Frames:
    """The frames of one direction, with whole blocks of headers.

    Args:
        preface: what comes before the first one.
    """

    def __init__(self, preface: bytes = b"") -> None:
        self._left = bytearray()
        self._preface = preface
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = TABLE
        self._block: HeadersFrame | None = None

    def read(self, data: bytes) -> Iterator[tuple[Frame, Headers]]:
        """The frames that are complete now; headers are those of a `HeadersFrame`."""
        self._left += data
        if self._preface and len(self._left) >= len(self._preface):
            if not self._left.startswith(self._preface):
                raise HyperframeError("no HTTP/2")
            del self._left[: len(self._preface)]
            self._preface = b""
        while not self._preface and len(self._left) >= HEAD:
            frame, length = Frame.parse_frame_header(memoryview(bytes(self._left[:HEAD])))
            if len(self._left) < HEAD + length:
                return
            frame.parse_body(memoryview(bytes(self._left[HEAD : HEAD + length])))
            del self._left[: HEAD + length]
            yield from self._whole(frame)

    def _whole(self, frame: Frame) -> Iterator[tuple[Frame, Headers]]:
        if isinstance(frame, HeadersFrame):
            self._block = frame
        elif isinstance(frame, ContinuationFrame) and self._block is not None:
            self._block.data += frame.data
        else:
            yield frame, {}
            return
        if "END_HEADERS" in frame.flags:
            block, self._block = self._block, None
            # Every block changes the table, also one that nobody looks at.
            found = self._decoder.decode(block.data, raw=True)
            yield block, {bytes(k).decode("latin-1"): bytes(v).decode("latin-1") for k, v in found}


class GrpcConversation:
    """Reads along on one connection.

    Args:
        opened: is told of each request when it begins, with what identifies it and its time.
        closed: is told of each request with its line of the record when it has ended.
    """

    def __init__(
        self,
        opened: Callable[[int, float], None],
        closed: Callable[[int, dict[str, Any]], None],
    ) -> None:
        self._opened = opened
        self._closed = closed
        self._asked = Frames(PREFACE)
        self._answered = Frames()
        self._open: dict[int, Request] = {}
        self._readable = True

    def from_app(self, data: bytes) -> None:
        """What the app sent; nothing if it will send no more."""
        self._hear(self._asked, data, self._request)

    def from_sidecar(self, data: bytes) -> None:
        """What the sidecar sent; nothing if it will send no more."""
        self._hear(self._answered, data, self._response)

    def end(self) -> None:
        """The connection has ended, or cannot be read any further."""
        self._readable = False
        for stream in [*self._open]:
            self._finish(stream)

    def _hear(self, frames: Frames, data: bytes, take: Callable[[Frame, Headers], None]) -> None:
        if not self._readable:
            return
        try:
            for frame, headers in frames.read(data):
                take(frame, headers)
        except ERRORS:
            self.end()

    def _request(self, frame: Frame, headers: Headers) -> None:
        stream = frame.stream_id
        path = headers.get(":path", "")
        if path in PATHS:
            kept = {k: v for k, v in headers.items() if not k.startswith(":") and k != UNRECORDED}
            made = self._open[stream] = Request(path, kept)
            self._opened(id(made), made.at)
        elif isinstance(frame, DataFrame) and stream in self._open:
            _add(self._open[stream].sent, frame)
        elif isinstance(frame, RstStreamFrame) and stream in self._open:
            self._finish(stream)

    def _response(self, frame: Frame, headers: Headers) -> None:
        stream = frame.stream_id
        if stream not in self._open:
            return
        if isinstance(frame, DataFrame):
            _add(self._open[stream].got, frame)
        if code := headers.get("grpc-status", ""):
            self._open[stream].status = int(code) if code.isdigit() else None
        if isinstance(frame, RstStreamFrame) or "END_STREAM" in frame.flags:
            self._finish(stream)

    def _finish(self, stream: int) -> None:
        made = self._open.pop(stream)
        self._closed(id(made), made.row())


def _add(message: bytearray, frame: DataFrame) -> None:
    message += frame.data[: BODY_LIMIT - len(message)]
