"""Commands to a Redis server, without a client library.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from harness.core.endpoint import Endpoint

Reply = str | int | None | list["Reply"] | Exception
"""What a command is answered with; an exception if the server rejected it."""

ANSWERING = 2.0
"""Seconds to wait for a reply."""


class Rejected(Exception):
    """The server's error reply."""


@dataclass(frozen=True)
class RedisAccess:
    """Where a server is, and what it requires.

    Attributes:
        endpoint: its address.
        password: "" without one.
        username: "" for the default user.
        database: its number.
        errors: what becomes of bytes that are not UTF-8, as `bytes.decode` has it;
            ``surrogateescape`` keeps them.
    """

    endpoint: Endpoint
    password: str = field(default="", repr=False)
    username: str = ""
    database: str = "0"
    errors: str = "replace"

    def ask(self, *commands: Sequence[str]) -> list[Reply]:
        """Send commands over one connection, return their replies.

        Raises:
            OSError: the server does not respond.
            Rejected: it does not accept the credentials.
        """
        first: list[Sequence[str]] = []
        if self.password:
            first.append(("AUTH", *([self.username] if self.username else []), self.password))
        first.append(("SELECT", self.database))
        address = (self.endpoint.host, self.endpoint.port)
        with (
            socket.create_connection(address, ANSWERING) as opened,
            opened.makefile("rb") as replies,
        ):
            sent = (_encoded(words, self.errors) for words in (*first, *commands))
            opened.sendall(b"".join(sent))
            found = [_read(replies, self.errors) for _ in (*first, *commands)]
        for each in found[: len(first)]:
            if isinstance(each, Exception):
                raise each
        return found[len(first) :]


def _encoded(words: Iterable[str], errors: str) -> bytes:
    kept = errors if errors == "surrogateescape" else "strict"
    parts = [word.encode("utf-8", kept) for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def _read(replies: BinaryIO, errors: str) -> Reply:
    line = replies.readline().rstrip(b"\r\n").decode()
    if not line:
        raise ConnectionError("the server hung up")
    kind, text = line[0], line[1:]
    if kind == "+":
        return text
    if kind == "-":
        return Rejected(text)
    if kind == ":":
        return int(text)
    if int(text) < 0:
        return None
    if kind == "$":
        return replies.read(int(text) + 2)[:-2].decode("utf-8", errors)
    return [_read(replies, errors) for _ in range(int(text))]
