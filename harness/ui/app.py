"""The server's answers: the page, what it shows, and what its buttons do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import PurePath
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, aticks
from harness.core.errors import ConfigError
from harness.inspection.model import Action
from harness.ui.browsing import looks
from harness.ui.feed import FAILURES, Feed
from harness.ui.guard import Asgi, Guard
from harness.ui.source import Source, plain

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""The media types of the page's files, which are in the folder `page` next to this module."""

OFTEN = 0.1
"""Seconds between two looks at the record for new messages."""

QUIET = 100
"""The number of looks without a message after which a comment is sent, to notice a closed page."""

LARGEST = 1024 * 1024
"""The number of bytes of a request's body, at most."""


def application(source: Source, feed: Feed, token: str, port: int) -> Asgi:
    """The page of a stack, for a server that listens on a port of loopback.

    Args:
        source: the stack.
        feed: what the page shows.
        token: in the path of every request.
    """
    routes = [
        *_files(),
        Route("/stream", _streaming(feed)),
        Route("/event", _asked(lambda query: source.event(query["id"]))),
        Route("/metrics", _asked(lambda _: source.metrics())),
        Route("/node", _asked(lambda query: source.node(query["name"]))),
        Route("/trace", _asked(lambda query: source.trace(query["id"]))),
        Route("/state", _asked(lambda query: _value(source, query))),
        *(Route(f"/{name}", _asked(look)) for name, look in looks(source).items()),
    ]
    for name, action in _actions(source, feed).items():
        routes.append(Route(f"/{name}", _told(action), methods=["POST"]))
    return Guard(Starlette(routes=routes), token, port)


Values = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]


def _actions(source: Source, feed: Feed) -> dict[str, Callable[[Values], Any]]:
    return {
        "act": lambda given: _act(source, feed, given["action"], given["node"]),
        "publish": lambda given: source.publish(
            given["topic"],
            given["data"],
            app=given["app"],
            pubsub=given["pubsub"],
            event_type=given["event_type"],
            key=given["key"],
        ),
        "invoke": lambda given: source.invoke(
            given["app"], given["path"], verb=given["verb"], data=given["data"]
        ),
        "redeliver": lambda given: source.redeliver(given["id"]),
    }


def _act(source: Source, feed: Feed, action: str, node: str) -> None:
    if action not in get_args(Action):
        raise ConfigError(f"{action!r} is not an action", expected=", ".join(get_args(Action)))
    try:
        source.act(action, node)
    finally:
        feed.hurry()


def _value(source: Source, query: Mapping[str, str]) -> Any:
    return source.state(query["key"], app=query["app"], store=query["store"])


def _files() -> Iterator[Route]:
    for file in (files(__package__) / "page").iterdir():
        path = "" if file.name == "page.html" else file.name
        yield Route(f"/{path}", _file(file.read_bytes(), TYPES[PurePath(file.name).suffix]))


def _file(content: bytes, media_type: str) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


def _streaming(feed: Feed) -> Endpoint:
    async def answer(request: Request) -> Response:
        cursor = _cursor(request.headers.get("last-event-id", ""))
        return StreamingResponse(stream(feed, cursor), media_type="text/event-stream")

    return answer


async def stream(feed: Feed, cursor: int) -> AsyncIterator[bytes]:
    """Server-sent events from a cursor on, until the feed ends.

    A reader whose cursor is unknown, or who has been too slow, begins again with a snapshot.

    Args:
        cursor: the number of the last message that the reader has; -1 if it has none.
    """
    quiet = 0
    yield b"retry: 1000\n\n"
    async for _ in aticks(Deadline(math.inf), OFTEN):
        found = feed.record.after(cursor)
        if found is None:
            found = await ablocking(lambda: list(feed.snapshot()))
        for each in found:
            yield each.sent()
            cursor = cursor if each.number is None else each.number
            if each.kind == "ended":
                return
        quiet = 0 if found else quiet + 1
        if quiet >= QUIET:
            quiet = 0
            yield b": nothing new\n\n"


def _cursor(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else -1


def _asked(look: Callable[[Any], Any]) -> Endpoint:
    async def answer(request: Request) -> Response:
        return await _result(look, request.query_params)

    return answer


def _told(action: Callable[[Values], Any]) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            given = await _body(request)
        except ConfigError as error:
            return _problem(400, str(error))
        return await _result(action, given)

    return answer


async def _result(call: Callable[[Any], Any], given: Any) -> Response:
    """What a call returns as JSON; a failure is an answer, too, with its sentence."""
    try:
        found = plain(await ablocking(call, given))
    except KeyError as error:
        return _problem(400, f"the request has no {error}")
    except ConfigError as error:
        return _problem(400, str(error))
    except FAILURES as error:
        return _problem(502, str(error))
    except Exception as error:  # noqa: BLE001 - the page says it, instead of "internal error"
        return _problem(500, f"{type(error).__name__}: {error}")
    return Response(json.dumps(found, default=str), media_type="application/json")


async def _body(request: Request) -> Values:
    """The JSON object in a request.

    Raises:
        ConfigError: it is too large, or not a JSON object.
    """
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            raise ConfigError("the request is too large", expected=f"at most {LARGEST} bytes")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError("the request is not JSON", last=str(error)) from None
    if not isinstance(found, dict):
        raise ConfigError("the request is not a JSON object")
    return found


def _problem(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)
