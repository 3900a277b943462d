"""RabbitMQ as two nodes of one's own: Debian's server, and the port mapper of its Erlang."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness import BaseNode, Check, Launch, Scope
from harness.ready.amqp import AmqpAccess, QueueCheck
from harness.ready.tcp import TcpCheck

SERVER = "rabbitmq-server"
ABSENT = f"{SERVER} is not installed; tools/rabbitmq installs Debian's"
FOLDERS = ("/usr/lib/rabbitmq/bin", "/usr/bin", "/bin")
"""Debian's own /usr/sbin/rabbitmq-server changes the user and writes to /var."""

CONFIG = """\
default_user = {user}
default_pass = {password}
log.console = true
log.file = false
"""


def server() -> str | None:
    """The path of the server; None if it is not installed."""
    path = shutil.which(SERVER, path=":".join(FOLDERS))
    return path or shutil.which(SERVER)


@dataclass(frozen=True)
class Epmd(BaseNode):
    """Maps names of Erlang's nodes to ports; without one, the server starts a daemon of its own."""

    name: str = "epmd"
    on_host: bool = True

    def plan(self, scope: Scope) -> Launch:
        listen = scope.listen()
        argv = ("epmd", "-port", str(listen.port), "-address", listen.host)
        return Launch(self.name, argv, ports={"main": listen.port}, on_host=True)

    def checks(self, scope: Scope) -> Iterable[Check]:
        return (TcpCheck(scope.endpoint()),)


@dataclass(frozen=True)
class RabbitMQ(BaseNode):
    """A server with one user; it exports ``rabbitmq.url``."""

    name: str = "rabbitmq"
    on_host: bool = True

    def plan(self, scope: Scope) -> Launch:
        main, cluster = scope.listen(), scope.listen("cluster")
        epmd, home = scope.address("epmd"), scope.home
        values = {"user": self.name, "password": scope.token(self.name)}
        return Launch(
            self.name,
            (server() or SERVER,),
            env={
                "HOME": str(home),
                "ERL_EPMD_ADDRESS": epmd.host,
                "ERL_EPMD_PORT": str(epmd.port),
                "RABBITMQ_NODENAME": f"node{main.port}@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": main.host,
                "RABBITMQ_NODE_PORT": str(main.port),
                "RABBITMQ_DIST_PORT": str(cluster.port),
                "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
                "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
                "RABBITMQ_LOGS": "-",
                "RABBITMQ_LOG_BASE": str(home / "log"),
                "RABBITMQ_PID_FILE": str(home / "pid"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            },
            files={"rabbitmq.conf": CONFIG.format(**values)},
            ports={"main": main.port, "cluster": cluster.port},
            end_signal=signal.SIGKILL,
            on_host=True,
        )

    def checks(self, scope: Scope) -> Iterable[Check]:
        access = AmqpAccess(scope.endpoint(), self.name, scope.token(self.name))
        return (QueueCheck(access, (), name="login"),)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        return {"url": f"amqp://{self.name}:{scope.token(self.name)}@{scope.endpoint()}"}
