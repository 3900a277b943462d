"""The span that a test is in, which its calls carry as ``traceparent``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

NOT_SAMPLED = {"traceparent": f"00-{'da':0>32}-{'da':0>16}-00"}
"""Has a sidecar that traces every request make no span: for what the harness itself asks."""

_current = ""


def enter(traceparent: str) -> str:
    """Make a span the current one of this process; returns the one before, "" if there was none."""
    global _current
    before, _current = _current, traceparent
    return before


def trace_headers() -> dict[str, str]:
    """``traceparent`` of the current span; nothing if there is none."""
    return {"traceparent": _current} if _current else {}


def traced(sign: Callable[[str], Mapping[str, str]]) -> Callable[[str], Mapping[str, str]]:
    """Adds the current span to the headers of requests.

    Args:
        sign: returns, for a path, other headers; they take precedence.
    """
    return lambda path: {**trace_headers(), **sign(path)}
