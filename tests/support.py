"""What several test modules share: projects in a folder, the CLI, and looking for survivors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.deadline import Check, Deadline, Observation, poll
from harness.core.launch import Launch
from harness.core.node import Scope
from harness.nodes.base import BaseNode

CLI = [sys.executable, "-m", "harness.cli.main"]
ROOT = Path(__file__).parent.parent

WITHOUT = [
    word
    for name in ("cacheprovider", "schemathesis", "locust", "randomly")
    for word in ("-p", f"no:{name}")
]
"""Plugins of the development environment that take long to import, in each worker too; and the
one that shuffles: pytester removes the variable with which the suite turns it off."""
PYTEST = [sys.executable, "-m", "pytest", *WITHOUT]
"""A pytest of a test's own, on files that need none of these plugins."""


@dataclass(frozen=True)
class ScriptedCheck:
    """A check that is ok from the n-th look on; never when ``after`` is None."""

    name: str = "ready"
    after: int | None = 0
    waits_for: str = ""
    looks: list[int] = field(default_factory=list)

    def observe(self) -> Observation:
        self.looks.append(1)
        ok = self.after is not None and len(self.looks) > self.after
        return Observation(ok, f"look {len(self.looks)}")


@dataclass(frozen=True)
class Fake(BaseNode):
    """A node whose only fact is its name."""

    name: str
    needs: tuple[str, ...] = ()
    scripted: tuple[Check, ...] = (ScriptedCheck(),)
    values: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    under_test: bool = False
    exit_ok: bool = False
    required: bool = True
    fixed_ports: Mapping[str, int] = field(default_factory=dict)
    external: bool = False

    def plan(self, scope: Scope) -> Launch:
        scope.fill(self.text, self.name)
        for port in self.fixed_ports:
            scope.listen(port)
        return Launch(
            self.name,
            ("true",),
            under_test=self.under_test,
            exit_ok=self.exit_ok,
            required=self.required,
            external=self.external,
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        return self.scripted

    def exports(self, scope: Scope) -> Mapping[str, str]:
        return self.values


def project(folder: Path, **files: str) -> Path:
    """Write files by name; a double underscore stands for a slash, a last one for the suffix.

    ``components__pubsub_yaml`` becomes ``components/pubsub.yaml``.
    """
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        path = folder / (stem.replace("__", "/") + "." + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def open_to_others(folder: Path) -> None:
    """Let other users pass through a test's folder, and through pytest's own, which are closed.

    As root, PostgreSQL for example runs as nobody.
    """
    for path in (folder, *folder.parents):
        if path.name.startswith(("pytest-", "popen-")) or path == folder:
            path.chmod(0o711)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment whose temporary and state folders lie below the test's own."""
    tmp = folder / "tmp"
    tmp.mkdir(exist_ok=True)
    tmp.chmod(0o711)
    open_to_others(folder)
    return {
        **os.environ,
        "TMPDIR": str(tmp),
        "DAPR_HARNESS_STATE_DIR": str(folder / "state"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
        **more,
    }


def cli(
    folder: Path, *arguments: str, timeout: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a project's folder."""
    return subprocess.run(
        [*CLI, *arguments],
        cwd=folder,
        env=environment(folder, **(env or {})),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def survivors(folder: Path) -> list[str]:
    """Command lines of living processes that were started with this test's TMPDIR."""
    mark = f"TMPDIR={folder / 'tmp'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    if state != "Z":
                        found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


def leftovers(folder: Path) -> list[str]:
    """Living processes and run folders of this test; waits up to 5 s for them to go."""

    def look() -> Observation:
        runs = [str(path) for path in (folder / "tmp").glob("dapr-harness-*/*/logs")]
        found = [*survivors(folder), *runs]
        return Observation(not found, "\n".join(found))

    return [line for line in poll(look, Deadline(5)).fact.splitlines() if line]


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal one process that a test started."""
    process.send_signal(number)


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that is being written; the last one may not have its end yet."""
    with path.open() as lines:
        return [line[:-1] for line in lines if line.endswith("\n")]
