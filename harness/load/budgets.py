"""The budgets file: how much one operation may cost compared with another, as ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, did_you_mean
from harness.files import read_toml
from harness.load.overheads import FIGURES
from harness.load.pairs import FIRST, is_pair, title

Budgets = Mapping[str, Mapping[str, float]]
"""The maximum ratios, by ``name / beside`` and figure."""


def read_budgets(file: Path) -> Budgets:
    """The budgets in a file; none if there is no file.

    Args:
        file: TOML, with a table for each pair.

    Raises:
        ConfigError: it is not TOML, or contains an unknown pair or figure or an invalid value.
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
