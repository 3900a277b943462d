"""Rows and keys as a bundle has them: texts without secrets, within a size."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.bundle.model import StateStore, StoredKey, StoredRow, StoredTable
from harness.core.masking import mask
from harness.stored.model import KeyRow, Row, TableRow
from harness.stored.places import Place
from harness.stored.recent import RecentKeys, RecentRows

T = TypeVar("T")


@dataclass(frozen=True)
class Converter:
    """Makes values of a bundle from what was read.

    Args:
        world: the id of the test's world; "" without one.
        secrets: what is masked.
    """

    world: str
    secrets: Sequence[str]

    def clean(self, text: str) -> str:
        """A text without secrets."""
        return mask(text, self.secrets)

    def table(self, found: RecentRows) -> StoredTable:
        """A table with its rows."""
        table = found.table
        return StoredTable(
            table.node, table.database, self.clean(table.name),
            [self.clean(each.name) for each in table.columns], table.rows, table.estimated,
            self.clean(found.order), [self._row(each, table) for each in found.rows],
        )  # fmt: skip

    def store(self, place: Place, found: RecentKeys) -> StateStore:
        """A state store with its keys."""
        keys = [self._key(*each) for each in found.rows]
        return StateStore(place.name, place.apps, found.total, found.at_least, found.order, keys)

    def unread(self, place: Place, reason: str) -> StateStore:
        """A state store whose keys can never be listed."""
        return StateStore(place.name, place.apps, unread=self.clean(reason))

    def _row(self, row: Row, table: TableRow) -> StoredRow:
        values = [self._text(row.values[each.name]) for each in table.columns]
        cut = {self.clean(name): length for name, length in row.cut.items()}
        return StoredRow(values, cut, self._is_own(*values))

    def _key(self, key: KeyRow, value: Any, cut: bool) -> StoredKey:
        text = self._text(value)
        return StoredKey(
            key.app, key.key, key.kind, key.actor_type, key.actor_id, text, key.size, cut,
            _nanoseconds(key.updated), _nanoseconds(key.expires), self._is_own(key.raw, text),
        )  # fmt: skip

    def _is_own(self, *texts: str | None) -> bool:
        return bool(self.world) and any(self.world in each for each in texts if each)

    def _text(self, value: Any) -> str | None:
        """A value as text: whatever its depth and its numbers, that can be written and read."""
        if value is None or isinstance(value, str):
            return value
        return self.clean(json.dumps(value, ensure_ascii=False))


def _nanoseconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment * 1e9)


def bounded(
    groups: Sequence[Sequence[T]], size: Callable[[T], int], most: int
) -> tuple[list[Sequence[T]], int]:
    """The first values of each group that have room, and how many have none.

    Args:
        groups: of values, such as the rows of each table.
        size: of a value.
        most: of all values together.
    """
    kept: list[Sequence[T]] = []
    left_out = 0
    for group in groups:
        fitting: list[T] = []
        for each in group:
            if (most := most - size(each)) < 0:
                break
            fitting.append(each)
        most = max(0, most)
        left_out += len(group) - len(fitting)
        kept.append(fitting)
    return kept, left_out


def size_of_row(row: StoredRow) -> int:
    """The number of characters of its values, and a few of each for the rest."""
    return sum(len(each or "") + 8 for each in row.values)


def size_of_key(key: StoredKey) -> int:
    """The number of characters of its value and its names, and some for the rest."""
    return sum(len(each) for each in (key.key, key.actor_id, key.value or "")) + 200
