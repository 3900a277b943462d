"""``state get``, ``set`` and ``delete``: keys of an app in a state store."""

from __future__ import annotations

import json
from typing import Annotated

import httpx
import typer

from harness.cli import streams
from harness.cli.calling import components_of, readable
from harness.cli.console import err, out
from harness.cli.inputs import json_text
from harness.cli.stacks import Name
from harness.cli.state import opened
from harness.core.errors import ConfigError, did_you_mean
from harness.core.settings import Settings
from harness.dapr import calls
from harness.inspection.sidecars import Refused, UpSidecar, candidates

app = typer.Typer(name="state", help="Read and write keys of a state store.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The key as the app uses it, without a prefix.")]
Store = Annotated[
    str | None, typer.Option(help="The state store; not needed if the app has only one.")
]
AppId = Annotated[
    str | None,
    typer.Option("--app", help="The app whose key it is; not needed if only one has a store."),
]


@app.command()
def get(key: Key, name: Name = "default", store: Store = None, app_id: AppId = None) -> None:
    """Print the value of a key; exit code 1 if it does not exist."""
    sidecar, component = _place(name, app_id, store, key)
    call = calls.get_state(component, key, {})
    # The value as it is stored, which need not be JSON.
    raw = calls.Call[httpx.Response](call.method, call.path, lambda answer: answer)
    answer = _run(sidecar, raw, f"read key {key!r}", component)
    if not answer.headers.get("etag"):
        err.print(f"{_where(sidecar, component)} has no key {key!r}", soft_wrap=True, markup=False)
        raise typer.Exit(1)
    streams.write_bytes(readable(answer.content))


@app.command(name="set")
def set_(
    key: Key,
    value: Annotated[
        str, typer.Argument(metavar="JSON", help="The value as JSON; - reads standard input.")
    ],
    name: Name = "default",
    store: Store = None,
    app_id: AppId = None,
) -> None:
    """Write the value of a key."""
    content = json.loads(json_text(value, "the value"))
    sidecar, component = _place(name, app_id, store, key)
    call = calls.save_state(component, key, content, etag=None, concurrency=None, ttl=None)
    _run(sidecar, call, f"write key {key!r}", component)
    out.print(f"wrote {key!r} to {_where(sidecar, component)}", soft_wrap=True, markup=False)


@app.command()
def delete(key: Key, name: Name = "default", store: Store = None, app_id: AppId = None) -> None:
    """Delete a key; one that does not exist is not an error."""
    sidecar, component = _place(name, app_id, store, key)
    _run(sidecar, calls.delete_state(component, key, etag=None), f"delete key {key!r}", component)
    out.print(f"deleted {key!r} from {_where(sidecar, component)}", soft_wrap=True, markup=False)


def _place(name: str, app_id: str | None, store: str | None, key: str) -> tuple[UpSidecar, str]:
    """The selected sidecar and state store.

    Raises:
        ConfigError: there is none, or it is not clear which one is meant.
    """
    if not key:
        raise ConfigError("a key must not be empty")
    stack = opened(Settings.load()).require(name)
    having = components_of(candidates(stack, app_id), "state.")
    if not having:
        who = f"the sidecar of {app_id!r}" if app_id else f"stack {stack.name!r}"
        raise ConfigError(f"{who} has no state store")
    if store is not None:
        having = [each for each in having if store in each[1]] or having
    if len(having) > 1:
        raise ConfigError(
            f"several apps of stack {stack.name!r} have a state store",
            last=", ".join(sidecar.app_id for sidecar, _ in having),
            hint="choose one with --app: unless the store's keyPrefix says otherwise, each app "
            "has keys of its own",
        )
    sidecar, names = having[0]
    if store is None and len(names) > 1:
        raise ConfigError(
            f"the sidecar of {sidecar.app_id!r} has several state stores",
            last=", ".join(sorted(names)),
            hint=f"choose one: --store {sorted(names)[0]}",
        )
    return sidecar, names[0] if store is None else store


def _run(sidecar: UpSidecar, call: calls.Call[calls.T], purpose: str, store: str) -> calls.T:
    try:
        return sidecar.run(call, purpose)
    except Refused as refused:
        if refused.error.error_code != "ERR_STATE_STORE_NOT_FOUND":
            raise
        known = [name for _, names in components_of([sidecar], "state.") for name in names]
        raise ConfigError(
            f"the sidecar of {sidecar.app_id!r} has no state store {store!r}",
            last=refused.last,
            hint=did_you_mean(store, known),
        ) from None


def _where(sidecar: UpSidecar, store: str) -> str:
    return f"state store {store!r} of app {sidecar.app_id!r}"
