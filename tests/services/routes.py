"""The operations of the services, those included that no description has."""

from __future__ import annotations

from fastapi.routing import APIRoute, iter_route_contexts

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
    """Those of one service, by the path that they have without a prefix."""
    found = [each.original_route for each in iter_route_contexts(APPS[app].routes)]
    return [each for each in found if isinstance(each, APIRoute)]
