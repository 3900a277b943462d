"""The common part of every service's app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from services.common import problems
from services.common.browsers import OwnPagesOnly
from services.common.sidecar import sidecar
from services.common.tracing import Tracing

Part = Callable[[], AbstractAsyncContextManager[None]]


def service(title: str, *parts: Part) -> FastAPI:
    """A FastAPI app with a health path, problem details and tracing; foreign pages are rejected.

    Args:
        title: the app-id.
        parts: resources that are open while the service runs; closed in reverse order.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            opened.push_async_callback(sidecar().aclose)
            for part in parts:
                await opened.enter_async_context(part())
            yield

    app = FastAPI(
        title=title,
        version="1.0.0",
        lifespan=lifespan,
        # Links in a description refer to these names, and generated clients use them.
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(Tracing)
    app.add_middleware(OwnPagesOnly)
    app.add_api_route("/healthz", healthz, tags=["health"])
    problems.install(app)
    return app


async def healthz() -> dict[str, str]:
    """Respond while the service is up."""
    return {"status": "ok"}
