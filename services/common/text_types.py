"""The characters allowed in texts and names, the same for every service."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema


def _storable(text: str) -> str:
    # PostgreSQL texts cannot contain NUL, and UTF-8 cannot encode half a surrogate pair.
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("has a NUL or half a surrogate pair in it")
    return text


def _true_or_false(value: object) -> object:
    # Pydantic would also accept "yes", "on" and "1", which no description lists.
    if value not in (None, "true", "false"):
        raise ValueError("is neither true nor false")
    return value


Storable = Annotated[
    str,
    AfterValidator(_storable),
    # Half a surrogate pair is not valid Unicode, and no portable pattern can express this.
    Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}),
]
"""A text that every store keeps unchanged."""

Visible = Annotated[
    str,
    # The pattern comes first: after the validator, it would be checked but not described.
    Field(pattern=r"^[^\u0000]*[^\u0000\t\n\r ][^\u0000]*$"),
    AfterValidator(_storable),
]
"""A text that every store keeps unchanged, with at least one character that can be seen."""

UserId = Annotated[
    str,
    # Names are part of a path: daprd's invocation rejects control characters there with a 500 of
    # its own, and decodes a percent sign once too often (1.18.2). Two bars separate the parts of a
    # state key. Names of dots only are path segments, which clients and servers resolve first:
    # nothing would be left of the name `..`.
    Path(
        min_length=1,
        max_length=200,
        pattern=r"^\.*[^\x00-\x1f\x7f/\\%?#|.][^\x00-\x1f\x7f/\\%?#|]*$",
        description="anything but control characters and / \\ % ? # |, and not dots alone",
        examples=["ada"],
    ),
]
TaskId = Annotated[
    str,
    Path(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9-]+$",
         examples=["5d1c2f9e-0000-4000-8000-000000000000"]),
]  # fmt: skip
Flag = Annotated[bool | SkipJsonSchema[None], BeforeValidator(_true_or_false)]
"""A query parameter: true, false, or left out; a query cannot contain null."""
