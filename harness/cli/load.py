"""``load``: a load run from the start of a stack to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from harness.cli.bundle import leave
from harness.cli.console import StartProgress, Steps, err, out
from harness.core.errors import InstanceDied, Unavailable
from harness.core.settings import Settings
from harness.stack.loading import load_topology
from harness.stack.run import running

if TYPE_CHECKING:
    from harness.load.generate.generator import Progress
    from harness.load.model.profile import Profile
    from harness.load.model.result import Comparison, Overhead, Result

TOPOLOGY = "topology.py"
"""A file of the load folder whose ``load`` is the topology, if it exists."""
SHOWN = ("mean", "p50", "p99", "p99.9")


def load(
    profile: Annotated[str, typer.Argument(help="Which profile of loadtests/profiles.")] = "smoke",
    folder: Annotated[
        Path, typer.Option(help="Profiles, users (locustfile.py) and budgets.toml.")
    ] = Path("loadtests"),
    out_folder: Annotated[Path, typer.Option("--out", help="Where the report goes.")] = Path(
        "artefacts/load"
    ),
    compare_with: Annotated[
        Path | None, typer.Option("--compare", help="The .json of an earlier run.")
    ] = None,
    topology: Annotated[
        str | None,
        typer.Option(help="module:attribute; by default FOLDER.topology:load, or the project's."),
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="auto, processes or containers.")] = None,
    broker: Annotated[str | None, typer.Option(help="kafka or redpanda.")] = None,
    processes: Annotated[int, typer.Option(help="Locust processes that send the load.")] = 1,
    bundle: Annotated[
        bool,
        typer.Option(
            "--bundle",
            help="Also leave a page and an archive about the stack, as if a request had failed.",
        ),
    ] = False,
) -> None:
    """Start the stack, send a profile's load, and write a report.

    If the stack dies, a request fails or an event is lost, a page and an archive about the stack
    are left beside the report.

    Exit codes: 0 success, 1 a budget was exceeded, 4 the stack or the generator died, or the run
    is invalid.
    """
    try:
        from harness.load.judge.compare import comparison, require_comparable
        from harness.load.judge.criteria import has_failed, verdict
        from harness.load.model.budgets import read_budgets
        from harness.load.model.profile import read_profile
        from harness.load.model.result import read_result
        from harness.load.render.report import require_writable, write_all
        from harness.load.runner import LoadRun, require_raw_topic
    except ImportError as error:
        raise Unavailable(
            "load needs Locust and histograms",
            last=str(error),
            hint="pip install 'dapr-harness[load]'",
        ) from None
    # An export of every request would change what is measured.
    given: dict[str, Any] = {"runtime": runtime, "broker": broker, "otlp": ""}
    settings = Settings.load(topology=topology, **given)
    if topology is None and (own := _topology_of(settings.root, folder)):
        settings = Settings.load(topology=own, **given)
    described = read_profile(settings.root / folder / "profiles", profile)
    budgets = read_budgets(settings.root / folder / "budgets.toml")
    earlier = read_result(compare_with) if compare_with else None
    if earlier is not None:
        require_comparable(earlier, described)
    system = load_topology(settings)
    require_raw_topic(system, described)
    shown_start = StartProgress()
    stack = running(system, settings, progress=Steps(), watch=shown_start)
    require_writable(out_folder)
    try:
        stack.provision()
        with shown_start.shown():
            stack.start()
        result = _watched(
            described,
            lambda progress: LoadRun(
                stack,
                described,
                settings.root / folder / "locustfile.py",
                budgets=budgets,
                processes=processes,
                progress=progress,
            ).run(),
        )
        if bundle or has_failed(result):
            said = verdict(result)[1]
            leave(stack, f"load {described.name}", out_folder, error=said, option="--out")
    finally:
        stack.close()
    if earlier is not None:
        result = replace(result, comparison=comparison(earlier, result))
    _print(result)
    for path in write_all(result, out_folder):
        out.print(str(path), soft_wrap=True)
    _exit(result)


def _topology_of(root: Path, folder: Path) -> str:
    """The topology of the load folder; "" if it has none, so that the project's is used."""
    file = root / folder / TOPOLOGY
    if not (file.is_file() and file.is_relative_to(root)):
        return ""
    return f"{'.'.join(file.relative_to(root).with_suffix('').parts)}:load"


def _watched(profile: Profile, run: Callable[[Progress], Result]) -> Result:
    out.print(f"{profile.name}: {profile.about}", markup=False)
    with Live(console=err, refresh_per_second=4) as live:
        return run(lambda elapsed, names: live.update(_table(profile, elapsed, names)))


def _table(profile: Profile, elapsed: float, names: Mapping[str, Mapping[str, float]]) -> Table:
    title = f"{min(elapsed, profile.seconds):.0f} of {profile.seconds:.0f} s"
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", "due", "answered", "failed", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in sorted(names.items()):
        figures = [f"{row[key]:.2f}" if key in row else "" for key in ("p50", "p99")]
        table.add_row(name, *(f"{row[key]:.0f}" for key in ("offered", "ok", "failed")), *figures)
    return table


def _print(result: Result) -> None:
    from harness.load.render.page import warmup_said

    table = Table(box=None, title="milliseconds from the due time", title_justify="left")
    for column in ("", "answered", "failed or lost", "mean", "p50", "p99", "p99.9"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in result.names.items():
        values = [f"{row.intended[key]:.2f}" if key in row.intended else "" for key in SHOWN]
        table.add_row(name, str(row.ok), str(row.failed + row.lost or ""), *values)
    out.print(table)
    for cost in result.overheads:
        out.print(_overhead(cost), highlight=False, soft_wrap=True)
    for each in [*result.validity, *result.thresholds]:
        sign = "[green]ok[/]  " if each.met else "[red]no[/]  "
        said = escape(f"{each.name}: {each.fact}")
        out.print(f"{sign} {said}", highlight=False, soft_wrap=True)
    out.print(warmup_said(result), highlight=False, soft_wrap=True)
    if result.comparison:
        _print_changes(result.comparison)


def _overhead(each: Overhead) -> str:
    mean, p50, p99 = each.mean, each.ratios["p50"], each.ratios["p99"]
    return (
        f"{each.name} / {each.beside}: {mean.value:+.2f} ms "
        f"({mean.low:.2f} to {mean.high:.2f}), p50 x {p50}, p99 x {p99}"
    )


def _print_changes(comparison: Comparison) -> None:
    if comparison.problem:
        out.print(comparison.problem)
        return
    for each in comparison.changes:
        if each.verdict != "noise":
            out.print(
                f"{each.name} {each.figure}: {each.verdict}, {each.then:.2f} -> {each.now:.2f} ms, "
                f"x {each.ratio:.2f} ({each.low:.2f} to {each.high:.2f})",
                highlight=False,
            )
    quiet = sum(each.verdict == "noise" for each in comparison.changes)
    out.print(f"{quiet} of {len(comparison.changes)} figures have not changed by more than noise")


def _exit(result: Result) -> None:
    from harness.load.judge.criteria import verdict

    code, said = verdict(result)
    if result.died:
        raise InstanceDied(result.died, hint="the report covers what was measured until then")
    if code:
        err.print(f"[red]{escape(said)}[/]", highlight=False, soft_wrap=True)
        raise typer.Exit(code)
