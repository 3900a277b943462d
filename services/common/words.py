"""What texts and names may be made of, the same for every service."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field


def _storable(text: str) -> str:
    # PostgreSQL has no NUL in a text, and UTF-8 no half of a pair.
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("has a NUL or half a surrogate pair in it")
    return text


Storable = Annotated[
    str,
    AfterValidator(_storable),
    Field(json_schema_extra={"pattern": r"^[^\u0000\ud800-\udfff]*$"}),
]
"""A text that every store keeps as it is."""

UserId = Annotated[
    str,
    # Part of a path: daprd's invocation refuses control characters there with a 500 of its own,
    # and decodes a percent sign once too often (1.18.2). Two bars separate parts of a state key.
    Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/%?#|]+$", examples=["ada"]),
]
TaskId = Annotated[
    str,
    Path(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9-]+$",
         examples=["5d1c2f9e-0000-4000-8000-000000000000"]),
]  # fmt: skip
