"""The clock by HTTP: ``GET /healthz``, and ``POST /clock/<operation>`` with JSON.

Moments are whole nanoseconds since 1970, in UTC.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import h11

from harness.virtual_time.moves import FIRINGS, Moves, Refused
from harness.virtual_time.words import moment_after, moment_named

SECONDS = 30.0
"""How long a move waits by the real clock for the next answer, unless it says otherwise."""

SIGN_OF_LIFE = 1.0
"""Seconds between two signs that an answer is on its way."""
PROCESSING = h11.InformationalResponse(status_code=102, headers=[])

Operation = Callable[[dict[str, Any]], Awaitable[int]]


class Control:
    """Serves the operations of one clock.

    Args:
        moves: the clock.
        facts: what else is told in every answer.
    """

    def __init__(self, moves: Moves, facts: Callable[[], dict[str, Any]]) -> None:
        self._moves = moves
        self._facts = facts
        self._operations: dict[str, Operation] = {
            "now": self._now,
            "advance": self._advance,
            "advance-to": self._advance_to,
            "run-until-idle": self._run_until_idle,
            "freeze": self._freeze,
            "flow": self._flow,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, with any number of requests."""
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, h11.ProtocolError):
            pass  # the caller hung up
        finally:
            writer.close()

    async def _exchange(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        path, body = await _request(connection, reader)
        if path is None:
            return False
        answering = asyncio.ensure_future(self._answer(path, body))
        while not (await asyncio.wait({answering}, timeout=SIGN_OF_LIFE))[0]:
            # Whoever waits for an answer sees that there will be one.
            writer.write(connection.send(PROCESSING) or b"")
            await writer.drain()
        status, answer = answering.result()
        content = json.dumps(answer).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(content)))]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/healthz":
            return 200, {}
        operation = self._operations.get(path.removeprefix("/clock/"))
        if operation is None:
            known = ", ".join(self._operations)
            return 404, {"error": f"no such operation: {path}; there are {known}"}
        try:
            given = json.loads(body or b"{}")
            fired = await operation(given)
        except Refused as error:
            return error.status, {"error": str(error)}
        except (ValueError, TypeError, KeyError) as error:
            return 422, {"error": str(error)}
        return 200, {"now": self._moves.now(), "fired": fired, **self._facts()}

    async def _now(self, _given: dict[str, Any]) -> int:
        return 0

    async def _advance(self, given: dict[str, Any]) -> int:
        now = self._moves.now()
        return await self._advance_by(moment_after(str(given["by"]), now), given)

    async def _advance_to(self, given: dict[str, Any]) -> int:
        return await self._advance_by(moment_named(str(given["to"])), given)

    async def _advance_by(self, moment: int, given: dict[str, Any]) -> int:
        return await self._moves.advance_to(moment, *_limits(given))

    async def _run_until_idle(self, given: dict[str, Any]) -> int:
        return await self._moves.run_until_idle(*_limits(given))

    async def _freeze(self, _given: dict[str, Any]) -> int:
        self._moves.freeze()
        return 0

    async def _flow(self, given: dict[str, Any]) -> int:
        self._moves.flow(float(given["speed"]))
        return 0


def _limits(given: dict[str, Any]) -> tuple[int, float]:
    return int(given.get("limit", FIRINGS)), float(given.get("timeout", SECONDS))


async def _request(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> tuple[str | None, bytes]:
    """Path and body of the next request; no path if there is none."""
    path, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            path = event.target.decode()
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return path, body
        else:  # closed
            return None, b""
