"""The reference system: the todo application on Kafka and PostgreSQL."""

from __future__ import annotations

from harness import App, Kafka, Postgres, Topology

DATABASE = {"DATABASE_URL": "${postgres.dsn}"}

reference = Topology(
    Kafka(topics=["task-events:3", "task-updates:3", "reminders:3", "dead-letters"]),
    Postgres(databases=("todo",)),
    App(
        "backend-service",
        asgi="services.backend_service.app:app",
        env=DATABASE,
        health="/healthz",
        inbox=True,
    ),
    App(
        "notification-service",
        asgi="services.notification_service.app:app",
        env=DATABASE,
        health="/healthz",
        inbox=True,
    ),
    resources="components",
)
