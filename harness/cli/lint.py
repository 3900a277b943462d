"""``lint``: Dapr resources against what the pinned Dapr, or another version, knows."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import Steps, err, out, print_json
from harness.dapr.finding import Finding
from harness.dapr.known import Known, known_in, pinned
from harness.dapr.lint import check_resources
from harness.dapr.resources import DaprResource, read_file, replaced, resource_files
from harness.errors import ConfigError
from harness.loading import load_topology
from harness.provision.metadata import provide_metadata
from harness.provision.store import Store
from harness.settings import Settings

COLOURS = {"error": "red", "warning": "yellow"}


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders, a later folder over an earlier; the topology's if left out."
        ),
    ] = None,
    app: Annotated[
        list[str] | None, typer.Option(help="An app-id that scopes may name; repeatable.")
    ] = None,
    dapr_version: Annotated[
        str | None,
        typer.Option(help="Check against what this version knows; the pinned one if left out."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Find what daprd would refuse, or ignore in silence; exit code 2 if there is something."""
    if paths:
        chosen, apps = paths, app
    else:
        settings = Settings.load()
        topology = load_topology(settings)
        chosen = [settings.root / each for each in topology.resources]
        names = {node.name for node in topology.nodes}
        apps = app or sorted(name for name in names if f"{name}-daprd" in names)
    found, resources = _findings(chosen, apps, _known(dapr_version))
    if as_json:
        print_json([asdict(each) for each in found])
    for each in [] if as_json else found:
        colour = COLOURS[each.severity]
        place = _shorter(each.place)
        hint = f" [dim]({_plain(each.hint)})[/]" if each.hint else ""
        line = f"{place}: [{colour}]{each.severity}[/] {_plain(each.message)}{hint}"
        out.print(line, soft_wrap=True, highlight=False)
    errors = sum(each.severity == "error" for each in found)
    told = f"{resources} resources: {errors} errors, {len(found) - errors} warnings"
    err.print(told, highlight=False)
    if errors or (strict and found):
        raise typer.Exit(2)


def _findings(paths: list[Path], apps: list[str] | None, known: Known) -> tuple[list[Finding], int]:
    """Everything that is wrong, by place; and how many resources were read."""
    found: list[Finding] = []
    resources: list[DaprResource] = []
    for path in paths:
        own: list[DaprResource] = []
        for file in _files(path):
            try:
                own += read_file(file)
            except ConfigError as error:
                place, _, message = error.subject.rpartition(": ")
                found.append(Finding(place or str(file), f"{message}: {error.last}".rstrip(": ")))
        resources = [*(replaced(resources, own) if path.is_dir() else resources), *own]
    found += check_resources(resources, apps, None, known)
    found += _twice(resources)
    return sorted(found, key=_line), len(resources)


def _known(version: str | None) -> Known:
    if version is None:
        return pinned()
    settings = Settings.load(dapr_version=version)
    return known_in(provide_metadata(settings, Store(settings.cache_dir), Steps()))


def _files(path: Path) -> list[Path]:
    if not path.exists() and not path.is_symlink():
        raise ConfigError(f"{path} does not exist", hint="name files or folders of YAML")
    return resource_files(path) if path.is_dir() else [path]


def _twice(resources: list[DaprResource]) -> list[Finding]:
    """Resources of one kind and name that one sidecar would load together."""
    found = []
    for first, second in combinations(resources, 2):
        if (first.kind, first.name) == (second.kind, second.name) and _overlap(first, second):
            message = f"{second.kind} {second.name!r} exists twice; the other one: {first.at()}"
            found.append(Finding(second.at(), message, "rename one, or give them other scopes"))
    return found


def _overlap(first: DaprResource, second: DaprResource) -> bool:
    return not (first.scopes and second.scopes) or bool({*first.scopes} & {*second.scopes})


def _line(each: Finding) -> tuple[str, int]:
    file, _, line = each.place.rpartition(":")
    return (file, int(line)) if line.isdigit() else (each.place, 0)


def _shorter(place: str) -> str:
    return place.removeprefix(f"{Path.cwd()}/")


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
