"""``lint``: checks Dapr resources against the pinned Dapr, or another version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import Steps, err, out, print_json
from harness.core.errors import ConfigError
from harness.core.settings import Settings
from harness.dapr.finding import Finding
from harness.dapr.known import Known, known_in, pinned
from harness.dapr.lint import check_resources
from harness.dapr.resources import DaprResource, read_found, replaced, resource_files
from harness.provision.metadata import provide_metadata
from harness.provision.store import Store
from harness.stack.loading import load_topology

SKIPPED = ("node_modules", "__pycache__", "site-packages")
"""Folders that contain other people's YAML."""

COLOURS = {"error": "red", "warning": "yellow"}


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders; later ones override earlier ones. By default, the topology's."
        ),
    ] = None,
    app: Annotated[
        list[str] | None, typer.Option(help="An app-id that scopes may name; repeatable.")
    ] = None,
    dapr_version: Annotated[
        str | None,
        typer.Option(help="The version of Dapr to check against; by default, the pinned one."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what daprd would reject or silently ignore; the exit code is 2 if anything is found."""
    settings = Settings.load()
    if paths:
        chosen, apps, folder = paths, app, None
    else:
        topology = load_topology(settings)
        chosen = [settings.root / each for each in topology.resources]
        folder = settings.root
        apps = app or sorted(topology.app_ids())
    known = _known(dapr_version)
    found, resources = _findings(chosen, apps, folder, known)
    for path, below in ((one, each) for one in paths or () for each in _folders_below(one)):
        if below in chosen:
            continue
        # Read in addition to the given folders, as in a topology; only its own findings are
        # reported.
        more, _ = _findings([path, below], apps, folder, known)
        own = [each for each in more if each.place.startswith(f"{below}/")]
        found += [each for each in own if each not in found]
        resources += sum(1 for file in resource_files(below) for _ in _readable(file))
    if not resources and not found:
        raise ConfigError(
            f"no resource was found in {', '.join(map(str, chosen)) or 'the topology'}",
            expected="YAML files with Dapr resources, there or in subfolders",
            hint="name the folder that contains them",
        )
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
    if errors or (found and (strict or settings.strict)):
        raise typer.Exit(2)


def _findings(
    paths: list[Path], apps: list[str] | None, folder: Path | None, known: Known
) -> tuple[list[Finding], int]:
    """All findings, ordered by place, and the number of resources that were read."""
    found: list[Finding] = []
    resources: list[DaprResource] = []
    for path in paths:
        own: list[DaprResource] = []
        for file in _files(path):
            try:
                own += read_found(file)
            except ConfigError as error:
                place, _, message = error.subject.rpartition(": ")
                found.append(Finding(place or str(file), f"{message}: {error.last}".rstrip(": ")))
        resources = [*(replaced(resources, own) if path.is_dir() else resources), *own]
    found += check_resources(resources, apps, None, folder, known)
    found += _twice(resources)
    return sorted(found, key=_line), len(resources)


def _folders_below(path: Path) -> Iterator[Path]:
    """Subfolders with resources; tools' folders and hidden ones except ``.dapr`` are skipped."""
    for child in sorted(path.iterdir()) if path.is_dir() else ():
        hidden = child.name in SKIPPED or (child.name[0] == "." and child.name != ".dapr")
        if child.is_dir() and not child.is_symlink() and not hidden:
            if _holds_resources(child):
                yield child
            yield from _folders_below(child)


def _holds_resources(folder: Path) -> bool:
    """Whether one of its files is for Dapr's API; folders of other YAML are ignored."""
    return any(each.is_read for file in resource_files(folder) for each in _readable(file))


def _readable(file: Path) -> Iterator[DaprResource]:
    with suppress(ConfigError):
        yield from read_found(file)


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
    """Resources of the same kind and name that one sidecar would load together."""
    found = []
    for first, second in combinations(resources, 2):
        if (first.kind, first.name) == (second.kind, second.name) and _overlap(first, second):
            message = f"{second.kind} {second.name!r} exists twice; the other one: {first.at()}"
            found.append(Finding(second.at(), message, "rename one, or give them different scopes"))
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
