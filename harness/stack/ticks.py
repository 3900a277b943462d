"""The sidecars of a stack that have loaded a cron binding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError, ProbeError, did_you_mean
from harness.dapr.client import DaprClient
from harness.dapr.input_bindings import CRON, Route, route_of
from harness.dapr.resources import DaprResource
from harness.virtual_time.ticks import Target


@dataclass(frozen=True)
class TickSidecar:
    """What a tick needs to know of a sidecar.

    Attributes:
        app: its app's node.
        http: the address of its API.
        token: the token of its API.
        internal: HOST:PORT for calls of other sidecars; "" if this machine cannot connect to it.
        resources: what it has loaded.
    """

    app: str
    http: Endpoint
    token: str
    internal: str
    resources: Sequence[DaprResource]


def targets_of(binding: str, sidecars: Sequence[TickSidecar], *, mtls: bool) -> list[Target]:
    """The sidecars whose cron binding of this name calls an app.

    Args:
        binding: the component's name.
        sidecars: all of them.
        mtls: whether they accept calls only with certificates.

    Raises:
        ConfigError: the name is not that of a cron binding, the binding calls no app by HTTP, or
            its sidecars accept calls only from other sidecars.
        ProbeError: a sidecar does not respond.
    """
    components = [(each, found) for each in sidecars for found in _components(each)]
    named = [(each, found) for each, found in components if found.name == binding]
    crons = sorted({found.name for _, found in components if found.type == CRON})
    if not named:
        hint = did_you_mean(binding, crons)
        raise ConfigError(f"no sidecar has a cron binding {binding!r}", hint=hint)
    if other := next((found for _, found in named if found.type != CRON), None):
        raise ConfigError(
            f"{binding!r} is a component of type {other.type}, which no clock triggers",
            expected=CRON,
            last=other.at("spec.type"),
            hint=did_you_mean(binding, crons),
        )
    if mtls or not all(each.internal for each, _ in named):
        raise ConfigError(
            f"{binding!r} cannot be triggered: only sidecars can call its sidecars",
            expected='a topology without mtls=True; in containers, one with time="virtual"',
        )
    routes = [(each, route) for each, found in named if (route := route_of(found))]
    if not routes:
        raise ConfigError(
            f"the direction of {binding!r} is not input, so daprd does not use its schedule",
            last=named[0][1].at("spec.metadata"),
            hint="remove the metadata `direction`",
        )
    if not (found := list(_with_app(binding, routes))):
        raise ConfigError(f"the cron binding {binding!r} has no app: no sidecar of it has one")
    return found


def _components(sidecar: TickSidecar) -> list[DaprResource]:
    return [each for each in sidecar.resources if each.kind == "Component"]


def _with_app(binding: str, routes: Sequence[tuple[TickSidecar, Route]]) -> Iterator[Target]:
    """Those with an app."""
    for sidecar, route in routes:
        protocol = _protocol(sidecar)
        if "grpc" in protocol:
            raise ConfigError(
                f"{binding!r} cannot be triggered: {sidecar.app} uses {protocol}",
                expected="an app that daprd calls by HTTP",
                hint="call the app's OnBindingEvent yourself; no call through a sidecar does so",
            )
        if protocol:
            yield Target(sidecar.app, sidecar.internal, route.path, route.asks)


def _protocol(sidecar: TickSidecar) -> str:
    """How daprd calls the app; "" if there is none."""
    try:
        with DaprClient(sidecar.http, sidecar.token) as client:
            told = client.metadata().raw.get("appConnectionProperties") or {}
    except httpx.HTTPError as error:
        raise ProbeError(
            f"the sidecar of the tick is away: {sidecar.app}",
            last=f"{type(error).__name__}: {error}",
            hint="start it, and tick again; no app was called",
        ) from None
    return str(told.get("protocol", "http")) if told.get("port") else ""
