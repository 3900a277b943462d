"""Pages of rows that change: the last ones, or what has changed since a reader looked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Revised(Protocol):
    """A row that knows when it changed last."""

    @property
    def revision(self) -> int:
        """Grows with each change of any row."""
        ...


R = TypeVar("R", bound=Revised)


def cut(found: Sequence[R], revision: int, after: int, limit: int) -> tuple[Sequence[R], int, bool]:
    """The rows of a page, the cursor for the next one, and whether there are more.

    Args:
        found: every row that fits, the newest last.
        revision: of the last change of all.
        after: the cursor; 0 for the last rows.
        limit: the number of rows.
    """
    if not after:
        shown = found[-limit:] if limit else []
        return shown, revision, len(found) > len(shown)
    changed = sorted(found, key=lambda row: row.revision)
    shown = changed[:limit]
    more = len(changed) > len(shown)
    return shown, shown[-1].revision if more and shown else revision, more
