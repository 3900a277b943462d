"""An app's response to ``GET /dapr/subscribe``, read as by daprd 1.18.2.

daprd decodes the first JSON value of a response with status 200 into Go structs: keys in any case,
unknown keys ignored, ``null`` for missing. A response that does not fit is logged, as is any status
other than 200 and 404, and daprd continues without the app's subscriptions; so does the harness.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.endpoint import Endpoint
from harness.ready.local_http import get

_ITEM: dict[str, Any] = {
    "pubsubname": str,
    "topic": str,
    "deadlettertopic": str,
    "metadata": {...: str},
    "route": str,
    "routes": {"rules": [{"match": str, "path": str}], "default": str},
    "bulksubscribe": {"enabled": bool, "maxmessagescount": int, "maxawaitdurationms": int},
}
"""The fields by name in lower case: a type, a list of one shape, an object, ``...`` for any key."""

_NAMES = {str: "string", bool: "boolean", int: "32-bit integer"}


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as written: keys may differ only in case, and then the last one counts."""


@dataclass(frozen=True)
class Subscribed:
    """daprd's interpretation of a response.

    Attributes:
        topics: pub/sub and topic of every subscription with a route; daprd drops the others.
        complaint: why there are none although the app was queried; "" if that is in order.
        own_queues: those that name their queue on the broker, which only RabbitMQ uses.
    """

    topics: tuple[tuple[str, str], ...] = ()
    complaint: str = ""
    own_queues: tuple[tuple[str, str], ...] = ()


def ask_subscriptions(app: Endpoint, token: str) -> Subscribed:
    """Query an app as daprd does.

    Raises:
        OSError, HTTPException: it could not be queried.
    """
    headers = {"dapr-api-token": token} if token else {}
    answer = get(f"{app.http}/dapr/subscribe", headers=headers)
    return read_answer(answer.status_code, answer.content)


def read_answer(status: int, body: bytes) -> Subscribed:
    """Read a response; if daprd cannot read it, it becomes a complaint that quotes it."""
    text = body.decode("utf-8", "replace")
    if status == 404:
        return Subscribed()
    if status != 200:
        return Subscribed(complaint=_complaint(f"status {status}", text))
    try:
        items = _decoded(text)
    except ValueError as error:
        return Subscribed(complaint=_complaint(str(error), text))
    routed = [item for item in items if _is_routed(item)]
    queued = [item for item in routed if (item.get("metadata") or {}).get("queuename")]
    return Subscribed(_topics(routed), own_queues=_topics(queued))


def _topics(items: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((each.get("pubsubname", ""), each.get("topic", "")) for each in items)


def _decoded(text: str) -> list[dict[str, Any]]:
    text = text.lstrip(" \t\r\n")
    if not text:
        return []
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_no_constant)
    try:
        value, _ = decoder.raw_decode(text)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    items: list[dict[str, Any]] | None = _fit(value, [_ITEM], "the answer")
    return [item or {} for item in items or ()]


def _fit(value: Any, shape: Any, where: str) -> Any:
    """The value with its keys in lower case.

    Raises:
        ValueError: Go could not decode it into a field of this shape.
    """
    if value is None:
        return None
    if isinstance(shape, list):
        _require(isinstance(value, list) and not isinstance(value, _Pairs), value, "array", where)
        return [_fit(each, shape[0], f"an item of {where}") for each in value]
    if isinstance(shape, dict):
        _require(isinstance(value, _Pairs), value, "object", where)
        return _fields(value, shape)
    fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    _require(fits and (shape is not int or abs(value) < 2**31), value, _NAMES[shape], where)
    return value


def _fields(pairs: _Pairs, shape: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        # Both ways, for the two non-ASCII letters that Go folds into K and S.
        name = key.upper().lower()
        fitted = _fit(value, shape.get(name, shape.get(...)), key) if _known(name, shape) else None
        if fitted is not None:
            found[name] = fitted
    return found


def _known(name: str, shape: dict[Any, Any]) -> bool:
    return name in shape or ... in shape


def _require(fits: bool, value: Any, wanted: str, where: str) -> None:
    if not fits:
        shown = dict(value) if isinstance(value, _Pairs) else value
        raise ValueError(f"{where} is {json.dumps(shown)[:80]}, but daprd requires a JSON {wanted}")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_routed(item: dict[str, Any]) -> bool:
    routes = item.get("routes") or {}
    return bool(routes.get("rules") or routes.get("default") or item.get("route"))


def _complaint(problem: str, text: str) -> str:
    return (
        "daprd subscribes to nothing of the app, whose answer to GET /dapr/subscribe it cannot "
        f"use: {problem}; the body begins {text[:200]!r}"
    )
