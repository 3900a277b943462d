"""The lists of mutants, read into values."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FIELDS = {"name", "file", "find", "replace", "caught_by", "arguments", "equivalent"}


@dataclass(frozen=True)
class Mutant:
    """One deliberate error.

    Attributes:
        area: the name of the list that it stands in, without its suffix.
        file: relative to the project's root.
        find: text that occurs once in the file.
        replace: what stands there instead.
        caught_by: ids of tests, each of which fails alone because of it.
        arguments: what pytest gets besides, such as ``--dapr-runtime=containers``.
        equivalent: why no test can see it, instead of ``caught_by``.
    """

    area: str
    name: str
    file: str
    find: str
    replace: str
    caught_by: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    equivalent: str = ""

    def applied(self, text: str) -> str:
        """The text of the file with the error in it.

        Raises:
            ValueError: the text to replace does not occur exactly once.
        """
        if (count := text.count(self.find)) != 1:
            raise ValueError(f"{self.name}: its text occurs {count} times in {self.file}, not once")
        return text.replace(self.find, self.replace)


def read(folder: Path = FOLDER) -> list[Mutant]:
    """Every mutant of a folder's lists, by area and in the order of the file.

    Raises:
        ValueError: an entry lacks a field or has one that does not exist.
    """
    found = []
    for path in sorted(folder.glob("*.toml")):
        entries = tomllib.loads(path.read_text()).get("mutant", [])
        found += [_mutant(path.stem, entry) for entry in entries]
    return found


def chosen(
    mutants: Sequence[Mutant], names: Collection[str], areas: Collection[str]
) -> list[Mutant]:
    """Those of these names and areas; all of them when neither is given.

    Raises:
        ValueError: no mutant has one of the names, or no list is called like one of the areas.
    """
    known = {each.name for each in mutants} | {each.area for each in mutants}
    if unknown := sorted({*names, *areas} - known):
        raise ValueError(f"no such mutant or area: {', '.join(unknown)}")
    return [
        each
        for each in mutants
        if (not names or each.name in names) and (not areas or each.area in areas)
    ]


def _mutant(area: str, entry: dict[str, Any]) -> Mutant:
    name = entry.get("name", f"a mutant without a name in {area}.toml")
    if unknown := sorted(set(entry) - FIELDS):
        raise ValueError(f"{name}: unknown fields: {', '.join(unknown)}")
    if missing := sorted({"name", "file", "find", "replace"} - set(entry)):
        raise ValueError(f"{name}: missing fields: {', '.join(missing)}")
    values: dict[str, Any] = {
        key: tuple(each) if isinstance(each, list) else each for key, each in entry.items()
    }
    return Mutant(area=area, **values)
