"""The ASGI app: ``uvicorn services.backend_service.app:app``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.backend_service import conversations, reminders, series, tasks
from services.backend_service.mcp_door import PATH, door
from services.backend_service.models import Base
from services.common import problems
from services.common.database import create_tables, engine
from services.common.outbox import Base as Outbox
from services.common.relay import relaying
from services.common.sidecar import sidecar


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Tables before the first request; connections closed after the last."""
    await create_tables(Base.metadata, Outbox.metadata)
    async with relaying(), door.serving():
        yield
    await sidecar().aclose()
    await engine().dispose()


app = FastAPI(title="backend-service", version="1.0.0", lifespan=lifespan)
app.include_router(tasks.router)
app.include_router(series.router)
app.include_router(conversations.router)
app.include_router(reminders.router)
app.add_route(PATH, door)  # type: ignore[arg-type]  # an ASGI app is an endpoint too
problems.install(app)


@app.get("/healthz", tags=["health"])
async def healthz() -> dict[str, str]:
    """The service answers."""
    return {"status": "ok"}
