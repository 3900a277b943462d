"""Budgets: how much one operation may cost compared with another, as ratios."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, did_you_mean
from harness.core.files import read_toml

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

FIGURES = ("mean", *SHARES)
"""The figures for which there are ratios."""

Budgets = Mapping[str, Mapping[str, float]]
"""The maximum ratios, by ``name / beside`` and figure."""


def read_budgets(file: Path) -> Budgets:
    """The budgets in a file; none if there is no file.

    Args:
        file: TOML, with a table for each pair.

    Raises:
        ConfigError: it is not TOML, or contains an unknown figure or an invalid value.
    """
    return require_budgets(file, read_toml(file)) if file.is_file() else {}


def require_budgets(file: Path, body: Mapping[str, Any]) -> Budgets:
    """Check tables of budgets; whether a run has such a pair is known when its users have begun.

    Raises:
        ConfigError: a table is not named after a pair, a figure is unknown, or a value is invalid.
    """
    for pair, figures in body.items():
        name, _, beside = pair.partition(" / ")
        if not (name and beside):
            raise ConfigError(
                f"{file}: a budget is named {pair!r}", expected='a pair: ["NAME / OTHER NAME"]'
            )
        if not isinstance(figures, dict):
            raise ConfigError(f"{file}: {pair} is {figures!r}", expected="a table of figures")
        for figure, value in figures.items():
            if figure not in FIGURES:
                raise ConfigError(
                    f"{file}: no figure is named {figure!r}, so no run could exceed this budget",
                    hint=did_you_mean(figure, list(FIGURES)),
                )
            _require_ratio(file, f"{figure} of {pair}", value)
    return body


def _require_ratio(file: Path, what: str, value: Any) -> None:
    if type(value) not in (int, float) or value <= 0:
        raise ConfigError(f"{file}: {what} is {value!r}", expected="a ratio above zero")
