"""The reference system: the todo application on Redpanda or Kafka, and PostgreSQL."""

from __future__ import annotations

from harness import App, Broker, Postgres, Topology


def todo(*, on_host: bool = False) -> Topology:
    """The whole application.

    Args:
        on_host: run the services on this machine also when the rest runs in containers, as one
            does with a debugger.
    """
    return Topology(
        Broker(topics=["task-events:3", "task-updates:3", "reminders:3", "dead-letters"]),
        Postgres(databases=("todo",)),
        *(_service(name, on_host) for name in ("backend-service", "notification-service")),
        resources="components",
    )


def _service(name: str, on_host: bool) -> App:
    return App(
        name,
        asgi=f"services.{name.replace('-', '_')}.app:app",
        env={"DATABASE_URL": "${postgres.dsn}"},
        health="/healthz",
        inbox=True,
        requirements="services/requirements.txt",
        on_host=on_host,
    )


reference = todo()
