"""``render``: the topology in the format of another system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import err, out
from harness.core.errors import Unavailable
from harness.core.rendered import Rendered
from harness.core.settings import Settings
from harness.manifests.project import KubernetesProject
from harness.stack.loading import load_topology

app = typer.Typer(
    name="render",
    help="Render the topology for another system: compose or Kubernetes.",
    no_args_is_help=True,
)


Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Overwrite files that were not rendered, or that have changed since."
    ),
]


@app.command()
def compose(
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to write the files; compose/ in the project by default."),
    ] = None,
    topology: Annotated[str | None, typer.Option(help="module:attribute.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file has drifted.")
    ] = False,
    force: Force = False,
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Write .env: new secrets, and the images built here."),
    ] = False,
) -> None:
    """Render a compose project that starts the same stack without the harness."""
    settings = Settings.load(topology=topology)
    try:
        from harness.render.compose.project import Project
    except ImportError as error:
        raise Unavailable(
            "compose files name images, which needs two additional packages",
            last=str(error),
            hint="pip install 'dapr-harness[containers]'",
        ) from None
    project = Project(load_topology(settings), settings, folder or settings.root / "compose")
    if check:
        project.check_drift()
        out.print(f"{project.folder} matches the topology")
        return
    if secrets:
        out.print(f"{project.write_secrets()}: do not commit it", soft_wrap=True)
        return
    _write(project, force=force)


@app.command()
def k8s(
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to write the files; kubernetes/ in the project by default."),
    ] = None,
    topology: Annotated[str | None, typer.Option(help="module:attribute.")] = None,
    name: Annotated[
        str, typer.Option(help="The system's name, for its Secret, image and chart.")
    ] = "todo",
    namespace: Annotated[
        str, typer.Option(help="The namespace of the manifests; by default, the system's name.")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file has drifted.")
    ] = False,
    force: Force = False,
) -> None:
    """Render Kubernetes manifests and a Helm chart of the apps and their Dapr resources.

    The cluster provides brokers and databases: their addresses are values of the chart.
    """
    settings = Settings.load(topology=topology)
    project = KubernetesProject(
        load_topology(settings), settings, folder or settings.root / "kubernetes", name, namespace
    )
    if check:
        project.check_drift()
        out.print(f"{project.folder} matches the topology")
        return
    _write(project, force=force)


def _write(project: Rendered, *, force: bool) -> None:
    written = project.write(force=force)
    for path in written.files:
        out.print(str(path), soft_wrap=True)
    for path in written.kept:
        err.print(
            f"{path} is no longer rendered; it was changed by hand and is kept",
            soft_wrap=True,
        )
