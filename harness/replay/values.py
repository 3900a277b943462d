"""Makes values of dataclasses from JSON that anybody may have written."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.core.errors import ConfigError

T = TypeVar("T")

_SIMPLE: Mapping[Any, tuple[type, ...]] = {
    str: (str,), int: (int,), bool: (bool,), float: (int, float), type(None): (type(None),),
}  # fmt: skip


def made(kind: type[T], value: Any, where: str) -> T:
    """An instance of a dataclass.

    Args:
        kind: the dataclass.
        value: what JSON has in its place.
        where: where that is, for messages.

    Raises:
        ConfigError: a field is missing, unknown, or has a value of another type.
    """
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    if unknown := [name for name in value if name not in known]:
        raise _wrong(where, f"the fields {', '.join(known)}", unknown[0])
    for name, each in known.items():
        required = each.default is MISSING and each.default_factory is MISSING
        if required and name not in value:
            raise _wrong(where, f"a field {name!r}", value)
    return kind(
        **{name: _any(hints[name], each, f"{where}.{name}") for name, each in value.items()}
    )


def _any(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or (type(None) in inner and value is None):
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return made(hint, value, where)
    if origin in (Union, types.UnionType):
        return _any(_without_none(inner), value, where)
    if origin is Literal:
        return _word(inner, value, where)
    if isinstance(value, list | dict):
        return _several(hint, value, where)
    return _simple(hint, value, where)


def _several(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple and isinstance(value, list) and len(value) == len(inner):
        return tuple(_any(*each, where) for each in zip(inner, value, strict=True))
    if origin is Sequence and isinstance(value, list):
        return [_any(inner[0], each, f"{where}[{n}]") for n, each in enumerate(value)]
    if origin is Mapping and isinstance(value, dict):
        return {name: _any(inner[1], each, f"{where}.{name}") for name, each in value.items()}
    raise _wrong(where, str(hint), value)


def _word(known: Sequence[Any], value: Any, where: str) -> Any:
    if not isinstance(value, str) or value not in known:
        raise _wrong(where, f"one of {', '.join(map(str, known))}", value)
    return value


def _simple(hint: Any, value: Any, where: str) -> Any:
    # A bool is an int for Python, and not for JSON.
    if type(value) not in _SIMPLE.get(hint, ()):
        raise _wrong(where, getattr(hint, "__name__", str(hint)), value)
    return value


def _without_none(kinds: Sequence[Any]) -> Any:
    (found,) = (each for each in kinds if each is not type(None))
    return found


def _wrong(where: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(
        f"{where} is not what an archive of this version has",
        expected=expected,
        last=repr(value)[:100],
        hint="use an archive as a failed test has left it",
    )
