"""``jobs list``, ``get`` and ``delete``: the jobs that an app has scheduled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from harness.cli.console import add_row, out, print_json, table
from harness.cli.stacks import Json, NameOrFile
from harness.cli.state import stack_up
from harness.core.errors import ConfigError
from harness.dapr import calls
from harness.inspection.scheduled import listed
from harness.inspection.sidecars import UpSidecar, candidates

app = typer.Typer(name="jobs", help="Show and cancel scheduled jobs.", no_args_is_help=True)

AppId = Annotated[
    str | None,
    typer.Option("--app", help="The app that scheduled it; not needed if there is only one app."),
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="The job's name.")]


@app.command(name="list")
def list_(name: NameOrFile = "default", app_id: AppId = None, as_json: Json = False) -> None:
    """List the jobs of an app. daprd offers this over gRPC only, which needs the extra `sdk`."""
    with _sidecar(name, app_id) as sidecar:
        found = listed(sidecar)
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("no jobs")
        return
    columns = {"name": "name", "schedule": "schedule", "dueTime": "due", "repeats": "repeats"}
    made = table("jobs", *columns.values(), "data")
    for job in found:
        shown = (str(job.get(key, "")) for key in columns)
        add_row(made, *shown, _data_of(job))
    out.print(made)


@app.command()
def get(job: JobName, name: NameOrFile = "default", app_id: AppId = None) -> None:
    """Print a job as the scheduler stores it."""
    with _sidecar(name, app_id) as sidecar:
        print_json(sidecar.run(calls.get_job(_named(job)), f"find job {job!r}"))


@app.command()
def delete(job: JobName, name: NameOrFile = "default", app_id: AppId = None) -> None:
    """Cancel a job; one that does not exist is not an error."""
    with _sidecar(name, app_id) as sidecar:
        sidecar.run(calls.delete_job(_named(job)), f"delete job {job!r}")
    out.print(f"deleted job {job!r} of app {sidecar.app_id!r}", soft_wrap=True, markup=False)


def _data_of(job: Mapping[str, Any]) -> str:
    """A job's data as JSON; "" if it has none. daprd wraps what came over HTTP into a Value."""
    data = job.get("data") or {}
    value = data.get("value", data)
    return "" if value in ({}, None) else json.dumps(value)


def _named(job: str) -> str:
    if not job:
        raise ConfigError("a job's name must not be empty")
    return job


@contextmanager
def _sidecar(name: str, app_id: str | None) -> Iterator[UpSidecar]:
    """The sidecar of the selected app.

    Raises:
        ConfigError: there is none, or it is not clear which one is meant.
    """
    with stack_up(name) as stack:
        found = candidates(stack, app_id)
        if len(found) > 1:
            raise ConfigError(
                f"several apps of stack {stack.name!r} can have jobs",
                last=", ".join(each.app_id for each in found),
                hint="choose one with --app: each app has jobs of its own",
            )
        yield found[0]
