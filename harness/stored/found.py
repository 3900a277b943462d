"""What is asked of a database that has keys, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from harness.dapr.state_keys import Reach

COUNTED = 10_000
"""No more keys of a store than this are counted; on Redis, no more are listed."""

LAST_WRITTEN = "last written first"
BY_NAME = "by name"
"""Orders of rows and keys, in words."""


@dataclass(frozen=True)
class Wanted:
    """The keys that are asked for.

    Attributes:
        reach: only these.
        text: only those with this text, in any case.
        after: only those after this one; "" for all.
        limit: the number of keys.
    """

    reach: Reach
    text: str
    after: str
    limit: int


@dataclass(frozen=True)
class Stored:
    """A key in a store.

    Attributes:
        size: bytes of its value.
        updated, expires: seconds since the epoch.
    """

    raw: str
    etag: str
    size: int
    updated: float | None = None
    expires: float | None = None


@dataclass(frozen=True)
class Found:
    """Keys of a store in alphabetical order.

    Attributes:
        keys: after the cursor.
        total: the number of keys that fit, at most one more than `COUNTED`.
    """

    keys: list[Stored]
    total: int


@dataclass(frozen=True)
class Newest:
    """The first keys of a store with the beginnings of their values.

    Attributes:
        keys: each with the first bytes of its value; None if the value was not read.
        total: the number of keys that fit, at most one more than `COUNTED`.
        order: in which the keys are, in words.
    """

    keys: list[tuple[Stored, bytes | None]]
    total: int
    order: str
