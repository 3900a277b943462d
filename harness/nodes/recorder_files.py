"""The recorders, which are programs of their own; nothing here imports them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from harness import probe
from harness.core.errors import Unavailable
from harness.core.launch import InProcess
from harness.core.node import Scope

FOLDER = Path(probe.__file__).parent
"""Where the programs are."""


def command_of(program: str, scope: Scope) -> tuple[str, ...]:
    """Runs a program: here, as a module of its folder; in a container, from the node's folder."""
    here = (sys.executable, "-m", _module(program))
    return scope.pick(here, ("python3", str(scope.home / program)))


def process_of(program: str) -> InProcess:
    """Its process, which shares its imports with other recorders."""
    return InProcess(cwd=FOLDER, imports=_module(program))


def _module(program: str) -> str:
    return program.removesuffix(".py")


def texts_of(programs: Iterable[str]) -> Mapping[str, str]:
    """The programs by name, for a container."""
    return {each: (FOLDER / each).read_text() for each in programs}


def package_folder(package: str) -> Path:
    """The folder of an installed package.

    Raises:
        Unavailable: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise Unavailable(
            f"the package {package} is not installed",
            expected="an installation of dapr-harness with its dependencies",
            hint=f"pip install {package}",
        )
    return Path(spec.origin).parent
