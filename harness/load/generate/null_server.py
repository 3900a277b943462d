"""A server that does nothing, to measure the generator's own cost. A separate program.

    python null_server.py HOST:PORT

It responds to each HTTP request with 204 as soon as it has read it, and parses only what it must.
The latency measured against it is included in every other figure.
"""

from __future__ import annotations

import asyncio
import re
import sys

ANSWER = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Null(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to every complete request."""
        self._read += data
        while (end := self._read.find(END)) >= 0:
            found = LENGTH.search(self._read, 0, end)
            whole = end + len(END) + (int(found.group(1)) if found else 0)
            if len(self._read) < whole:
                return
            self._read = self._read[whole:]
            self.answer()

    def answer(self) -> None:
        """The response to a request."""
        self._transport.write(ANSWER)


async def serve(host: str, port: int, protocol: type[Null] = Null) -> None:
    """Serve until stopped."""
    server = await asyncio.get_running_loop().create_server(protocol, host, port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    own, _, number = sys.argv[1].rpartition(":")
    asyncio.run(serve(own, int(number)))
