"""Try every multi-app run file below a folder, and print how each fared.

    python -m tests.compat FOLDER [--seconds 20] [--with redis,...] [--replace FILE.toml]

The exit code is 1 when one of them does not run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.compat.corpus import carried_out, read_replacements, run_files

RUNS = ("unmodified", "addresses changed")
out = Console(soft_wrap=True)


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    *,
    seconds: Annotated[float, typer.Option(help="how long each may run once it is up")] = 20,
    services: Annotated[str, typer.Option("--with", help="services at their usual ports")] = "",
    replace: Annotated[
        Path | None, typer.Option(help='TOML: [replace] "localhost:6379" = "127.0.0.1:7000"')
    ] = None,
) -> None:
    """Run each run file in a copy of its folder for a bounded time."""
    replaced, options = read_replacements(replace), ["--with", services] if services else []
    table = Table("run file", "verdict", "why")
    rows = []
    for path in run_files(folder):
        name = str(path.relative_to(folder))
        out.print(f"{name} ...", style="dim")
        row = carried_out(folder, name, seconds=seconds, replaced=replaced, options=options)
        rows.append(row)
        table.add_row(row.file, row.verdict, row.why)
    out.print(table)
    raise typer.Exit(0 if rows and all(row.verdict in RUNS for row in rows) else 1)


if __name__ == "__main__":
    typer.run(main)
