"""Default implementations for nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from harness.core.deadline import Check
from harness.core.node import Node, Scope, Target


class BaseNode:
    """Defaults for the `Node` protocol: everything except ``name`` and ``plan``.

    A node of one's own is one class. It describes; the stack reserves its ports, starts it, waits
    for its checks, fills ``${payments.url}`` in the environment of apps and in Dapr resources, and
    starts whoever refers to it afterwards::

        @dataclass(frozen=True)
        class WireMock(BaseNode):
            name: str = "payments"

            def plan(self, scope: Scope) -> Launch:
                listen = scope.listen()
                return Launch(
                    self.name,
                    ("wiremock", "--bind-address", listen.host, "--port", str(listen.port)),
                    ports={"main": listen.port},
                    container=InContainer("wiremock/wiremock:3.9.1"),
                )

            def checks(self, scope: Scope) -> Iterable[Check]:
                return (HttpCheck(f"{scope.endpoint().http}/__admin/health", "health"),)

            def exports(self, scope: Scope) -> Mapping[str, str]:
                return {"url": scope.endpoint().http}

        shop = App("shop", asgi="shop:app", env={"PAYMENTS": "${payments.url}"})
        topology = Topology(WireMock(), shop)

    What it asks its scope about other nodes makes these its needs: ``scope.address("kafka")``,
    ``scope.exports("postgres")["dsn"]``, ``scope.fill("${postgres.dsn}", where)``.
    """

    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    image: str = ""
    packages: tuple[str, ...] = ()
    health: str | None = None
    fixed_ports: Mapping[str, int] = {}
    pod: str = ""
    on_host: bool = False
    container_only: bool = False

    def resolve(self, target: Target) -> Node:
        """There is nothing to choose."""
        return cast("Node", self)

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """It implies no other nodes."""
        return ()

    def start_after(self, scope: Scope) -> Iterable[Check]:
        """It waits only for its dependencies."""
        return ()

    def checks(self, scope: Scope) -> Iterable[Check]:
        """Being alive is enough."""
        return ()

    def initialize(self, scope: Scope) -> None:
        """There is nothing to create."""

    def post_checks(self, scope: Scope) -> Iterable[Check]:
        """Nothing was provided."""
        return ()

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """It exports no values."""
        return {}


def main_port(port: int | None) -> Mapping[str, int]:
    """The fixed ports of a node that has at most one."""
    return {} if port is None else {"main": port}
