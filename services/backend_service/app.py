"""The ASGI app: ``uvicorn services.backend_service.app:app``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.backend_service import conversations, reminders, tasks
from services.backend_service.models import Base
from services.common.database import create_tables, engine
from services.common.sidecar import sidecar


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Tables before the first request; connections closed after the last."""
    await create_tables(Base.metadata)
    yield
    await sidecar().aclose()
    await engine().dispose()


app = FastAPI(title="backend-service", version="1.0.0", lifespan=lifespan)
app.include_router(tasks.router)
app.include_router(conversations.router)
app.include_router(reminders.router)


@app.get("/healthz", tags=["health"])
async def healthz() -> dict[str, str]:
    """The service answers."""
    return {"status": "ok"}


@app.exception_handler(httpx.HTTPError)
async def sidecar_failed(_request: Request, error: httpx.HTTPError) -> JSONResponse:
    """The sidecar did not do its part: not the caller's fault, and worth trying again."""
    return JSONResponse({"detail": f"the sidecar failed: {error}"}, status_code=503)
