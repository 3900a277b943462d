"""One thing wrong with a resource."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a resource.

    Attributes:
        place: ``file:line``.
        message: what is wrong.
        hint: what to do.
        severity: ``error`` (daprd fails or the resource has no effect) or ``warning``.
    """

    place: str
    message: str
    hint: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")
