"""Fits a recorded input to another stack: names, tokens, addresses, times, and what it returned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
"""A time as in RFC 3339."""

BEFORE, AFTER = timedelta(days=1), timedelta(days=400)
"""Only times that are so near to the recorded test are relative to it, and are shifted."""

SECOND = 1_000_000_000

SHORTEST = 6
"""The number of characters of a text that is recognised when it is sent back."""

MOST = 2000
"""The number of such texts."""


class Substitution:
    """What is replaced in the inputs of a recording.

    Args:
        texts: what stands for what: the name of the world, references to tokens, addresses.
        began: when the recorded test began, in nanoseconds since the epoch.
        shift: how much later it is now, in nanoseconds; whole seconds of it are used.
    """

    def __init__(self, texts: Mapping[str, str], began: int, shift: int) -> None:
        self._texts = {old: new for old, new in texts.items() if old and old != new}
        self._etags: dict[str, str] = {}
        self._began = datetime.fromtimestamp(began // SECOND, UTC)
        self._shift = timedelta(seconds=shift // SECOND)

    def of(self, value: Any) -> Any:
        """A value of JSON, fitted."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self._field(str(key), each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(each) for each in value]
        return value

    def learn(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Take the ids and etags of an answer, which later inputs send back.

        Args:
            old: the recorded answer: ``etag`` and ``body``.
            new: that of today.
        """
        if old.get("etag") and new.get("etag"):
            self._etags[str(old["etag"])] = str(new["etag"])
            self._keep(str(old["etag"]), str(new["etag"]))
        bodies = [_parsed(each.get("body")) for each in (old, new)]
        for was, now in _differing(*bodies):
            self._keep(was, now)

    def _keep(self, was: str, now: str) -> None:
        if len(was) >= SHORTEST and len(self._texts) < MOST and not TIME.fullmatch(was):
            self._texts[was] = now

    def _field(self, name: str, value: Any) -> Any:
        if name.lower() in ("if-match", "etag") and isinstance(value, str):
            return self._etags.get(value, value)
        return self.of(value)

    def _text(self, text: str) -> str:
        text = TIME.sub(self._shifted, text)
        for old, new in sorted(self._texts.items(), key=lambda each: -len(each[0])):
            text = text.replace(old, new)
        for old, new in self._etags.items():
            text = _with_etag(text, old, new)
        return text

    def _shifted(self, match: re.Match[str]) -> str:
        text = match[0]
        try:
            time = datetime.fromisoformat(text[:19] + text[19:].lstrip(".0123456789"))
            near = self._began - BEFORE <= time <= self._began + AFTER
            later = time + self._shift if near else time
        except (ValueError, OverflowError):
            return text
        # The shift has no fraction of a second, so what follows the seconds stays.
        return later.isoformat()[:19] + text[19:]


def _with_etag(text: str, old: str, new: str) -> str:
    def put(match: re.Match[str]) -> str:
        return f'{match[1]}"{new}"'

    return re.sub(rf'("etag"\s*:\s*)"{re.escape(old)}"', put, text)


def _parsed(body: Any) -> Any:
    try:
        return json.loads(body) if isinstance(body, str) else None
    except (ValueError, RecursionError):
        return None


def _differing(old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """The texts at the same places of two values that differ."""
    if isinstance(old, str) and isinstance(new, str) and old != new:
        yield old, new
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() & new.keys():
            yield from _differing(old[name], new[name])
    elif isinstance(old, list) and isinstance(new, list):
        for each in zip(old, new, strict=False):
            yield from _differing(*each)
