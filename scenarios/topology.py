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
        Broker(topics=["task-events:3", "task-updates:3", "reminders:3", "dead-letters:3"]),
        Postgres(databases=("todo",)),
        _service("backend-service", on_host, database=True),
        _service("notification-service", on_host, database=True),
        _service("recurring-task-service", on_host),
        _service("frontend", on_host),
        resources="components",
    )


def _service(name: str, on_host: bool, *, database: bool = False) -> App:
    return App(
        name,
        asgi=f"services.{name.replace('-', '_')}.app:app",
        env={"DATABASE_URL": "${postgres.dsn}"} if database else {},
        sidecar_env={"STATE_STORE_DSN": "${postgres.dsn}"} if database else {},
        health="/healthz",
        inbox=True,
        requirements="services/requirements.txt",
        on_host=on_host,
    )


reference = todo()
