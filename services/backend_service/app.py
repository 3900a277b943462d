"""The ASGI app: ``uvicorn services.backend_service.app:app``."""

from __future__ import annotations

from services.backend_service import conversations, imports, reminders, series, tasks
from services.backend_service.assistant import chat
from services.backend_service.mcp_endpoint import PATH, endpoint
from services.backend_service.models import Base
from services.common.app import service
from services.common.cleanup import GIVEN_UP, cleaning
from services.common.cron import Base as Ticks
from services.common.database import tables
from services.common.identity import for_users, ready
from services.common.outbox import Base as Outbox
from services.common.relay import relaying

app = service(
    "backend-service",
    ready,
    tables(Base.metadata, Outbox.metadata, Ticks.metadata),
    relaying,
    endpoint.serving,
)
for_users(app, tasks.router, conversations.router, chat.router)
app.include_router(series.router)
app.include_router(reminders.router)
app.include_router(imports.router)
app.include_router(cleaning(GIVEN_UP))
app.add_route(PATH, endpoint)  # type: ignore[arg-type]  # an ASGI app can be an endpoint
