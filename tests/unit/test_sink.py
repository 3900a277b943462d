"""The sink of load tests notes when a request began."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from loadtests import sink


class Clock:
    """Tells a later second each time it is asked."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now

    def time(self) -> float:
        return self.now + 1000


class Wire(asyncio.Transport):
    """Takes what is sent."""

    def write(self, data: Any) -> None:
        """Nothing is read back."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The sink's own."""
    made = Clock()
    monkeypatch.setattr(sink, "time", made)
    return made


def event(number: int) -> bytes:
    """A delivery."""
    data = {"lane": "a", "number": number, "due": 1.0, "sent": 2.0}
    body = json.dumps({"data": data}).encode()
    return b"POST /load HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def test_a_request_begins_with_its_first_bytes(clock: Clock) -> None:
    """However many pieces it comes in, and however long the last one takes."""
    noted = sink.Sink("load")
    connection = sink.Connection(noted)
    connection.connection_made(Wire())
    text = event(1)
    for piece in (text[:1], text[1:30], text[30:]):
        connection.data_received(piece)
        clock.now += 10

    connection.data_received(event(2))

    entered = {row[2]: row[-1] for row in noted.received}
    assert {1: 101.0, 2: 132.0} == entered
