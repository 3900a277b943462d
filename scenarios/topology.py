"""The reference system: the todo application on Redpanda or Kafka, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import App, Broker, Kafka, Kubernetes, Postgres, Receiver, Redis, Topology
from harness.core.node import Node
from scenarios.signing import SECRET, sign

TOPICS = ("task-events:3", "task-updates:3", "task-imports:3", "reminders:3", "dead-letters:3")


@dataclass(frozen=True)
class Events:
    """A broker of another kind.

    Attributes:
        nodes: what runs.
        secrets: the variables of every sidecar to which its components refer.
    """

    nodes: Sequence[Node]
    secrets: Mapping[str, str]


def todo(
    *,
    resources: Sequence[str] = ("components",),
    redis: bool = False,
    mtls: bool = False,
    on_host: bool = False,
    inbox: bool = True,
    topics: Sequence[str] = TOPICS,
    more: Sequence[Node] = (),
    replicas: int = 1,
    env: Mapping[str, str] | None = None,
    sasl: str = "",
    tls: bool = False,
    outgoing: bool = False,
    events: Events | None = None,
    sign_in: bool = True,
) -> Topology:
    """The whole application.

    Args:
        resources: folders of Dapr YAML; the subfolders of components/ are variants.
        redis: add a Redis, for a component that refers to it.
        mtls: have sidecars and control plane authenticate.
        on_host: run the services on this machine even if the rest runs in containers, as with a
            debugger.
        inbox: record deliveries of sidecars, which costs each delivery a millisecond.
        topics: the broker's topics.
        more: additional nodes.
        replicas: how many times each service runs.
        env: additional variables of each service.
        sasl: the mechanism with which the broker's clients must authenticate; it is then Kafka.
        tls: whether their connections are encrypted.
        outgoing: whether the receiver of mail and webhooks requires credentials.
        events: what has the events instead of Redpanda or Kafka.
        sign_in: whether users must sign in; if so, requests of tests are signed.
    """
    # Secrets to which components refer by secretKeyRef.
    secrets = {"STATE_STORE_DSN": "${postgres.dsn}"}
    if redis:
        secrets["REDIS_PASSWORD"] = "${redis.password}"
    if outgoing:
        secrets["MAIL_PASSWORD"] = "${receiver.password}"
        secrets["WEBHOOK_TOKEN"] = "Bearer ${receiver.token}"
    # Every service has events, but not every one has a database.
    brokers: Sequence[Node] = (Broker(topics=topics),)
    shared: Mapping[str, str] = {}
    if sasl:
        # Kafka, whatever the setting for `Broker` is: Redpanda with credentials is not supported.
        brokers = (Kafka(topics, name="broker", sasl=sasl, tls=tls),)
        shared = {"BROKER_PASSWORD": "${broker.password}"}
    if events is not None:
        brokers, shared = events.nodes, events.secrets

    identity = {"BETTER_AUTH_SECRET": SECRET} if sign_in else {"SIGN_IN": "off"}

    def service(
        name: str, kubernetes: Kubernetes, *, database: bool = False, users: bool = True
    ) -> App:
        return App(
            name,
            asgi=f"services.{name.replace('-', '_')}.app:app",
            env={
                **({"DATABASE_URL": "${postgres.dsn}"} if database else {}),
                **(identity if users else {}),
                **(env or {}),
            },
            sidecar_env={**(secrets if database else {}), **shared},
            health="/healthz",
            inbox=inbox,
            requirements="services/requirements.txt",
            on_host=on_host,
            replicas=replicas,
            follow_clock=True,
            kubernetes=kubernetes,
        )

    return Topology(
        *brokers,
        Postgres(databases=("todo",)),
        # Its REST API and its MCP endpoint have clients outside of the system.
        service(
            "backend-service", Kubernetes(replicas=2, max_replicas=4, exposed=True), database=True
        ),
        service("notification-service", Kubernetes(replicas=1, max_replicas=2), database=True),
        service("recurring-task-service", Kubernetes(), users=False),
        service("frontend", Kubernetes(exposed=True)),
        Receiver(mail_auth=outgoing, starttls=outgoing, bearer=outgoing),
        *([Redis()] if redis else []),
        *more,
        resources=resources,
        mtls=mtls,
        sign=sign if sign_in else None,
    )


reference = todo()
