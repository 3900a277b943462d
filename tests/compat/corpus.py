"""Run whatever multi-app run files lie in a folder, each for a bounded time, and judge each run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.core.deadline import Deadline, Observation, poll

UP = re.compile(r"^(\d+)(?: of (\d+))? apps? (?:is|are) up after", re.MULTILINE)
ENDED = re.compile(r"(?:exited with code [1-9]|was killed by signal)")
ENDS = (0, 130, 143, -signal.SIGTERM)
"""Exit codes of a run that ended by itself, or when this runner ended it, at whatever moment."""

SAID = 2000
"""Characters of what was said last that a row keeps."""


@dataclass(frozen=True)
class Row:
    """How one run file fared.

    Attributes:
        file: its path below the folder.
        verdict: ``unmodified``, ``addresses changed``, ``an app failed``, ``refused`` or
            ``not up in time``.
        why: the first line that explains it, "" where it runs.
        said: the end of the output.
    """

    file: str
    verdict: str
    why: str = ""
    said: str = field(default="", repr=False)


def run_files(folder: Path) -> Iterator[Path]:
    """Every YAML file below a folder that holds a list of apps, dependencies' folders left out."""
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        if {"node_modules", ".venv", ".dapr"} & set(path.parts):
            continue
        try:
            found = yaml.safe_load(path.read_text())
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        if isinstance(found, dict) and isinstance(found.get("apps"), list) and "version" in found:
            yield path


def read_replacements(file: Path | None) -> dict[str, str]:
    """What is put in the place of what, from a TOML file with a table ``replace``."""
    if file is None:
        return {}
    table = tomllib.loads(file.read_text()).get("replace", {})
    return {str(old): str(new) for old, new in table.items()}


def carried_out(
    folder: Path,
    name: str,
    *,
    seconds: float,
    replaced: Mapping[str, str],
    options: Sequence[str] = (),
) -> Row:
    """Run one run file in a copy of its folder, and end it after that many seconds.

    Args:
        folder: what is copied, so that nothing is written into it.
        name: the run file's path below it.
        seconds: how long it may run once all is up, and how long it may take until then.
        replaced: texts to replace in the YAML files of the copy.
        options: further options of ``dapr-harness run``.
    """
    with tempfile.TemporaryDirectory(prefix="corpus-") as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(folder, copy, symlinks=True)
        changed = _replace(copy, replaced)
        code, said = _run(copy / name, seconds, options)
    return judged(name, code, said, changed=changed)


def judged(name: str, code: int, said: str, *, changed: bool) -> Row:
    """The row of a run that ended with a code and said something."""
    up = UP.search(said)
    ended = ENDED.search(said)
    line = next((row for row in said.splitlines() if ended and ended.group() in row), "")
    end = said[-SAID:]
    if code == 2:
        return Row(name, "refused", _first_error(said), end)
    if line or code not in ENDS:
        return Row(name, "an app failed", line or _first_error(said), end)
    if not up or (up[2] and up[1] != up[2]):
        return Row(name, "not up in time", up.group() if up else _first_error(said), end)
    return Row(name, "addresses changed" if changed else "unmodified", "", end)


def _run(file: Path, seconds: float, options: Sequence[str]) -> tuple[int, str]:
    program = Path(sys.executable).with_name("dapr-harness")
    # A name of its own: another run of this machine may be up under the usual one.
    named = ["-n", f"corpus-{os.getpid()}"]
    command = [str(program), "run", "-f", file.name, *named, *options]
    log = file.parent / "corpus.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=file.parent, stdout=output, stderr=subprocess.STDOUT, text=True
        )

    def ended() -> Observation:
        return Observation(process.poll() is not None)

    def up() -> Observation:
        return Observation(process.poll() is not None or bool(UP.search(log.read_text())))

    poll(up, Deadline(seconds))
    poll(ended, Deadline(seconds))
    # Not SIGINT: a shell's background jobs, and what they start, ignore it.
    process.terminate()
    return process.wait(120), log.read_text(errors="replace")


def _replace(folder: Path, replaced: Mapping[str, str]) -> bool:
    changed = False
    for path in [*folder.rglob("*.yaml"), *folder.rglob("*.yml")]:
        text = after = path.read_text(errors="surrogateescape")
        for old, new in replaced.items():
            after = after.replace(old, new)
        if after != text:
            path.write_text(after, errors="surrogateescape")
            changed = True
    return changed


def _first_error(said: str) -> str:
    rows = [row.strip() for row in said.splitlines() if row.strip()]
    return next((row for row in rows if "error" in row.lower()), rows[-1] if rows else "")
