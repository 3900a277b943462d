"""Where a load run sends its requests: passed in by its starter, or read from a running stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from harness.core.errors import ConfigError, did_you_mean
from harness.core.names import app_of, sidecar_name
from harness.core.settings import Settings
from harness.stack.registry import Registry

VARIABLE = "DAPR_LOAD_TARGETS"
STACK = "DAPR_LOAD_STACK"
"""The variable that names a stack other than the default one."""


@dataclass(frozen=True)
class Targets:
    """Addresses by app, and the token that sidecars require.

    Attributes:
        apps: base URLs of apps.
        sidecars: base URLs of their sidecars' HTTP APIs.
        token: the sidecars' token.
        null: the base URL of a null server; "" if there is none.
        grpc: addresses of the sidecars' gRPC APIs.
    """

    apps: Mapping[str, str]
    sidecars: Mapping[str, str]
    token: str
    null: str = ""
    grpc: Mapping[str, str] = field(default_factory=dict)

    def app(self, name: str) -> str:
        """An app's base URL.

        Raises:
            ConfigError: there is no such app.
        """
        return _of(self.apps, name, "app")

    def sidecar(self, name: str) -> str:
        """The base URL of an app's sidecar.

        Raises:
            ConfigError: there is no such sidecar.
        """
        return _of(self.sidecars, name, "sidecar")

    def grpc_of(self, name: str) -> str:
        """The address of a sidecar's gRPC API.

        Raises:
            ConfigError: there is no such sidecar.
        """
        return _of(self.grpc, name, "sidecar")

    def text(self) -> str:
        """The text for the environment of a load process."""
        return json.dumps(asdict(self))


def targets_of(addresses: Mapping[str, Mapping[str, str]], token: str, null: str = "") -> Targets:
    """The targets for a stack's addresses, by node and port."""
    sidecars = {
        app: f"http://{ports['http']}"
        for node, ports in addresses.items()
        if (app := app_of(node)) and "http" in ports
    }
    apps = {
        name: f"http://{addresses[name]['main']}"
        for name in sidecars
        if "main" in addresses.get(name, {})
    }
    grpc = {name: addresses[sidecar_name(name)].get("grpc", "") for name in sidecars}
    return Targets(apps, sidecars, token, null, grpc)


@cache
def find_targets() -> Targets:
    """The targets passed to this process, or those of the stack that `dapr-harness up` started.

    Raises:
        ConfigError: there is neither.
    """
    settings = Settings.load()
    told = settings.environment.get(VARIABLE)
    if told:
        body: dict[str, Any] = json.loads(told)
        return Targets(**body)
    up = Registry(settings.state_dir).require(settings.environment.get(STACK, "default"))
    return targets_of({node.name: node.endpoints for node in up.nodes}, up.token)


def _of(known: Mapping[str, str], name: str, kind: str) -> str:
    if name not in known:
        raise ConfigError(
            f"the stack has no {kind} {name!r} to send load to",
            hint=did_you_mean(name, list(known)),
        )
    return known[name]
