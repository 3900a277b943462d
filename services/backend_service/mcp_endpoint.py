"""The endpoint for MCP clients: streamable HTTP at ``/mcp``.

The package is imported on the first request: the import takes as long as that of the rest of the
service, and most starts do not need it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import import_module

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.identity import act_for, current_user, required

PATH = "/mcp"


class McpEndpoint:
    """An ASGI app that loads the MCP server's app on its first request."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._opened: asyncio.Future[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; each is independent, so any replica can handle it.

        Raises:
            Refused: 401, there is no valid token. Whose tasks it is for, the tools check.
        """
        if required():
            act_for(await current_user(Request(scope)))
        assert self._opened is not None, "the service is not running"
        self._wanted.set()
        inner = await asyncio.shield(self._opened)
        await inner(scope, receive, send)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Requests are handled for the duration of the ``with`` block."""
        self._opened = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._serve(self._opened))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _serve(self, opened: asyncio.Future[ASGIApp]) -> None:
        # A separate task: the session manager must close resources in the task that opened them.
        await self._wanted.wait()
        tools = await asyncio.to_thread(import_module, "services.backend_service.mcp_tools")
        inner = tools.server.streamable_http_app(
            streamable_http_path=PATH, json_response=True, stateless_http=True
        )
        async with tools.server.session_manager.run():
            opened.set_result(inner)
            await asyncio.Event().wait()


endpoint = McpEndpoint()
