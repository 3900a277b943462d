"""``publish`` and ``invoke``: events and calls through the sidecars of a running stack."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Annotated

import httpx
import typer

from harness.cli import streams
from harness.cli.console import err, out
from harness.cli.inputs import headers_of, json_text
from harness.cli.stacks import Name
from harness.cli.state import opened
from harness.core.errors import ConfigError, HarnessError, closest, did_you_mean
from harness.core.settings import Settings
from harness.dapr import calls
from harness.inspection.sidecars import (
    Refused,
    UpSidecar,
    at_once,
    candidates,
    require_sidecar,
    sidecars_of,
)
from harness.stack.registry import UpStack


def publish(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    data: Annotated[
        str, typer.Argument(metavar="JSON", help="The data as JSON; - reads standard input.")
    ],
    name: Name = "default",
    pubsub: Annotated[
        str | None, typer.Option(help="The pub/sub component; not needed if there is only one.")
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="The CloudEvent's type.")] = None,
    key: Annotated[str | None, typer.Option(help="Kafka's partition key.")] = None,
    app: Annotated[
        str | None,
        typer.Option(help="The app whose sidecar publishes; by default, one that can."),
    ] = None,
) -> None:
    """Publish an event; daprd wraps the data in a CloudEvent."""
    content = json_text(data, "the data")
    stack = opened(Settings.load()).require(name)
    sidecar, component = publisher(stack, app, pubsub)
    metadata = {"cloudevent.type": event_type, "partitionKey": key}
    call = calls.publish(
        component,
        topic,
        content,
        content_type="application/json",
        metadata={field: value for field, value in metadata.items() if value is not None},
    )
    try:
        sidecar.run(call, f"publish to {topic!r} of {component!r}")
    except Refused as refused:
        raise _unknown_pubsub(refused, sidecar, component) from None
    where = f"of pub/sub component {component!r} through the sidecar of {sidecar.app_id!r}"
    out.print(f"published to topic {topic!r} {where}", soft_wrap=True, markup=False)


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
            seen = sidecar.run(calls.metadata(), "report its metadata")
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
    app: Annotated[str, typer.Argument(help="The id of the app to call.")],
    path: Annotated[str, typer.Argument(help="The path of its method, with a query if needed.")],
    name: Name = "default",
    verb: Annotated[
        str | None,
        typer.Option("-X", metavar="METHOD", help="GET by default, and POST with --data."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="The body; - reads standard input.")
    ] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="K:V", help="A header.")] = None,
    caller: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="APP",
            help="Call through the sidecar of this app; by default, of the called app itself.",
        ),
    ] = None,
) -> None:
    """Call an app's method through a sidecar and print its response.

    Exit code 1 if the response's status is 400 or higher; the status is on standard error.
    """
    method = (verb or ("POST" if data is not None else "GET")).upper()
    if not re.fullmatch("[A-Z]+", method):
        raise ConfigError(f"{verb!r} is not an HTTP method")
    content = None if data is None else json_text(data, "--data")
    headers = {"content-type": "application/json"} if content is not None else {}
    headers |= headers_of(header or [])
    stack = opened(Settings.load()).require(name)
    sidecar = require_sidecar(stack, app if caller is None else caller)
    called = known.dapr_id if (known := sidecars_of(stack).get(app)) else app
    call = calls.invoke(
        called, path, verb=method, json=None, content=content, params={}, headers=headers
    )
    try:
        answer = sidecar.run(call, f"call {app!r}")
    except Refused as refused:
        refused.hint = refused.hint or closest(app, list(sidecars_of(stack)))
        raise
    show_response(answer)


def show_response(answer: httpx.Response) -> None:
    """Print a response's body, and its status if it is an error.

    Raises:
        typer.Exit: it is an error.
    """
    streams.write_bytes(readable(answer.content))
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        err.print(f"HTTP {answer.status_code} {answer.reason_phrase}", markup=False)
        raise typer.Exit(1)


def readable(body: bytes) -> bytes:
    """JSON with line breaks and indents; anything else as it is, and a line break at the end."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
        body = text.encode()
    except (ValueError, RecursionError):
        pass
    return body if not body or body.endswith(b"\n") else body + b"\n"
