"""Services at their usual ports, for apps whose files contain ``localhost:6379`` and the like."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.causes import USUAL
from harness.core.deadline import Observation
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.errors import ConfigError, did_you_mean
from harness.core.node import Node
from harness.nodes.kafka import Kafka
from harness.nodes.postgres import Postgres
from harness.nodes.receiver import Receiver
from harness.nodes.redis import Redis
from harness.ready.http import HttpCheck
from harness.ready.kafka import BrokerCheck
from harness.ready.redis import RedisCheck
from harness.ready.tcp import TcpCheck
from harness.runfile.read import RunApp, RunFile
from harness.runtime.proc import owner_of

DEFAULTS = Path(__file__).parent.parent / "dapr" / "defaults"
"""What ``dapr init`` writes to ``~/.dapr``."""

ANSWERING = 2.0
"""Seconds within which a listener must identify itself."""

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])
"""A PostgreSQL server responds with one byte, S or N (protocol, message formats)."""


@dataclass(frozen=True)
class Service:
    """A service that apps expect at a port.

    Attributes:
        make: the node that provides it, as open as an app without any settings expects it.
        answers: whether the listener at the port is such a service.
        resources: the folder of the components that ``dapr init`` sets up for it.
        configuration: the Configuration, likewise.
    """

    port: int
    make: Callable[[], Node]
    answers: Callable[[Endpoint], Observation]
    resources: Path | None = None
    configuration: Path | None = None


def _postgres(endpoint: Endpoint) -> Observation:
    try:
        with socket.create_connection((endpoint.host, endpoint.port), ANSWERING) as opened:
            opened.sendall(SSL_REQUEST)
            said = opened.recv(1)
    except OSError as error:
        return Observation(False, str(error))
    return Observation(said in (b"S", b"N"), f"it answered {said!r}")


SERVICES = {
    "redis": Service(
        USUAL["redis"],
        lambda: Redis(port=USUAL["redis"], password=False),
        lambda at: RedisCheck(at, "").observe(),
        resources=DEFAULTS / "components",
    ),
    "kafka": Service(
        USUAL["kafka"],
        lambda: Kafka(port=USUAL["kafka"], auto_create=True),
        lambda at: BrokerCheck(str(at)).observe(),
    ),
    "postgres": Service(
        USUAL["postgres"], lambda: Postgres(port=USUAL["postgres"], trust=True), _postgres
    ),
    "zipkin": Service(
        USUAL["zipkin"],
        lambda: Receiver("zipkin", mail=False, port=USUAL["zipkin"]),
        lambda at: HttpCheck(f"{at.http}/health").observe(),
        configuration=DEFAULTS / "config.yaml",
    ),
}


def chosen(text: str) -> list[str]:
    """The names of a list such as ``redis,kafka``, each once.

    Raises:
        ConfigError: a name is not a service.
    """
    names = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    for name in names:
        if name not in SERVICES:
            raise ConfigError(
                f"--with {name}: there is no such service", hint=did_you_mean(name, [*SERVICES])
            )
    return list(names)


def brought_along(names: Sequence[str], say: Callable[[str], None]) -> Iterator[Node]:
    """A node for each service whose port is free; a service that is already running is used.

    Args:
        names: of services.
        say: informed about services that are used.

    Raises:
        ConfigError: something else uses the port; the message names it.
    """
    for name in names:
        service = SERVICES[name]
        endpoint = Endpoint(LOOPBACK, service.port)
        if not TcpCheck(endpoint).observe().ok:
            yield service.make()
            continue
        holder = owner_of(service.port) or f"port {service.port} is taken"
        seen = service.answers(endpoint)
        if not seen.ok:
            raise ConfigError(
                f"--with {name}: {holder}, and it does not answer as {name} does",
                expected=f"a free port {service.port}, or {name} without a password there",
                last=seen.fact,
                hint=f"stop that process, or leave out --with {name}",
            )
        say(f"{name}: the one that runs at {endpoint} is used ({holder})")


def completed(file: RunFile, names: Sequence[str], say: Callable[[str], None]) -> RunFile:
    """A run file whose apps have what ``dapr init`` sets up for services, where they name nothing.

    Args:
        file: the run file.
        names: of services.
        say: informed about apps that have no resources.
    """
    folders = tuple(found for name in names if (found := SERVICES[name].resources))
    configuration = next((found for name in names if (found := SERVICES[name].configuration)), None)
    bare = [app.app_id for app in file.apps if not app.resources]
    if bare and not folders:
        say(
            f"{', '.join(bare)}: no resources; `dapr run` would load those of `dapr init` in "
            "~/.dapr/components, --with redis adds the same"
        )

    def complete(app: RunApp) -> RunApp:
        return replace(
            app,
            resources=app.resources or folders,
            configuration=app.configuration or configuration,
        )

    return replace(file, apps=tuple(complete(app) for app in file.apps))
