"""Reads what a recorder keeps: an inbox, a receiver, or what records an app's calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import httpx

from harness.core.endpoint import Endpoint
from harness.core.errors import ProbeError
from harness.probe.inbox_server import CHUNK, OPEN, RECORD, SIZE
from harness.ready.local_http import UNANSWERED, Got, get
from harness.ready.loopback import ask

T = TypeVar("T")


class RecordReader(Generic[T]):
    """The record of one recorder, read from a position on. Every method blocks.

    Args:
        recorder: the address at which its record can be read.
        start: the byte at which to start reading.
        read_row: makes an item of one line.

    Raises (in every method):
        ProbeError: the recorder does not respond.
    """

    def __init__(
        self, recorder: Endpoint, start: int, read_row: Callable[[dict[str, Any]], T]
    ) -> None:
        self.recorder = recorder
        self._start = start
        self._position = start
        self._read_row = read_row

    @property
    def size(self) -> int:
        """The bytes that were read so far."""
        return self._position - self._start

    def read(self) -> Iterator[T]:
        """What was recorded since the last call."""
        size = CHUNK
        while size >= CHUNK - 1:
            content = self._following()
            size = len(content)
            for line in content.splitlines(keepends=True):
                # A line without its end is still being written, or continues in the next chunk.
                if line.endswith(b"\n"):
                    self._position += len(line)
                    yield self._read_row(json.loads(line))

    def _following(self) -> bytes:
        """What follows the last line that was read.

        If no line ends there, the record is another one: that of a pod which has replaced the
        recorder's.
        """
        if self._position:
            found = _recorded(self.recorder, self._position - 1).content
            if found.startswith(b"\n"):
                return found[1:]
            self._position = self._start = 0
        return _recorded(self.recorder, 0).content

    def oldest_open(self) -> float:
        """When the oldest request without a response was sent; infinite if there is none."""
        return float(_recorded(self.recorder, sys.maxsize).headers[OPEN])


def size_of_record(recorder: Endpoint) -> int:
    """The number of bytes that were recorded so far.

    Raises:
        ProbeError: the recorder does not respond.
    """
    return int(_recorded(recorder, sys.maxsize).headers[SIZE])


def recent_start(recorder: Endpoint) -> int:
    """The byte at which the first whole line of the last `CHUNK` bytes of a record begins.

    Raises:
        ProbeError: the recorder does not respond.
    """
    position = size_of_record(recorder) - CHUNK
    if position <= 0:
        return 0
    content = _recorded(recorder, position).content
    # Without the end of a line, the chunk is part of a longer one.
    return position + (content.find(b"\n") + 1 or len(content))


def ask_recorder(recorder: Endpoint, method: str, path: str, json: object = None) -> httpx.Response:
    """Send a request to the recorder itself.

    Raises:
        ProbeError: it does not respond.
    """
    try:
        return ask(method, f"{recorder.http}{path}", json=json).raise_for_status()
    except httpx.HTTPError as error:
        last = f"{type(error).__name__}: {error}"
        raise _unanswered(recorder, f"{method} {path}", last) from error


def decoded(body: str) -> Any:
    """A body as JSON if it is that, otherwise as text; None if it is empty."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return body


def _recorded(recorder: Endpoint, start: int) -> Got:
    # Each test begins with it for each recorder; httpx needs ten times the processor time.
    path = f"{RECORD}?from={start}"
    try:
        found = get(f"{recorder.http}{path}")
    except UNANSWERED as error:
        last = f"{type(error).__name__}: {error}"
        raise _unanswered(recorder, f"GET {path}", last) from error
    if not found.is_success:
        raise _unanswered(recorder, f"GET {path}", f"status {found.status_code}: {found.text}")
    return found


def _unanswered(recorder: Endpoint, request: str, last: str) -> ProbeError:
    return ProbeError(
        f"the recorder at {recorder} does not answer {request}",
        last=last,
        hint="was its node stopped? look at its log",
    )
