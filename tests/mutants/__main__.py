"""Apply mutants to a copy of the project, one at a time, and see whether their tests turn red.

    python -m tests.mutants [NAME ...] [--area AREA] [--baseline]

The exit code is 1 when a mutant survived or could not be run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer
from rich.console import Console
from rich.markup import escape

from tests.mutants.catalog import Mutant, chosen, read
from tests.support import ROOT

LONGEST = 900
"""Seconds after which a test is ended: a mutant can make anything hang."""

CAUGHT, SURVIVED, DID_NOT_RUN, EQUIVALENT = "caught", "SURVIVED", "DID NOT RUN", "equivalent"
COLOURS = {CAUGHT: "green", SURVIVED: "red", DID_NOT_RUN: "red", EQUIVALENT: "dim"}
_NOT_STARTED = re.compile(
    r"""(failed on setup with ")?\S+ did not pass the readiness check"""
    r"""|failed on setup with "Failed: Timeout """
)
"""A stack of the test's fixtures that was not ready in time: a busy machine does that as well."""

out = Console(highlight=False, soft_wrap=True)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="which mutants; all by default")] = None,
    area: Annotated[list[str] | None, typer.Option(help="those of this list")] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="first see each test green without its mutant")
    ] = False,
) -> None:
    """Run the tests of each mutant in a copy of the project that has this one error."""
    try:
        mutants = chosen(read(), names or (), area or ())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with copied(ROOT) as copy:
        _require_own_code(copy)
        verdicts = [verdict for mutant in mutants for verdict in _judged(copy, mutant, baseline)]
    counts = {each: verdicts.count(each) for each in COLOURS}
    out.print(f"{len(mutants)} mutants; tests: " + ", ".join(f"{n} {k}" for k, n in counts.items()))
    raise typer.Exit(1 if counts[SURVIVED] or counts[DID_NOT_RUN] else 0)


@contextlib.contextmanager
def copied(root: Path) -> Iterator[Path]:
    """A copy of the files that git tracks or would track, in a folder that is removed."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # Open to all, as a checkout is: as root, PostgreSQL runs as another account.
        Path(folder).chmod(0o755)
        copy = Path(folder) / "project"
        for name in filter(None, names.split("\0")):
            if (root / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, copy / name)
        subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
        yield copy


def _judged(copy: Path, mutant: Mutant, baseline: bool) -> Iterator[str]:
    """The verdict for each test of a mutant, told as it is known."""
    if mutant.equivalent:
        yield _told(mutant, EQUIVALENT, mutant.equivalent)
    for test in mutant.caught_by:
        began = time.monotonic()
        verdict, why = DID_NOT_RUN, ""
        if baseline:
            verdict, why = _run(copy, test, mutant.arguments)
        if baseline and verdict != SURVIVED:
            yield _told(mutant, DID_NOT_RUN, f"{test} without the mutant: {why}")
            continue
        with _applied(copy, mutant):
            verdict, why = _run(copy, test, mutant.arguments)
        yield _told(mutant, verdict, f"{test} {why} ({time.monotonic() - began:.0f} s)")


@contextlib.contextmanager
def _applied(copy: Path, mutant: Mutant) -> Iterator[None]:
    file = copy / mutant.file
    text = file.read_text()
    file.write_text(mutant.applied(text))
    try:
        yield
    finally:
        file.write_text(text)


def _run(copy: Path, test: str, arguments: Sequence[str]) -> tuple[str, str]:
    """Run one test alone; the verdict, and the reason or the first failure's first line."""
    report = copy.parent / "report.xml"
    report.unlink(missing_ok=True)
    options = ["-q", "--exitfirst", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, *arguments, test]
    with subprocess.Popen(
        command, cwd=copy, env=_environment(copy), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as running:  # fmt: skip
        try:
            output, _ = running.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return DID_NOT_RUN, f"no end after {LONGEST} s"
    if running.returncode not in (0, 1) or not report.is_file():
        return DID_NOT_RUN, f"pytest: exit code {running.returncode}\n{output[-2000:]}"
    return _verdict(report)


def _verdict(report: Path) -> tuple[str, str]:
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    bad = [each for case in cases for each in case if each.tag in ("failure", "error")]
    if bad:
        told = (bad[0].get("message") or "").partition("\n")[0][:160]
        return (DID_NOT_RUN if _NOT_STARTED.match(told) else CAUGHT), told
    if all(case.find("skipped") is not None for case in cases):
        return DID_NOT_RUN, "skipped" if cases else "no such test"
    return SURVIVED, ""


def _environment(copy: Path) -> dict[str, str]:
    """As it is, with the copy's packages before those that are installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    # Written within the same second, a file of the same size would be taken for the one before.
    return {**kept, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def _require_own_code(copy: Path) -> None:
    """The copy must be what is imported, or every mutant would survive."""
    script = "import harness, services, tests; print(harness.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", script], cwd="/", env=_environment(copy),
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    if not Path(found).is_relative_to(copy):
        raise SystemExit(f"{found} was imported, not the copy in {copy}: mutants would not be seen")


def _told(mutant: Mutant, verdict: str, why: str) -> str:
    out.print(f"[{COLOURS[verdict]}]{verdict:11}[/] {mutant.name}: {escape(why)}")
    return verdict


if __name__ == "__main__":
    typer.run(main)
