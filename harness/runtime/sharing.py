"""Which launches can be forked of one process, and what that process is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.launch import Launch
from harness.runtime.preload import program

INTERPRETERS = ("PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_")
"""Beginnings of variables that an interpreter reads when it starts; and the others."""
OTHERS = ("LANG", "LANGUAGE", "TZ")


@dataclass(frozen=True)
class Shared:
    """Launches with one source.

    Attributes:
        environment: the variables that all of them have.
    """

    launches: tuple[Launch, ...]
    environment: Mapping[str, str]

    def request(self, name: str, folder: Path) -> dict[str, Any]:
        """What the supervisor is asked for.

        Args:
            name: of the source.
            folder: the run's.
        """
        first = self.launches[0]
        room = " " * program.ROOM
        return {
            "name": name,
            "argv": [first.argv[0], program.__file__, "{line}", room],
            "env": dict(self.environment),
            "cwd": str(folder),
            "output": str(folder / f"{name}.log"),
            "apps": [
                {
                    "server": each.argv[2],
                    "module": each.process.imports,
                    "folder": str(each.process.cwd),
                }
                for each in self.launches
            ],
        }


def shared(
    launches: Sequence[Launch], environment: Callable[[Launch], Mapping[str, str]]
) -> list[Shared]:
    """The launches that can be forked, where at least two have the same interpreter.

    Only Linux gives a process whose parent has ended to the supervisor.

    Args:
        environment: all variables of a launch.
    """
    groups: dict[object, list[Launch]] = {}
    for each in launches:
        if each.process.imports and each.process.cwd and sys.platform.startswith("linux"):
            key = (each.argv[0], _interpreter(environment(each)))
            groups.setdefault(key, []).append(each)
    return [
        Shared(tuple(group), _common([environment(each) for each in group]))
        for group in groups.values()
        if len(group) > 1
    ]


def _interpreter(environment: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (name, value)
        for name, value in environment.items()
        if name.startswith(INTERPRETERS) or name in OTHERS
    )


def _common(environments: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *rest = environments
    return {
        name: value
        for name, value in first.items()
        if all(each.get(name) == value for each in rest)
    }
