"""Prepared folders and small files, written to where a node finds them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, LaunchError, Unavailable
from harness.core.reading import read_text

ELSEWHERE = "set TMPDIR to a folder that you own, on a disk with room"
"""What to do about the folder of a run that cannot be written."""

SHOWN = 3
"""Lines of what cp says that a message has: on a full disk, it says one for each file."""


def read_toml(file: Path) -> dict[str, Any]:
    """The contents of a TOML file.

    Raises:
        ConfigError: it is not TOML, or cannot be read.
    """
    try:
        return tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML", last=str(error)) from None


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with its owners, modes and times.

    This uses cp, which is several times faster than shutil.copytree for the 1,000 small files of a
    PostgreSQL folder.

    Raises:
        LaunchError: something could not be copied.
    """
    target.mkdir(parents=True, exist_ok=True)
    program = shutil.which("cp") or shutil.which("cp", path=os.defpath)
    if program is None:
        raise LaunchError("cp is not installed", expected="it on PATH", hint="set PATH")
    done = subprocess.run(
        [program, "-a", f"{source}/.", str(target)], capture_output=True, text=True
    )
    if done.returncode != 0:
        said = done.stderr.splitlines() or [_ended(done.returncode)]
        more = [f"and {len(said) - SHOWN} more lines"] if len(said) > SHOWN else []
        raise LaunchError(
            f"{source} could not be copied to {target}",
            last="\n".join([*said[:SHOWN], *more]),
            hint=ELSEWHERE,
        )


def _ended(code: int) -> str:
    """How cp has ended that has said nothing."""
    return f"cp was ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of the operating system about a file or folder of a run into ours.

    Raises:
        Unavailable: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{path} cannot be written", last=str(error), hint=ELSEWHERE) from None


def write_home(home: Path, folders: Mapping[str, Path], files: Mapping[str, str]) -> None:
    """Fill a node's own folder.

    Args:
        home: the folder; created if it does not exist.
        folders: prepared folders to copy, by their name in it.
        files: texts to write, by their path in it.

    Raises:
        LaunchError: a folder could not be copied.
        Unavailable: something else could not be written.
    """
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
        for name, source in folders.items():
            copy_tree(source, home / name)
        for name, text in files.items():
            target = home / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)


def nearest(folder: Path) -> Path:
    """The folder itself if it exists, otherwise its nearest existing parent."""
    while not folder.exists():
        folder = folder.parent
    return folder


def try_writing(folder: Path) -> None:
    """Write a page into a folder, and remove it again.

    Raises:
        OSError: the folder is unusable or full.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(4096))
        file.flush()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
