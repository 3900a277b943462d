"""A PATH on which programs from this package do not hide the user's own."""

from __future__ import annotations

import os
import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path

PROGRAMS = {"go": "go"}
"""Programs that our extras install next to this interpreter, by their package."""


def path_without_our_tools(path: str, folder: Path, scripts: Path | None = None) -> str:
    """The same PATH, if necessary preceded by a folder that links to the user's programs.

    In an activated virtual environment, ``go`` would be that of the extra ``build``, which does not
    know the user's build cache. If the user has none, it stays.

    Args:
        path: the user's PATH.
        folder: where the folder is created, if it is needed.
        scripts: where this interpreter's programs are; looked up if None.
    """
    scripts = scripts or Path(sysconfig.get_path("scripts"))
    own = {name: _other(name, path, scripts) for name, package in PROGRAMS.items()
           if find_spec(package)}  # fmt: skip
    links = {name: target for name, target in own.items() if target}
    if not links:
        return path
    folder.mkdir(mode=0o755, exist_ok=True)
    for name, target in links.items():
        (folder / name).symlink_to(target)
    return f"{folder}{os.pathsep}{path}"


def _other(name: str, path: str, scripts: Path) -> str | None:
    """The user's program, if PATH finds the one in the scripts folder before it."""
    found = shutil.which(name, path=path)
    if found is None or not Path(found).parent.samefile(scripts):
        return None
    rest = (each for each in path.split(os.pathsep) if each and not _same(Path(each), scripts))
    return shutil.which(name, path=os.pathsep.join(rest))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and one.samefile(other)
