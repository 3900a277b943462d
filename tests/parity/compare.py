"""What two places to run differ in, and whether each difference has a reason."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

MISSING = "(missing)"


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Both values of each path at which they are not the same."""
    paths = sorted(one.keys() | other.keys())
    pairs = {path: (one.get(path, MISSING), other.get(path, MISSING)) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def unexplained(
    one: Mapping[str, Any], other: Mapping[str, Any], reasons: Mapping[str, str]
) -> dict[str, tuple[Any, Any]]:
    """The differences without a reason.

    Args:
        one: what was observed in one place, by path.
        other: what was observed in the other one.
        reasons: by patterns of paths.
    """
    found = different(one, other)
    return {
        path: pair
        for path, pair in found.items()
        if not any(fnmatch(path, pattern) for pattern in reasons)
    }


def stale(
    one: Mapping[str, Any], other: Mapping[str, Any], reasons: Mapping[str, str]
) -> list[str]:
    """The patterns of reasons for which there is no difference."""
    found = different(one, other)
    return [each for each in reasons if not any(fnmatch(path, each) for path in found)]
