"""A server that stands still for STALL seconds at the end of every PERIOD; a program of its own.

python stall_server.py HOST:PORT PERIOD STALL
"""

from __future__ import annotations

import asyncio
import sys
import time

from harness.load.null_server import Null, serve

PERIOD, STALL = 4.0, 0.5


class Stalling(Null):
    """Answers at once, or when the stall is over."""

    def answer(self) -> None:
        """What is said, and when."""
        into = time.monotonic() % PERIOD
        wait = PERIOD - into if into > PERIOD - STALL else 0.0
        if wait:
            asyncio.get_running_loop().call_later(wait, super().answer)
        else:
            super().answer()


if __name__ == "__main__":
    own, _, number = sys.argv[1].rpartition(":")
    PERIOD, STALL = float(sys.argv[2]), float(sys.argv[3])
    asyncio.run(serve(own, int(number), Stalling))
