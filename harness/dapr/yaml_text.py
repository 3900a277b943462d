"""YAML, read and written by libyaml where PyYAML has it, which takes a tenth of the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

_QUICK_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

LEVELS = "[{-?:"
"""Each level of nesting begins with one of these."""

MOST_LEVELS = 1000
"""More than that may be too deep for libyaml's binding, which recurses on the stack of the process
and has no limit: 100,000 of them end the process with SIGSEGV (PyYAML 6.0.3)."""


def documents(text: str) -> Iterator[yaml.Node]:
    """The root of each document.

    Raises:
        YAMLError: it is not valid; the error is that of PyYAML's own parser, which quotes the line.
        RecursionError: it is nested too deeply.
    """
    if sum(map(text.count, LEVELS)) <= MOST_LEVELS:
        try:
            yield from list(yaml.compose_all(text, Loader=_QUICK_LOADER))
            return
        except yaml.YAMLError:
            pass  # the other parser says what is wrong
    yield from yaml.compose_all(text, Loader=yaml.SafeLoader)


def load(text: str) -> Any:
    """The value of a document.

    Raises:
        YAMLError: it is not valid.
    """
    root = next(documents(text), None)
    return None if root is None else yaml.constructor.SafeConstructor().construct_document(root)


def dump(body: object) -> str:
    """A document with its keys in the order of the value, which must not be nested too deeply."""
    return str(yaml.dump(body, Dumper=_DUMPER, sort_keys=False))
