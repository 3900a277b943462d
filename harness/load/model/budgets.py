"""Budgets: how much one operation may cost compared with another, as ratios."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from harness.core.errors import ConfigError
from harness.core.files import read_toml
from harness.load.model.typed import Damaged, Positive, one_of, read

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

FIGURES = ("mean", *SHARES)
"""The figures for which there are ratios."""


def _pair(title: str) -> str:
    name, _, beside = title.partition(" / ")
    if not (name and beside):
        raise PydanticCustomError("pair", 'a pair: ["NAME / OTHER NAME"]')
    return title


Title = Annotated[str, AfterValidator(_pair)]
Budgets = Mapping[Title, Mapping[Annotated[str, one_of(FIGURES)], Positive]]
"""The maximum ratios, by ``name / beside`` and figure."""


def read_budgets(file: Path) -> Budgets:
    """The budgets in a file; none if there is no file.

    Whether a run has such a pair is known when its users have begun.

    Args:
        file: TOML, with a table for each pair.

    Raises:
        ConfigError: it is not TOML, or contains an unknown figure or an invalid value.
    """
    if not file.is_file():
        return {}
    try:
        return read(Budgets, read_toml(file))  # type: ignore[type-abstract]  # pydantic makes a dict
    except Damaged as error:
        raise refused(file, error) from None


def refused(file: Path, error: Damaged) -> ConfigError:
    """The error for an invalid field of a user's file: its name, its value, what is expected."""
    hint = error.hint or "docs/load.md describes profiles and budgets"
    return ConfigError(f"{file}: {error.what}", expected=error.expected, hint=hint)
