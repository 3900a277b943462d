"""``render``: the topology in another system's words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import out
from harness.errors import Unavailable
from harness.loading import load_topology
from harness.settings import Settings

app = typer.Typer(
    name="render",
    help="Write the topology down for another system: compose.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keeps `compose` a command of its own while it is the only one."""


@app.command()
def compose(
    folder: Annotated[
        Path | None, typer.Option(help="Where the files lie; compose/ of the project by default.")
    ] = None,
    topology: Annotated[str | None, typer.Option(help="module:attribute.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file has drifted.")
    ] = False,
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Write .env: fresh secrets, and the images made here."),
    ] = False,
) -> None:
    """Render a compose project that starts the same stack without the harness."""
    settings = Settings.load(topology=topology)
    try:
        from harness.compose.project import Project
    except ImportError as error:
        raise Unavailable(
            "compose files name images, which needs two more packages",
            last=str(error),
            hint="pip install 'dapr-harness[containers]'",
        ) from None
    project = Project(load_topology(settings), settings, folder or settings.root / "compose")
    if check:
        project.require_same()
        out.print(f"{project.folder} is what the topology renders")
        return
    if secrets:
        out.print(f"{project.write_secrets()}: keep it out of the repository", soft_wrap=True)
        return
    for path in project.write():
        out.print(str(path), soft_wrap=True)
