"""A server that stands still for STALL seconds at the end of every PERIOD; a program of its own.

python stall_server.py HOST:PORT PERIOD STALL
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import ClassVar

from harness.load.generate.null_server import Null, serve

PERIOD, STALL = 4.0, 0.5


class Stalling(Null):
    """Answers at once, or when the stall is over, with the moment of it (``time.monotonic``)."""

    waiting: ClassVar[list[Stalling]] = []

    def answer(self) -> None:
        """What is said, and when."""
        into = time.monotonic() % PERIOD
        if into < PERIOD - STALL and not self.waiting:
            self._say()
            return
        if not self.waiting:
            asyncio.get_running_loop().call_later(PERIOD - into, self._go_on)
        self.waiting.append(self)

    @classmethod
    def _go_on(cls) -> None:
        """Who came first is answered first."""
        for each in cls.waiting:
            each._say()
        cls.waiting.clear()

    def _say(self) -> None:
        moment = b"%f" % time.monotonic()
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(moment)
        self._transport.write(head + moment)


if __name__ == "__main__":
    own, _, number = sys.argv[1].rpartition(":")
    PERIOD, STALL = float(sys.argv[2]), float(sys.argv[3])
    asyncio.run(serve(own, int(number), Stalling))
