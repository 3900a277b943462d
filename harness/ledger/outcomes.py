"""What daprd concludes from an app's response to an event or a job.

Sources in Dapr 1.18.2: ``Deliver`` and ``DeliverBulk`` in
``pkg/runtime/subscription/postman/http/http.go``, and ``invokeApp`` in
``pkg/runtime/scheduler/internal/cluster/streamer.go``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

Outcome = Literal["success", "retry", "drop"]
"""``retry``: daprd delivers again as the resiliency policy says, then gives up or dead-letters."""

BLANK = " \t\r\n"
"""What may precede a JSON value."""

_STATUSES: dict[str, Outcome] = {
    "": "success", "SUCCESS": "success", "RETRY": "retry", "DROP": "drop",
}  # fmt: skip


class _Fields(list[tuple[str, Any]]):
    """The fields of a JSON object in their order, those that repeat included."""


def outcome_of(status: int, body: str) -> Outcome:
    """What daprd does after this response to an event.

    Args:
        status: the HTTP status that daprd received.
        body: the response's body.
    """
    if status == 404:
        return "drop"
    if not 200 <= status <= 299:
        return "retry"
    return _STATUSES.get(_text_of(_first_value(body), "status"), "retry")


def outcomes_of_bulk(status: int, body: str, entries: list[str]) -> dict[str, Outcome]:
    """What daprd does after this response to a bulk delivery, by the id of the entry.

    An entry that a successful response does not mention, or without a status, is delivered again.
    """
    if not 200 <= status <= 299:
        return dict.fromkeys(entries, outcome_of(status, body))
    told: dict[str, Outcome] = {}
    for row in _rows_of(_first_value(body)):
        said = _text_of(row, "status")
        told[_text_of(row, "entryid")] = _STATUSES.get(said, "retry") if said else "retry"
    return {each: told.get(each, "retry") for each in entries}


def outcome_of_job(status: int) -> Outcome:
    """What the scheduler concludes from this response to a job; 404 counts as done."""
    if 200 <= status <= 299:
        return "success"
    return "drop" if status == 404 else "retry"


def _rows_of(found: Any) -> Sequence[_Fields]:
    """The rows of a bulk response; none if a part of it has the wrong type, as in Go."""
    rows = _value(found, "statuses") if isinstance(found, _Fields) else None
    if not isinstance(rows, list) or isinstance(rows, _Fields):
        return ()
    known = [row for row in rows if isinstance(row, _Fields) and all(map(_is_text, _told(row)))]
    return known if len(known) == len(rows) else ()


def _told(row: _Fields) -> list[Any]:
    return [value for key, value in row if key.casefold() in ("entryid", "status")]


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _text_of(found: Any, name: str) -> str:
    """The text of a field; "" if there is none that daprd could read."""
    if not isinstance(found, _Fields):
        return ""
    every = [value for key, value in found if key.casefold() == name]
    return str(_value(found, name) or "") if all(map(_is_text, every)) else ""


def _value(fields: _Fields, name: str) -> Any:
    """The value of a field, as Go finds it: in any case; the last one that is not null counts."""
    found = (each for key, each in reversed(fields) if key.casefold() == name and each is not None)
    return next(found, None)


def _first_value(body: str) -> Any:
    """The first JSON value of a text, objects as `_Fields`; None if there is none."""
    try:
        value, _ = _DECODER.raw_decode(body.lstrip(BLANK))
    except (ValueError, RecursionError):
        return None
    return value


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Fields, parse_constant=_reject)
