"""A record of an installed folder's contents: sizes and checksums, to detect damage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")

SEAL = ".installed.json"
"""A file in the folder: size, time in nanoseconds and sha256 of each file, target of each link."""


def seal(folder: Path) -> None:
    """Record the current contents of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    rows = dict(zip(files, _in_threads(_row, files), strict=True))
    text = json.dumps({str(path.relative_to(folder)): row for path, row in rows.items()})
    (folder / SEAL).write_text(text)


def damage(folder: Path, *, thorough: bool = False) -> list[str]:
    """The differences from the installed state, one sentence per file; added files are ignored.

    Args:
        folder: a sealed folder; for one from before there were seals, nothing is known.
        thorough: read every file; otherwise only those whose time has changed.
    """
    if not (folder / SEAL).is_file():
        return []
    try:
        rows: dict[str, list[Any]] = json.loads((folder / SEAL).read_text())
        # Checking sizes and times is faster than starting threads.
        each = _in_threads if thorough else map
        found = each(lambda name: _judged(f"{folder}/{name}", rows[name], thorough), rows)
        return [f"{folder.name}/{name} {why}" for name, why in zip(rows, found, strict=True) if why]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return [f"{folder.name}/{SEAL} cannot be read: {error}"]


def sealed_folder(path: Path) -> Path | None:
    """The installed folder that contains a path; None if it has no seal."""
    return next((each for each in (path, *path.parents) if (each / SEAL).is_file()), None)


def _in_threads(call: Callable[[_Item], _Found], items: Iterable[_Item]) -> list[_Found]:
    from concurrent.futures import ThreadPoolExecutor  # most sessions install nothing

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [*pool.map(call, items)]


def _row(path: Path) -> list[Any]:
    if path.is_symlink():
        return [str(path.readlink())]
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, _digest(path)]


def _judged(path: str, row: list[Any], thorough: bool) -> str:
    """The problem with a file; "" if there is none."""
    try:
        if len(row) == 1:
            target = os.readlink(path)  # noqa: PTH115 - for thousands of files, and compared as text
            return "" if target == row[0] else f"does not lead to {row[0]}"
        state = os.lstat(path)
        if state.st_size != row[0]:
            return f"has {state.st_size} bytes, not {row[0]}"
        if (thorough or state.st_mtime_ns != row[1]) and _digest(Path(path)) != row[2]:
            return "has other bytes than were installed"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
