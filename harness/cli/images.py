"""``images``: the images for containers, building them without a registry, removing old ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from harness.cli.console import Steps, out, print_json
from harness.core.errors import HarnessError, Unavailable
from harness.core.settings import Settings
from harness.provision.images import IMAGES, image

if TYPE_CHECKING:
    from harness.stack.images import Images

app = typer.Typer(
    name="images",
    help="List the images of the containers runtime, pull, build or remove them.",
    no_args_is_help=True,
)


@app.command("list")
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every image in the table, and whether this engine has it."""
    images = _images(Settings.load())
    found = [images.find(name) for name in IMAGES]
    if as_json:
        print_json([asdict(each) for each in found])
        return
    table = Table(box=None)
    for column in ("image", "reference", "where", "what"):
        table.add_column(column)
    colours = {"missing": "yellow", "built": "green", "here": "green", "chosen": "cyan"}
    for each in found:
        origin = f"[{colours[each.origin]}]{each.origin}[/]"
        table.add_row(each.name, each.reference, origin, IMAGES[each.name].needs)
    out.print(table)
    out.print("override one: DAPR_HARNESS_IMAGE_<NAME>, or [tool.dapr-harness.images]")


@app.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="The images to build; by default, all that can be built."),
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Leave out those that came from a registry.")
    ] = False,
    pull: Annotated[
        bool,
        typer.Option("--pull", help="First pull what is missing; build what no registry has."),
    ] = False,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network.")
    ] = None,
) -> None:
    """Build every image that can be built from provisioned tools, without a registry."""
    settings = Settings.load(offline=offline)
    images = _images(settings)
    failed: HarnessError | None = None
    wanted = names or [name for name, entry in IMAGES.items() if entry.local]
    refused = images.pull(wanted) if pull else {}
    for name, error in refused.items():
        out.print(f"{name:<10} could not be pulled: {error.subject}", soft_wrap=True)
    for name in wanted:
        if (missing or pull) and images.find(name).origin in ("here", "chosen"):
            continue
        try:
            done = images.build(name)
        except HarnessError as error:
            # Continue: if one image cannot be built, the others are still useful.
            out.print(f"{name:<10} could not be built: {error.subject}", soft_wrap=True)
            failed = failed or error
        else:
            what = "built" if done else "up to date"
            out.print(f"{name:<10} {image(name, settings).local}  {what}", soft_wrap=True)
    if failed is not None:
        raise failed


@app.command()
def prune(
    everywhere: Annotated[
        bool, typer.Option("--all", help="Remove those of every project.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove the images of this project's apps that no container uses."""
    number, size = _images(Settings.load()).prune(everywhere=everywhere)
    if as_json:
        print_json({"images": number, "bytes": size})
    else:
        out.print(f"removed: {number} images, {size / 1e6:.1f} MB")


def _images(settings: Settings) -> Images:
    try:
        from harness.stack.images import Images
    except ImportError as error:
        raise Unavailable(
            "images need two additional packages",
            last=str(error),
            hint="pip install 'dapr-harness[containers]'",
        ) from None
    images = Images(settings, Steps())
    _ = images.engine
    return images
