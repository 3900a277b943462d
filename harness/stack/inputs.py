"""What a test does to its stack, in the order of time: what a replay does again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.ready.loopback import SIGNED

if TYPE_CHECKING:
    import httpx

Kind = Literal["call", "request", "node", "fault", "clock", "resources", "record"]

MOST = 5000
"""The number of inputs that are kept: the first ones."""

LARGEST = 16 * 1024 * 1024
"""Bytes of what was sent and answered that are kept."""

ANSWER = 16 * 1024
"""Bytes of each answer that are kept."""

OF_CLIENT = frozenset(
    ("host", "accept", "accept-encoding", "connection", "user-agent", "content-length",
     "transfer-encoding", "dapr-api-token")
)  # fmt: skip
"""The headers that each client sets itself."""


@dataclass
class Input:
    """Something that a test has done.

    Attributes:
        at: when it began, on ``time.monotonic``.
        kind: ``call`` of a sidecar, ``request`` to an app, ``node`` for an operation on a node,
            ``fault`` for a rule of an inbox, ``clock``, ``resources``.
        target: the node or app; "" if there is none.
        what: the operation, such as ``POST`` or ``kill``.
        given: its arguments; what was sent is bytes, under ``content``.
        took: seconds until it was complete; None if it was not.
        answer: the status, ``etag`` and ``content`` of a response.
    """

    at: float
    kind: Kind
    target: str
    what: str
    given: Mapping[str, Any] = field(default_factory=dict)
    took: float | None = None
    answer: dict[str, Any] = field(default_factory=dict)


class Inputs:
    """The inputs of a world, as far as they are made through it.

    Attributes:
        lost: how many could not be kept.
        moment: virtual time when the world began, in nanoseconds since the epoch; 0 in real time.
    """

    def __init__(self) -> None:
        self.lost = self.moment = 0
        self._found: list[Input] = []
        self._unread: list[tuple[Input, httpx.Response]] = []
        self._size = 0

    def all(self) -> Sequence[Input]:
        """The inputs, in the order in which they began."""
        self._read_answers()
        return sorted(self._found, key=lambda each: each.at)

    @contextmanager
    def doing(self, kind: Kind, target: str, what: str, **given: Any) -> Iterator[None]:
        """Keep what is done within the block, also if it fails."""
        made = Input(time.monotonic(), kind, target, what, given)
        self._keep(made, len(str(given)))
        try:
            yield
        finally:
            made.took = time.monotonic() - made.at

    def called(
        self, app: str, request: httpx.Request, answer: httpx.Response | None, at: float, *,
        took: float, time: int,
    ) -> None:  # fmt: skip
        """Keep a call of the sidecar of an app; see `Noted.note` for the arguments."""
        del time
        self._exchanged("call", app, request, answer, at=at, took=took)

    def requested(
        self, node: str, request: httpx.Request, answer: httpx.Response | None, at: float,
        took: float,
    ) -> None:  # fmt: skip
        """Keep a request to an app."""
        self._exchanged("request", node, request, answer, at=at, took=took)

    def _exchanged(
        self, kind: Kind, target: str, request: httpx.Request, answer: httpx.Response | None,
        *, at: float, took: float,
    ) -> None:  # fmt: skip
        import httpx

        self._read_answers()
        try:
            content: bytes | None = request.content
        except httpx.RequestNotRead:
            content = None  # it was streamed
        left_out = OF_CLIENT.union(request.extensions.get(SIGNED, ()))
        headers = {name: value for name, value in request.headers.items() if name not in left_out}
        given = {"path": request.url.raw_path.decode(), "headers": headers, "content": content}
        made = Input(at, kind, target, request.method, given, took)
        if self._keep(made, len(content or b"")) and answer is not None:
            made.answer = {"status": answer.status_code, "etag": answer.headers.get("etag", "")}
            self._unread.append((made, answer))

    def _keep(self, made: Input, size: int) -> bool:
        if len(self._found) >= MOST or self._size + size > LARGEST:
            self.lost += 1
            return False
        self._size += size
        self._found.append(made)
        return True

    def _read_answers(self) -> None:
        """Take what the test has read of the responses; a stream that is open is left alone."""
        unread, self._unread = self._unread, []
        for made, response in unread:
            if not response.is_closed:
                self._unread.append((made, response))
            elif (content := _content(response)) and self._size + len(content) <= LARGEST:
                self._size += len(content)
                made.answer["content"] = content


def _content(response: httpx.Response) -> bytes:
    import httpx

    try:
        found = response.content
    except httpx.ResponseNotRead:
        return b""
    return found if len(found) <= ANSWER else b""
