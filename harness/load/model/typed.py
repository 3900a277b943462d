"""Dataclasses from JSON, checked: the one border at which load data without types is read."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")
Read = Callable[[Any, str], Any]
"""Takes data and its place in the document; returns the value."""


class Damaged(ValueError):
    """Data of another shape; the text names the place, what was expected and what was found."""


def read(kind: type[T], data: Any) -> T:
    """Data as a dataclass, with everything in it.

    Fields may be dataclasses, named tuples, tuples, sequences, mappings with text as keys,
    numbers, text, booleans, and optional. Unknown fields are errors, as are missing ones without
    a default.

    Raises:
        Damaged: the data is something else.
    """
    reader: Read = _reader(cast("Any", kind))
    found: T = reader(data, "")
    return found


@cache
def _reader(kind: Any) -> Read:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if isinstance(kind, type) and issubclass(kind, tuple):
        hints = typing.get_type_hints(kind)
        return _row([_reader(each) for each in hints.values()], kind._make)  # type: ignore[attr-defined]  # a named tuple
    return _generic(origin, arguments) if origin else _plain(kind)


def _generic(origin: Any, arguments: Sequence[Any]) -> Read:
    if origin is types.UnionType or origin is typing.Union:
        return _optional(_reader(next(each for each in arguments if each is not type(None))))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _row([_reader(each) for each in arguments], tuple)
    if issubclass(origin, Mapping):
        return _mapping(_reader(arguments[1]))
    return _list(_reader(arguments[0]), tuple if origin is tuple else list)


def _dataclass(kind: Any) -> Read:
    hints = typing.get_type_hints(kind)
    fields = {each.name: each for each in dataclasses.fields(kind)}
    readers = {name: _reader(hints[name]) for name in fields}
    required = {
        name
        for name, each in fields.items()
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }

    def of(data: Any, place: str) -> Any:
        if not isinstance(data, dict):
            raise _damaged(place, f"an object ({kind.__name__})", data)
        if missing := sorted(required - data.keys()):
            raise Damaged(f"{place or 'it'} has no {', '.join(missing)}")
        if unknown := sorted(map(str, data.keys() - fields.keys())):
            raise Damaged(f"{place or 'it'} has the unknown {', '.join(unknown)}")
        return kind(**{key: readers[key](each, _at(place, key)) for key, each in data.items()})

    return of


def _row(readers: Sequence[Read], make: Callable[[Any], Any]) -> Read:
    def of(data: Any, place: str) -> Any:
        if not isinstance(data, list | tuple) or len(data) != len(readers):
            raise _damaged(place, f"a row of {len(readers)}", data)
        return make([reader(each, place) for reader, each in zip(readers, data, strict=True)])

    return of


def _list(reader: Read, make: Callable[[Any], Any]) -> Read:
    def of(data: Any, place: str) -> Any:
        if not isinstance(data, list | tuple):
            raise _damaged(place, "a list", data)
        return make([reader(each, place) for each in data])

    return of


def _mapping(reader: Read) -> Read:
    def of(data: Any, place: str) -> Any:
        if not isinstance(data, dict):
            raise _damaged(place, "an object", data)
        return {str(key): reader(each, _at(place, key)) for key, each in data.items()}

    return of


def _optional(reader: Read) -> Read:
    return lambda data, place: None if data is None else reader(data, place)


def _plain(kind: Any) -> Read:
    if kind is Any:
        return lambda data, place: data
    accepted = (int, float) if kind is float else (kind,)

    def of(data: Any, place: str) -> Any:
        # Exactly these types: True would pass for a number.
        if type(data) not in accepted:
            raise _damaged(place, kind.__name__, data)
        return data

    return of


def _at(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def _damaged(place: str, expected: str, data: Any) -> Damaged:
    return Damaged(f"{place or 'it'} is {repr(data)[:80]}, not {expected}")
