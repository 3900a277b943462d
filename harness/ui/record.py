"""The messages to the page, numbered, of which the last ones are kept."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MOST = 2000
"""The number of messages that are kept, at most."""

LARGEST = 8 * 1024 * 1024
"""The number of bytes of the messages that are kept, at most; the last one is kept in any case."""


@dataclass(frozen=True)
class Message:
    """A message to the page.

    Attributes:
        number: its cursor; numbers rise by one. None if it is not to be continued from.
        kind: what it is about, the name of the server-sent event.
        text: its data, as one line of JSON.
    """

    number: int | None
    kind: str
    text: str

    def sent(self) -> bytes:
        """The message in the format of server-sent events."""
        cursor = "" if self.number is None else f"id: {self.number}\n"
        return f"{cursor}event: {self.kind}\ndata: {self.text}\n\n".encode()


def message(number: int | None, kind: str, data: Any) -> Message:
    """A message with JSON data."""
    # Without non-ASCII characters there is no surrogate that UTF-8 could not encode.
    return Message(number, kind, json.dumps(data, separators=(",", ":"), default=str))


class Record:
    """The last messages. Each reader has its own cursor, so none waits for another.

    What falls out is not kept for a slow reader, who has to begin again.

    Args:
        most: the number of messages that are kept.
        largest: the number of bytes that are kept.
    """

    def __init__(self, most: int = MOST, largest: int = LARGEST) -> None:
        self._most = most
        self._largest = largest
        self._lock = threading.Lock()
        self._kept: deque[Message] = deque()
        self._bytes = 0
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the last message; 0 if there was none."""
        return self._last

    def append(self, kind: str, data: Any) -> None:
        """Add a message."""
        with self._lock:
            made = message(self._last + 1, kind, data)
            self._last += 1
            self._kept.append(made)
            self._bytes += len(made.text)
            while len(self._kept) > self._most or (
                self._bytes > self._largest and len(self._kept) > 1
            ):
                self._bytes -= len(self._kept.popleft().text)

    def after(self, cursor: int) -> Sequence[Message] | None:
        """The messages after a cursor; None if it is unknown, or some of them are not kept."""
        with self._lock:
            missing = self._last - cursor
            if missing < 0 or missing > len(self._kept):
                return None
            return list(self._kept)[len(self._kept) - missing :] if missing else ()
