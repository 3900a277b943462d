"""``state list``, ``get``, ``set`` and ``delete``: keys of the state stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from harness.cli import streams
from harness.cli.browsing import list_keys, print_stored
from harness.cli.calling import readable
from harness.cli.console import err, out
from harness.cli.inputs import json_text
from harness.cli.stacks import Json, NameOrFile
from harness.cli.state import stack_up
from harness.dapr import calls
from harness.inspection.keys import Place, place_of, read_key

app = typer.Typer(name="state", help="Read and write keys of a state store.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The key as the app uses it, without a prefix.")]
Store = Annotated[
    str | None, typer.Option(help="The state store; not needed if the app has only one.")
]
AppId = Annotated[
    str | None,
    typer.Option("--app", help="The app whose key it is; not needed if only one has a store."),
]


app.command(name="list")(list_keys)


@app.command()
def get(
    key: Key,
    name: NameOrFile = "default",
    store: Store = None,
    app_id: AppId = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="KEY is as `state list` shows it for the store; read it from there."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the value of a key; exit code 1 if it does not exist.

    --raw and --json mask the stack's secrets; without them, the value is printed as it is stored.
    """
    if raw or as_json:
        print_stored(key, name, store=store, app=app_id, raw=raw, as_json=as_json)
        return
    with _place(name, app_id, store, key) as place:
        answer = read_key(place, key)
    if not answer.headers.get("etag"):
        err.print(f"{place} has no key {key!r}", soft_wrap=True, markup=False)
        raise typer.Exit(1)
    streams.write_bytes(readable(answer.content))


@app.command(name="set")
def set_(
    key: Key,
    value: Annotated[
        str, typer.Argument(metavar="JSON", help="The value as JSON; - reads standard input.")
    ],
    name: NameOrFile = "default",
    store: Store = None,
    app_id: AppId = None,
) -> None:
    """Write the value of a key."""
    content = json.loads(json_text(value, "the value"))
    with _place(name, app_id, store, key) as place:
        call = calls.save_state(place.store, key, content, etag=None, concurrency=None, ttl=None)
        place.run(call, f"write key {key!r}")
    out.print(f"wrote {key!r} to {place}", soft_wrap=True, markup=False)


@app.command()
def delete(
    key: Key, name: NameOrFile = "default", store: Store = None, app_id: AppId = None
) -> None:
    """Delete a key; one that does not exist is not an error."""
    with _place(name, app_id, store, key) as place:
        place.run(calls.delete_state(place.store, key, etag=None), f"delete key {key!r}")
    out.print(f"deleted {key!r} from {place}", soft_wrap=True, markup=False)


@contextmanager
def _place(name: str, app_id: str | None, store: str | None, key: str) -> Iterator[Place]:
    with stack_up(name) as stack:
        yield place_of(stack, app_id, store, key)
