"""What one thing may cost beside another: a file of ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, did_you_mean
from harness.files import read_toml
from harness.load.overheads import FIGURES
from harness.load.pairs import FIRST, is_pair, title

Budgets = Mapping[str, Mapping[str, float]]
"""Ratios that must be kept, by ``name / beside`` and figure."""


def read_budgets(file: Path) -> Budgets:
    """The budgets of a file; none when there is no file.

    Args:
        file: TOML, a table for each pair.

    Raises:
        ConfigError: it is no TOML, or has a pair, a figure or a value that cannot be judged.
    """
    if not file.is_file():
        return {}
    body = read_toml(file)
    for pair, figures in body.items():
        if not is_pair(pair):
            raise _unknown(file, pair, "pair", [title(each) for each in FIRST])
        if not isinstance(figures, dict):
            raise ConfigError(f"{file}: {pair} is {figures!r}", expected="a table of figures")
        for figure, value in figures.items():
            if figure not in FIGURES:
                raise _unknown(file, figure, "figure", FIGURES)
            _require_ratio(file, f"{figure} of {pair}", value)
    return body


def _unknown(file: Path, name: str, kind: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{file}: no {kind} is named {name!r}, so no run could break this budget",
        hint=did_you_mean(name, list(known)),
    )


def _require_ratio(file: Path, what: str, value: Any) -> None:
    if type(value) not in (int, float) or value <= 0:
        raise ConfigError(f"{file}: {what} is {value!r}", expected="a ratio above zero")
