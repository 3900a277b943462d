"""A scheduler with a clock that is moved from outside, a separate program.

    python -m harness.virtual_time.server LISTEN CONTROL ADVERTISED FILE [START [ORDER]]

LISTEN and CONTROL are HOST:PORT of the gRPC service and of the clock, ADVERTISED is where sidecars
find this scheduler, FILE keeps jobs and time, and START is the first moment, as RFC 3339; without
it, the present second. With ORDER ``one-at-a-time``, each firing waits for the outcome of the last.
What has fired is recorded in a file beside FILE.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from harness.core.names import FIRINGS, ONE_AT_A_TIME
from harness.virtual_time.agenda import Agenda
from harness.virtual_time.civil import SECOND
from harness.virtual_time.connections import Target
from harness.virtual_time.control import Control
from harness.virtual_time.engine import Engine
from harness.virtual_time.firings import FiringRecord
from harness.virtual_time.messages import message
from harness.virtual_time.moves import Moves
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


def made(
    file: File, record: FiringRecord, start: str = "", order: str = ""
) -> tuple[Engine, Moves]:
    """The scheduler as the file has kept it, or a new one."""
    first = moment_named(start) if start else time.time_ns() // SECOND * SECOND
    agenda = Agenda(first if file.now is None else file.now, file)
    if file.now is None:
        file.keep_now(first)
    for entry in file.entries():
        agenda.restore(entry)
    engine = Engine(agenda, _target, record, one_at_a_time=order == ONE_AT_A_TIME)
    moves = Moves(engine, file.keep_now)
    return engine, moves


def _target(metadata: bytes) -> Target:
    return target_of(message("JobMetadata").FromString(metadata))


async def main(listen: str, control: str, advertised: str, path: Path, *more: str) -> None:
    """Serve until ended."""
    record = FiringRecord(path.with_name(FIRINGS))
    with contextlib.closing(record), contextlib.closing(File(path)) as file:
        engine, moves = made(file, record, *more)
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
        listen, control, advertised, path, *more = sys.argv[1:]
        asyncio.run(main(listen, control, advertised, Path(path), *more))
