"""libfaketime, which gives the time of a file to programs that are linked dynamically."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import Unavailable

FOLDERS = (
    "/usr/lib/*/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
)
"""Where Debian and Ubuntu, Fedora, Alpine and Arch, and its own installation have it."""


def faketime_library(*, threads: bool, root: Path = Path("/")) -> Path:
    """The library to preload.

    Args:
        threads: whether it is for a program with several threads.
        root: another root folder.

    Raises:
        Unavailable: it is not installed.
    """
    name = "libfaketimeMT.so.1" if threads else "libfaketime.so.1"
    for folder in FOLDERS:
        for found in sorted(root.glob(f"{folder[1:]}/{name}")):
            return found
    raise Unavailable(
        "a program that is not Python follows the clock by libfaketime, which is not installed",
        expected=f"{name} in one of {', '.join(FOLDERS)}",
        hint="apt-get install libfaketime (tools/faketime does it)",
    )
