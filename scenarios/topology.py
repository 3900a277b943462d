"""The reference system: the todo application on Redpanda or Kafka, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from harness import App, Broker, Postgres, Receiver, Topology


def todo(
    *, resources: Sequence[str] = ("components",), mtls: bool = False, on_host: bool = False
) -> Topology:
    """The whole application.

    Args:
        resources: folders of Dapr YAML; what lies in folders below components/ is for choosing.
        mtls: have sidecars and control plane prove who they are.
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
        Receiver(),
        resources=resources,
        mtls=mtls,
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
