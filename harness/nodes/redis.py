"""A Redis server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.core.deadline import Check
from harness.core.errors import ProbeError
from harness.core.launch import InContainer, Launch
from harness.core.node import Scope
from harness.core.roles import Part
from harness.nodes.base import BaseNode, main_port
from harness.ready.redis import RedisCheck
from harness.ready.redis_groups import empty, groups_of
from harness.ready.resp import RedisAccess, Rejected

CONFIG = "redis.conf"
VARIABLE = "REDIS_SERVER_PASSWORD"
KEEPING = {"save": '""', "appendonly": "yes"}
SYNCED = {True: "always", False: "no"}
"""Without `Topology(durable=True)`, written data survives a kill of the server, but not a crash of
the machine."""


@dataclass(frozen=True)
class Redis(BaseNode):
    """A server with or without a password.

    Args:
        name: the node's name; it exports ``<name>.address`` (``host:port``), ``.host``, ``.port``,
            ``.password`` and ``.url``.
        port: a fixed port.
        password: whether it requires one. Without it, as with the Redis of ``dapr init``, every
            account on the machine can use it.
    """

    tools = ("redis",)

    name: str = "redis"
    port: int | None = None
    password: bool = True

    @property
    def fixed_ports(self) -> Mapping[str, int]:  # type: ignore[override]  # derived, not stored
        """Its port, if it is fixed."""
        return main_port(self.port)

    def plan(self, scope: Scope) -> Launch:
        """The server, with its data in the node's folder; in a container, in the image's own."""
        listen = scope.listen()
        options = {
            "bind": listen.host,
            "port": str(listen.port),
            **KEEPING,
            "appendfsync": SYNCED[scope.durable],
        }
        return scope.pick(self._process, self._container)(scope, options)

    def _container(self, scope: Scope, options: Mapping[str, str]) -> Launch:
        words = " ".join(f"--{key} {value}" for key, value in options.items())
        # The rest of its configuration is its input, because arguments are seen on the machine.
        script = f"exec redis-server - {words} <<END\nrequirepass ${VARIABLE}\nEND\n"
        return Launch(
            name=self.name,
            argv=("sh", "-c", script if self.password else f"exec redis-server {words}"),
            env={VARIABLE: self._secret(scope)} if self.password else {},
            container=InContainer("redis"),
            ports={"main": int(options["port"])},
        )

    def _process(self, scope: Scope, options: Mapping[str, str]) -> Launch:
        home = scope.home
        # A file, because every account on the machine can see command lines.
        rows = {**options, "dir": f'"{home}"', "daemonize": "no"}
        if self.password:
            rows["requirepass"] = self._secret(scope)
        return Launch(
            name=self.name,
            argv=(str(scope.tool("redis")), str(home / CONFIG)),
            files={CONFIG: "".join(f"{key} {value}\n" for key, value in rows.items())},
            ports={"main": int(options["port"])},
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """It answers."""
        return (RedisCheck(scope.endpoint(), self._secret(scope)),)

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """Connection values for apps and components."""
        endpoint, password = scope.endpoint(), self._secret(scope)
        user = f":{password}@" if password else ""
        return {
            "address": str(endpoint),
            "host": endpoint.host,
            "port": str(endpoint.port),
            "password": password,
            "url": f"redis://{user}{endpoint}/0",
        }

    def backlog(self, scope: Scope) -> Sequence[str]:
        """What each group of each stream has still to handle, in words.

        Raises:
            ProbeError: the server does not respond.
        """
        access = self._access(scope)
        try:
            return [each.told for each in groups_of(access) if each.has_to_handle]
        except (OSError, Rejected) as error:
            raise ProbeError(
                f"{self.name} cannot be asked for its groups", last=str(error)
            ) from error

    def clean(self, scope: Scope, part: Part) -> None:
        """Remove every key; streams that groups read are emptied, and stay with their groups."""
        empty(self._access(scope))

    def _access(self, scope: Scope) -> RedisAccess:
        return RedisAccess(scope.endpoint(), self._secret(scope))

    def _secret(self, scope: Scope) -> str:
        return scope.token(self.name) if self.password else ""
