"""Events and calls through the sidecars of a stack that is up. Everything here blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from harness.core.as_json import AsJson
from harness.core.errors import ConfigError, HarnessError, closest, did_you_mean
from harness.dapr import calls
from harness.inspection.sidecars import (
    Refused,
    UpSidecar,
    at_once,
    candidates,
    require_sidecar,
    sidecars_of,
    untraced,
)
from harness.stack.registry import UpStack


@dataclass(frozen=True)
class PublishedRow(AsJson):
    """An event that a sidecar has acknowledged.

    Attributes:
        app: the app whose sidecar it was.
    """

    topic: str
    pubsub: str
    app: str


def publish(
    stack: UpStack,
    topic: str,
    content: bytes,
    *,
    app: str | None = None,
    pubsub: str | None = None,
    content_type: str = "application/json",
    metadata: Mapping[str, str | None] | None = None,
) -> PublishedRow:
    """Publish an event; daprd wraps the data in a CloudEvent.

    Args:
        stack: the stack.
        topic: the topic.
        content: the data.
        app: the app whose sidecar publishes; if None, one that can.
        pubsub: the pub/sub component; if None, the only one.
        content_type: of the data.
        metadata: of the request; without those that are None.

    Raises:
        ConfigError: it is not clear where, or the component does not exist.
        SystemFailure, ProbeError: the sidecar refused, or did not answer.
    """
    sidecar, component = publisher(stack, app, pubsub)
    given = {field: value for field, value in (metadata or {}).items() if value is not None}
    call = calls.publish(component, topic, content, content_type=content_type, metadata=given)
    try:
        sidecar.run(call, f"publish to {topic!r} of {component!r}")
    except Refused as refused:
        raise _unknown_pubsub(refused, sidecar, component) from None
    return PublishedRow(topic, component, sidecar.app_id)


def publisher(stack: UpStack, app: str | None, pubsub: str | None) -> tuple[UpSidecar, str]:
    """The sidecar to publish through, and its pub/sub component.

    Raises:
        ConfigError: there is none, or it is not clear which one is meant.
    """
    having = components_of(candidates(stack, app), "pubsub.")
    if not having:
        who = f"the sidecar of {app!r}" if app else f"stack {stack.name!r}"
        raise ConfigError(f"{who} has no pub/sub component")
    if pubsub is not None:
        able = [sidecar for sidecar, names in having if pubsub in names]
        # Of an unknown one, daprd itself says that it is unknown.
        return (able or [having[0][0]])[0], pubsub
    known = sorted({name for _, names in having for name in names})
    if len(known) > 1:
        who = f"the sidecar of {app!r}" if app else f"stack {stack.name!r}"
        raise ConfigError(
            f"{who} has several pub/sub components",
            last=", ".join(known),
            hint=f"choose one: --pubsub {known[0]}",
        )
    return having[0][0], known[0]


def components_of(sidecars: list[UpSidecar], prefix: str) -> list[tuple[UpSidecar, list[str]]]:
    """The sidecars that have components of a kind, with their names.

    Args:
        sidecars: those to ask; of several, the ones that do not answer are left out.
        prefix: how the components' types begin.

    Raises:
        HarnessError: none of them answered.
    """
    found, silent = [], list[HarnessError]()

    def look(sidecar: UpSidecar) -> list[str] | HarnessError:
        try:
            seen = sidecar.run(untraced(calls.metadata()), "report its metadata")
        except HarnessError as error:
            return error
        return [each.name for each in seen.components if each.type.startswith(prefix)]

    for sidecar, names in zip(sidecars, at_once(look, sidecars), strict=True):
        if isinstance(names, HarnessError):
            silent.append(names)
        elif names:
            found.append((sidecar, names))
    if not found and silent:
        raise silent[0]
    return found


def _unknown_pubsub(refused: Refused, sidecar: UpSidecar, pubsub: str) -> Refused | ConfigError:
    if refused.error.error_code != "ERR_PUBSUB_NOT_FOUND":
        return refused
    known = [name for _, names in components_of([sidecar], "pubsub.") for name in names]
    return ConfigError(
        f"the sidecar of {sidecar.app_id!r} has no pub/sub component {pubsub!r}",
        last=refused.last,
        hint=did_you_mean(pubsub, known),
    )


def invoke(
    stack: UpStack,
    app: str,
    path: str,
    *,
    verb: str | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    caller: str | None = None,
) -> httpx.Response:
    """The response of an app's method, called through a sidecar; it may be an error of the app.

    Args:
        stack: the stack.
        app: the app to call.
        path: the path of its method, with a query if needed.
        verb: the HTTP method; if None, GET, or POST with a body.
        content: the body, as JSON.
        headers: more headers.
        caller: the app whose sidecar calls; if None, the called app's own.

    Raises:
        ConfigError: there is no such app, or the method is not one of HTTP.
        SystemFailure, ProbeError: the sidecar could not call it, or did not answer.
    """
    method = (verb or ("POST" if content is not None else "GET")).upper()
    if not re.fullmatch("[A-Z]+", method):
        raise ConfigError(f"{verb!r} is not an HTTP method")
    own = {"content-type": "application/json"} if content is not None else {}
    sidecar = require_sidecar(stack, app if caller is None else caller)
    called = known.dapr_id if (known := sidecars_of(stack).get(app)) else app
    call = calls.invoke(
        called,
        path,
        verb=method,
        json=None,
        content=content,
        params={},
        headers={**own, **(headers or {})},
    )
    try:
        return sidecar.run(call, f"call {app!r}")
    except Refused as refused:
        refused.hint = refused.hint or closest(app, list(sidecars_of(stack)))
        raise
