"""A problem in a resource."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ConfigError
from harness.core.reading import read_text

SILENCED = re.compile(r"#\s*dapr-harness:\s*ignore\b")


@dataclass(frozen=True)
class Finding:
    """A problem in a resource.

    Attributes:
        place: ``file:line``.
        message: the problem.
        hint: the next step.
        severity: ``error`` (daprd rejects it, or cannot use it) or ``warning``.
    """

    place: str
    message: str
    hint: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def is_silenced(finding: Finding) -> bool:
    """Whether its line, or the line above, has the comment ``# dapr-harness: ignore``."""
    file, _, number = finding.place.rpartition(":")
    if not number.isdigit() or not Path(file).is_file():
        return False
    try:
        lines = read_text(Path(file)).splitlines()
    except ConfigError:
        return False
    last = int(number)
    return any(SILENCED.search(line) for line in lines[max(0, last - 2) : last])
