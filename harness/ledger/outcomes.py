"""What daprd concludes from an app's response to an event.

Source: ``Deliver`` in ``pkg/runtime/subscription/postman/http/http.go`` of Dapr 1.18.2.
"""

from __future__ import annotations

import json
from typing import Any, Literal

Outcome = Literal["success", "retry", "drop"]
"""``retry``: daprd delivers again as the resiliency policy says, then gives up or dead-letters."""

_STATUSES: dict[str, Outcome] = {
    "": "success", "SUCCESS": "success", "RETRY": "retry", "DROP": "drop",
}  # fmt: skip


def outcome_of(status: int, body: str) -> Outcome:
    """What daprd does after this response.

    Args:
        status: the HTTP status that daprd received.
        body: the response's body.
    """
    if status == 404:
        return "drop"
    if not 200 <= status <= 299:
        return "retry"
    return _STATUSES.get(_status_in(body), "retry")


def outcomes_of_bulk(status: int, body: str, entries: list[str]) -> dict[str, Outcome]:
    """What daprd does after this response to a bulk delivery, by the id of the entry.

    An entry that a successful response does not mention, or without a status, is delivered again.
    """
    if not 200 <= status <= 299:
        return dict.fromkeys(entries, outcome_of(status, body))
    found = _first_value(body)
    rows = _value(found, "statuses") if isinstance(found, dict) else None
    told = {
        str(_value(row, "entryid")): _STATUSES.get(str(_value(row, "status") or "RETRY"), "retry")
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
    }
    return {each: told.get(each, "retry") for each in entries}


def _status_in(body: str) -> str:
    """The status in a response; "" if there is none that daprd could read."""
    found = _first_value(body)
    status = _value(found, "status") if isinstance(found, dict) else ""
    return status if isinstance(status, str) else ""


def _value(row: dict[str, Any], name: str) -> Any:
    """The value of a field, as Go finds it: in any case, the last one counts."""
    return next((row[key] for key in reversed(row) if key.lower() == name), None)


def _first_value(body: str) -> Any:
    """The first JSON value of a text; None if there is none."""
    try:
        value, _ = json.JSONDecoder().raw_decode(body.lstrip())
    except ValueError:
        return None
    return value
