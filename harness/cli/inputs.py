"""JSON and headers as they are typed on a command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness.core.errors import ConfigError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name, by RFC 9110."""


def json_text(argument: str, what: str) -> bytes:
    """A JSON argument as it was typed; ``-`` reads standard input.

    Args:
        argument: the argument.
        what: what it is, for the error.

    Raises:
        ConfigError: it is not JSON, or not UTF-8.
    """
    text = _standard_input(what) if argument == "-" else argument
    try:
        json.loads(text, parse_constant=_no_constant)
        return text.encode()
    except RecursionError:
        problem = "it is nested too deeply"
    except UnicodeError:
        problem = "it is not UTF-8"
    except ValueError as error:
        problem = str(error)
    raise ConfigError(
        f"{what} is not JSON: {_shortened(text)}",
        last=problem,
        hint="quote it for the shell: '{\"id\": 1}'; a string needs its own quotes: '\"text\"'",
    )


def headers_of(arguments: Sequence[str]) -> dict[str, str]:
    """Headers by their names in lower case.

    Raises:
        ConfigError: one is not ``name: value``.
    """
    found = {}
    for each in arguments:
        name, colon, value = each.partition(":")
        if not colon or not _NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ConfigError(
                f"{_shortened(each)} is not a header",
                expected="name:value, in printable ASCII characters",
            )
        found[name.lower()] = value.strip()
    return found


def _standard_input(what: str) -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} on standard input is not UTF-8", last=str(error)) from None
    except AttributeError:
        raise ConfigError(f"{what} cannot be read: standard input is closed") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed in JSON")


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
