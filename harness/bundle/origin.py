"""From which source a stack was started: the commit, and a hash of the files of each app."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from harness.core.launch import Launch
from harness.core.sources import SUFFIXES, Sources, sources_of
from harness.stack.stack import Stack

SOON = 5.0
"""Seconds for git."""

MOST = 2000
"""The number of files of an app that are hashed."""

SKIPPED = frozenset(("node_modules", "__pycache__", "artefacts"))
"""Folders whose files belong to others, or are made by tests."""


def commit_of(folder: Path) -> tuple[str, bool]:
    """The commit of a git repository, and whether files have been changed since; "" without one."""
    head = _git(folder, "rev-parse", "HEAD").strip()
    return head, bool(head) and bool(_git(folder, "status", "--porcelain", "--", "."))


def sources_by_app(stack: Stack) -> Mapping[str, str]:
    """A hash of the source files of each app that the stack has started from the project."""
    launches = [stack.launch(name) for name in stack.instances if name in stack.topology]
    own = [each for each in launches if each.under_test and not each.external]
    root = stack.settings.root
    return {each.name: digest_of(_sources(each, root), root) for each in own}


def digest_of(sources: Sources, root: Path) -> str:
    """A hash of files and of their places below the project's root."""
    found = hashlib.sha256()
    for file in sorted({*islice(_files(sources), MOST)}):
        if file.is_relative_to(root) and file.is_file():
            found.update(str(file.relative_to(root)).encode())
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]


def _sources(launch: Launch, root: Path) -> Sources:
    return sources_of(launch.argv, launch.process.cwd or root)


def _files(sources: Sources) -> Iterator[Path]:
    yield from sources.files
    for folder, below, names in os.walk(sources.folder) if sources.folder else ():
        below[:] = [each for each in below if not each.startswith(".") and each not in SKIPPED]
        for name in names:
            if (file := Path(folder, name)).suffix in SUFFIXES:
                yield file


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder, capture_output=True, text=True, timeout=SOON,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
