"""``replay`` and ``diff``: a failed test again, and two runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.bundle.page import write
from harness.bundle.recording import Origin
from harness.cli.console import StartProgress, Steps, out, print_json
from harness.core.errors import ConfigError
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.replay.archive import read_archive, read_bundle
from harness.replay.diff import difference
from harness.replay.differences import could_differ, left_out, surroundings
from harness.replay.running import Replayed, Replays
from harness.replay.seeds import RANDOMLY
from harness.stack.run import running
from harness.stack.stack import Stack


def replay(
    archives: Annotated[
        list[Path], typer.Argument(help="Archives of failed tests: artefacts/<test>.zip.")
    ],
    speed: Annotated[
        float, typer.Option(help="How much faster than recorded; 0: as fast as possible.")
    ] = 1.0,
    topology: Annotated[
        str | None, typer.Option(help="module:attribute; as recorded by default.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="processes or containers; as recorded by default.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the page and the archive of the replay go; beside the archive."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> int:
    """Do again what a failed test did, on a new stack; exit code 1 if the failure comes again."""
    if speed < 0:
        raise ConfigError(f"--speed is {speed:g}", expected="1, a larger number, or 0")
    read = [read_archive(each) for each in archives]

    def settings_for(origin: Origin) -> Settings:
        return Settings.load(
            topology=topology or origin.reference or None,
            runtime=runtime or origin.runtime or None,
            broker=origin.broker or None,
            dapr_version=origin.dapr_version or None,
        )

    found: list[dict[str, Any]] = []
    replays = Replays(settings_for, _stack, speed)
    try:
        for each in read:
            done = replays.replay(each)
            name = f"{each.file.stem}--replay"
            page = write(done.bundle, folder or each.file.parent, name=name, option="--folder")
            found.append(_as_json(done, page))
            if not as_json:
                _show(found[-1])
    finally:
        replays.close()
    if as_json:
        print_json(found)
    return int(any(each["reproduced"] for each in found))


def diff(
    first: Annotated[Path, typer.Argument(help="The archive of a failed test or of a replay.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show what differs between two runs: events, order, deliveries, versions, resources."""
    found = difference(read_bundle(first), read_bundle(second))
    if as_json:
        print_json(found.as_json())
        return
    for line in found.lines():
        _line(line)


def _stack(topology: Topology, settings: Settings) -> Stack:
    return running(topology, settings, progress=Steps(), watch=StartProgress())


def _as_json(done: Replayed, page: Path) -> dict[str, Any]:
    old, new = done.archive.bundle, done.bundle
    return {
        "test": old.test,
        "reproduced": done.outcome.reproduced,
        "basis": done.outcome.basis,
        "recorded": done.outcome.recorded,
        "now": done.outcome.now,
        "inputs": len(done.done),
        "seeds": dict(done.archive.recording.origin.seeds),
        "differences": [*done.warnings, *surroundings(old, new)],
        "not_repeated": [*left_out(done.archive.recording, done.done)],
        "could_differ": could_differ(done.archive.recording),
        "page": str(page),
    }


def _show(found: dict[str, Any]) -> None:
    color, word = ("red", "reproduced") if found["reproduced"] else ("green", "not reproduced")
    out.print(f"[{color}]{word}[/]: ", end="")
    _line(found["test"])
    _line(f"  recorded: {found['recorded'] or 'no cause is known'}")
    _line(f"  now:      {found['now'] or 'no cause is found'}")
    if found["basis"] == "paths":
        _line("  the paths of the test's events were compared, as no cause is known")
    for name, seed in found["seeds"].items():
        here = ": `random` began with it here, too" if name == RANDOMLY else ""
        _line(f"  the test had the seed {seed} of {name}{here}")
    for each in found["differences"]:
        _line(f"  differs: {each}")
    for each in found["not_repeated"]:
        _line(f"  not repeated: {each}")
    _line(f"  {found['page']}")
    if not found["reproduced"]:
        _line("  no replay repeats:")
        for each in found["could_differ"]:
            _line(f"    {each}")


def _line(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)
