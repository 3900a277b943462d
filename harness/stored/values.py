"""Values of databases as JSON: bounded, without secrets, and whatever bytes they are made of."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any

from harness.core.masking import MASK, cleaned, mask
from harness.probe.records import decoded

EXACT = 2**53
"""JavaScript has no integers beyond this one."""

NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "oid")
DOCUMENTS = ("json", "jsonb")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Characters that no text has: serialised data, such as Protobuf's, can be UTF-8 by accident."""

SHORTEST = 4
"""The number of characters of a secret that are one by accident."""


def shown(data: bytes | str, secrets: Collection[str], *, cut: bool = False) -> Any:
    """A value as JSON: decoded if it is JSON, otherwise as text, or else in base64.

    Args:
        data: the value, or its beginning.
        secrets: what is masked.
        cut: whether it is only the beginning.
    """
    text = data if isinstance(data, str) else text_in(data, cut=cut)
    if text is None:
        return {"base64": base64.b64encode(_masked_bytes(bytes(data), secrets)).decode()}  # type: ignore[arg-type]  # text is not None for a str
    found = masked(text, secrets, cut=cut)
    return found if cut else cleaned(decoded(found), lambda each: mask(each, secrets))


def text_in(data: bytes, *, cut: bool = False) -> str | None:
    """Bytes as text; None if they are none.

    Args:
        data: UTF-8, or anything.
        cut: whether the last character may be incomplete.
    """
    if CONTROL.search(data):
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if cut and error.reason == "unexpected end of data":
            return data[: error.start].decode()
        return None


def masked(text: str, secrets: Collection[str], *, cut: bool = False) -> str:
    """A text without secrets; if it is cut, also without the beginning of one at its end."""
    found = mask(text, secrets)
    if not cut:
        return found
    torn = max((_torn(found, each) for each in secrets), default=0)
    return found[: len(found) - torn] + MASK if torn else found


def _torn(text: str, secret: str) -> int:
    """The number of characters at the end of a text that begin a secret."""
    lengths = range(len(secret) - 1, SHORTEST - 1, -1)
    return next((each for each in lengths if text.endswith(secret[:each])), 0)


def _masked_bytes(data: bytes, secrets: Collection[str]) -> bytes:
    for each in secrets:
        data = data.replace(each.encode(), MASK.encode())
    return data


def cell(value: Any, kind: str, secrets: Collection[str], *, cut: bool = False) -> Any:
    """The value of a column as JSON.

    Args:
        value: bytes, or PostgreSQL's text; None for NULL.
        kind: the column's type in PostgreSQL's words.
        secrets: what is masked.
        cut: whether it is only the beginning of the value.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, bytes) or (kind in DOCUMENTS and not cut):
        return shown(value, secrets, cut=cut) if value else ""
    if kind.partition("(")[0] in NUMBERS:
        return number(value)
    return masked(str(value), secrets, cut=cut)


def number(text: str) -> int | float | str:
    """A number that every reader of JSON reads exactly; the text if there is none."""
    try:
        exact, near = Decimal(text), float(text)
    except (ArithmeticError, ValueError):
        return text
    if not math.isfinite(near) or abs(exact) > EXACT:
        return text
    if exact == exact.to_integral_value() and "." not in text:
        return int(exact)
    return near if Decimal(repr(near)) == exact else text


def line_of(subject: str, last: str) -> str:
    """What is missing, as one line."""
    return " ".join(": ".join(filter(None, (subject, last))).split())
