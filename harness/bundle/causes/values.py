"""Causes in values: keys that several writers use, and times that differ."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.bundle.causes.evidence import lines_with
from harness.bundle.model import Bundle, Cause

_ETAG = re.compile(r"possible etag mismatch|ERR_STATE_SAVE[^\n]*etag|etag mismatch", re.IGNORECASE)
_CLOCK = re.compile(
    r"signature has expired|token (?:has|is) expired|not yet valid|certificate has expired"
    r"|clock skew|ExpiredSignatureError|ImmatureSignatureError",
    re.IGNORECASE,
)
_UNIQUE = re.compile(r"duplicate key value violates unique constraint[^\n]*")


def key_collision(bundle: Bundle) -> Iterator[Cause]:
    """Two writers have used one key."""
    found = _ETAG.search(bundle.error)
    told = [f"{node}: {line}" for node, line in lines_with(bundle, _ETAG)]
    conflicts = [
        step for step in bundle.timeline
        if step.source == "call" and "/state/" in step.what and step.what.endswith("-> 409")
    ]  # fmt: skip
    if found or told or conflicts:
        keys = ", ".join(dict.fromkeys(step.ids.get("key", "") for step in conflicts if step.ids))
        yield Cause(
            "key_collision",
            "a state key was changed by somebody else in the meantime (etag mismatch)"
            + (f": {keys}" if keys else ""),
            [*(f"{step.node}: {step.what}" for step in conflicts[-3:]), *told[-3:]],
            "read again before writing, or give each writer keys of its own (keyPrefix)",
        )
    unique = [f"{node}: {line}" for node, line in lines_with(bundle, _UNIQUE)]
    if match := _UNIQUE.search(bundle.error) or (_UNIQUE.search(unique[-1]) if unique else None):
        yield Cause("key_collision", match[0], unique[-3:], "give each test names of its own")


def clock_differs(bundle: Bundle) -> Iterator[Cause]:
    """Something was refused because of its time."""
    told = [f"{node}: {line}" for node, line in lines_with(bundle, _CLOCK)]
    found = _CLOCK.search(bundle.error)
    if found or told:
        yield Cause(
            "clock_differs",
            "a token or certificate was refused because of its time",
            told[-3:],
            "with virtual time, apps follow the clock only if they are told to",
        )
