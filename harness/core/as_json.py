"""Values that can be written as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any


class AsJson:
    """A value that can be written as JSON."""

    def as_json(self) -> dict[str, Any]:
        """The same as dictionaries, lists and plain values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # each is a dataclass
