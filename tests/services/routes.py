"""The operations of the services, those included that no description has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi.routing import APIRoute

from services.backend_service import app as backend
from services.frontend import app as frontend
from services.notification_service import app as notifications
from services.recurring_task_service import app as recurring

APPS = {
    "backend-service": backend.app,
    "frontend": frontend.app,
    "notification-service": notifications.app,
    "recurring-task-service": recurring.app,
}


def operations(app: str) -> list[APIRoute]:
    """Those of one service."""
    return list(_flat(APPS[app].routes))


def _flat(routes: Iterable[Any]) -> Iterator[APIRoute]:
    for each in routes:
        # An included router is kept as it is, with its own routes.
        if (router := getattr(each, "original_router", None)) is not None:
            yield from _flat(router.routes)
        elif isinstance(each, APIRoute):
            yield each
