"""``publish`` and ``invoke``: events and calls through the sidecars of a running stack."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated

import httpx
import typer

from harness.cli import streams
from harness.cli.console import err, out, print_json
from harness.cli.inputs import headers_of, json_text
from harness.cli.stacks import Json, NameOrFile
from harness.cli.state import stack_up
from harness.inspection import calling as through


def publish(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    data: Annotated[
        str, typer.Argument(metavar="JSON", help="The data as JSON; - reads standard input.")
    ],
    name: NameOrFile = "default",
    pubsub: Annotated[
        str | None, typer.Option(help="The pub/sub component; not needed if there is only one.")
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="The CloudEvent's type.")] = None,
    key: Annotated[str | None, typer.Option(help="Kafka's partition key.")] = None,
    app: Annotated[
        str | None,
        typer.Option(help="The app whose sidecar publishes; by default, one that can."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish an event; daprd wraps the data in a CloudEvent."""
    content = json_text(data, "the data")
    metadata = {"cloudevent.type": event_type, "partitionKey": key}
    with stack_up(name) as stack:
        done = through.publish(stack, topic, content, app=app, pubsub=pubsub, metadata=metadata)
    if as_json:
        print_json(done.as_json())
        return
    where = f"of pub/sub component {done.pubsub!r} through the sidecar of {done.app!r}"
    out.print(f"published to topic {topic!r} {where}", soft_wrap=True, markup=False)


def invoke(
    app: Annotated[str, typer.Argument(help="The id of the app to call.")],
    path: Annotated[str, typer.Argument(help="The path of its method, with a query if needed.")],
    name: NameOrFile = "default",
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
    content = None if data is None else json_text(data, "--data")
    headers = headers_of(header or [])
    with stack_up(name) as stack:
        answer = through.invoke(
            stack, app, path, verb=verb, content=content, headers=headers, caller=caller
        )
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
