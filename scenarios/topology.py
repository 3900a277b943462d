"""The reference system: the todo application on Redpanda or Kafka, and PostgreSQL."""

from __future__ import annotations

from harness import App, Broker, Postgres, Topology

DATABASE = {"DATABASE_URL": "${postgres.dsn}"}

reference = Topology(
    Broker(topics=["task-events:3", "task-updates:3", "reminders:3", "dead-letters"]),
    Postgres(databases=("todo",)),
    App(
        "backend-service",
        asgi="services.backend_service.app:app",
        env=DATABASE,
        health="/healthz",
        inbox=True,
        requirements="services/requirements.txt",
    ),
    App(
        "notification-service",
        asgi="services.notification_service.app:app",
        env=DATABASE,
        health="/healthz",
        inbox=True,
        requirements="services/requirements.txt",
    ),
    resources="components",
)
