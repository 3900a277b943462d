"""Dataclasses from JSON and TOML: the one border at which load data without types is read."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, cast

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticSerializationError, to_json

from harness.core.errors import did_you_mean

T = TypeVar("T")
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeastOne = Annotated[int, Field(ge=1)]


class Damaged(ValueError):
    """Data of another shape.

    Attributes:
        what: the place in the data, and what was found there.
        expected: what should be there; "" if nothing should.
        hint: the next step, if there is an obvious one.
    """

    def __init__(self, what: str, expected: str = "", hint: str = "") -> None:
        super().__init__(f"{what} (expected: {expected})" if expected else what)
        self.what, self.expected, self.hint = what, expected, hint


class Checked:
    """A dataclass that `read` can return. Unknown fields are errors, in nested ones too."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def one_of(words: Collection[str]) -> AfterValidator:
    """A check that a text is one of these words, with a suggestion if it is not."""

    def check(word: str) -> str:
        if word not in words:
            context = {"hint": did_you_mean(word, list(words))}
            raise PydanticCustomError("one_of", "one of " + ", ".join(words), context)
        return word

    return AfterValidator(check)


def read(kind: type[T], data: Any) -> T:
    """Data as a dataclass, with everything in it: fields of exactly their types.

    Raises:
        Damaged: the data is something else.
    """
    adapter = _adapter(cast("Any", kind))
    try:
        # As JSON: strict about types, and yet lists may become tuples and named tuples.
        text = to_json(data, inf_nan_mode="constants")
        found: T = adapter.validate_json(text, strict=True)
    except ValidationError as error:
        raise _damaged(kind, data, error.errors(include_url=False)) from None
    except PydanticSerializationError as error:
        raise Damaged(f"it is not JSON: {error}") from None
    return found


def json_argument(kind: Any) -> Callable[[str], str]:
    """A type for argparse: JSON of this kind, or nothing; the text itself is what is passed on."""

    def check(text: str) -> str:
        try:
            if text:
                read(kind, json.loads(text))
        except ValueError as error:
            raise ArgumentTypeError(f"{text!r}: {error}") from None
        return text

    return check


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _damaged(kind: Any, data: Any, errors: list[ErrorDetails]) -> Damaged:
    unknown = [each for each in errors if each["type"] == "unexpected_keyword_argument"]
    # A misspelt field is often the reason why another one is missing.
    first = next(iter(unknown or errors))
    *parents, last = first["loc"] or ["it"]
    place, around, found = _joined([*parents, last]), _joined(parents), f"{first['input']!r:.80}"
    if unknown:
        known = [] if parents else [each for each in kind.__dataclass_fields__ if each not in data]
        return Damaged(f"{place} is unknown", hint=did_you_mean(place, known) if known else "")
    if first["type"].startswith("missing"):  # pydantic before 2.14 has a type of its own for rows
        if isinstance(last, int):  # a value of a row
            return Damaged(f"{around} is {found}", f"at least {last + 1} values")
        return Damaged(f"{place} is missing")
    expected = first["msg"].removeprefix("Input should be ")
    hint = str(first.get("ctx", {}).get("hint", ""))
    if last == "[key]":
        of = f" of {_joined(parents[:-1])}" if parents[:-1] else ""
        return Damaged(f"the name {found}{of}", expected, hint)
    return Damaged(f"{place} is {found}", expected, hint)


def _joined(parts: Sequence[str | int]) -> str:
    return ".".join(map(str, parts))
