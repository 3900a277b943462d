"""A scheduler with a clock that is moved from outside, a separate program.

    python -m harness.virtual_time.server LISTEN CONTROL ADVERTISED FILE SHOWN [START]

LISTEN and CONTROL are HOST:PORT of the gRPC service and of the clock, ADVERTISED is where sidecars
find this scheduler, FILE keeps jobs and time, SHOWN shows the time to apps, and START is the first
moment, as RFC 3339; without it, the present second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from harness.virtual_time.agenda import Agenda
from harness.virtual_time.civil import SECOND
from harness.virtual_time.connections import Target
from harness.virtual_time.control import Control
from harness.virtual_time.engine import Engine
from harness.virtual_time.messages import message
from harness.virtual_time.moves import Moves
from harness.virtual_time.published import Published
from harness.virtual_time.requests import target_of
from harness.virtual_time.service import Service, handlers
from harness.virtual_time.storage import File
from harness.virtual_time.words import moment_named

OPTIONS = (
    ("grpc.so_reuseport", 0),
    # daprd pings every few seconds, and gRPC would hang up on it after a while.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


def made(file: File, published: Published, start: str) -> tuple[Engine, Moves]:
    """The scheduler as the file has kept it, or a new one.

    Apps may have seen a later moment than was kept last: time that flows needs no scheduler.
    """
    first = moment_named(start) if start else time.time_ns() // SECOND * SECOND
    now = first if file.now is None else max(file.now, _shown(published))
    file.keep_now(now)
    agenda = Agenda(now, file)
    for entry in file.entries():
        agenda.restore(entry)
    engine = Engine(agenda, _target)
    moves = Moves(engine, file.keep_now, published)
    return engine, moves


def _shown(published: Published) -> int:
    try:
        return published.stopped()
    except ValueError:
        return 0


def _target(metadata: bytes) -> Target:
    return target_of(message("JobMetadata").FromString(metadata))


async def main(
    listen: str, control: str, advertised: str, files: tuple[Path, Path], start: str = ""
) -> None:
    """Serve until ended.

    Args:
        files: what keeps jobs and time, and what shows the time to apps.
    """
    kept, shown = files
    with (
        contextlib.closing(File(kept)) as file,
        contextlib.closing(Published(shown)) as published,
    ):
        engine, moves = made(file, published, start)
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers([handlers(Service(engine, moves, advertised))])
        server.add_insecure_port(listen)
        await server.start()

        def facts() -> dict[str, Any]:
            agenda = engine.agenda
            waiting = sorted(entry.name for entry in agenda.waiting())
            return {
                "next": agenda.next_due(),
                "jobs": len(agenda),
                "waiting": waiting,
                "speed": moves.speed,
            }

        host, _, port = control.rpartition(":")
        # Last: a check of this port then knows that both are there.
        clock = await asyncio.start_server(Control(moves, facts).serve, host, int(port))
        try:
            await clock.serve_forever()
        finally:
            await server.stop(None)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        listen, control, advertised, kept, shown, *start = sys.argv[1:]
        asyncio.run(main(listen, control, advertised, (Path(kept), Path(shown)), *start))
