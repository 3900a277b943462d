"""The events in a request to publish, and which events of the broker they became."""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeGuard
from urllib.parse import parse_qsl, urlsplit

from harness.core.observation import Occurrence
from harness.ledger.delivered import EVENT_TYPE
from harness.ledger.model import Publication

OWN_ID, OWN_SOURCE = "metadata.cloudevent.id", "metadata.cloudevent.source"
"""Parameters of a request to publish that set attributes of the event."""

LONG = 32 * 1024
"""The least length of data whose request was too long to be recorded, however it was written."""

MILLISECOND = 1_000_000
"""Nanoseconds. A broker's record time is cut off there."""


@dataclass(frozen=True)
class Published:
    """An event in a request to publish.

    Attributes:
        id, source: of the event, as far as the request determines them.
        data: its data.
        text: the same in a form that can be compared; None if it was too long to be recorded.
        trace: of the request.
    """

    made: Publication
    id: str
    source: str
    data: Any
    text: str | None
    trace: str

    @property
    def begun(self) -> int:
        """The least time that its record, which has milliseconds, can have."""
        return self.made.time - MILLISECOND

    @property
    def ended(self) -> int:
        """The greatest time that its record can have."""
        return self.made.time + round(self.made.took * 1e9) + MILLISECOND


def published(call: Occurrence) -> Iterator[Published]:
    """The events in a request to publish, in their order."""
    facts = call.facts
    given = dict(parse_qsl(urlsplit(facts["path"]).query))
    made = Publication(
        call.node,
        facts.get("sidecar") or call.node,
        facts.get("component", ""),
        facts["target"],
        call.time,
        call.took or 0.0,
        facts["status"],
    )
    asked = _Request(made, call.correlation.get("trace", ""), bool(facts.get("truncated")))
    if "/publish/bulk/" not in facts["path"]:
        yield asked.event(facts.get("content_type", ""), given, call.payload)
        return
    for row in call.payload if isinstance(call.payload, list) else ():
        if isinstance(row, dict):
            own = row.get("metadata")
            more = {f"metadata.{key}": each for key, each in own.items()} if _is_object(own) else {}
            yield asked.event(str(row.get("contentType", "")), given | more, row.get("event"))


@dataclass(frozen=True)
class _Request:
    made: Publication
    trace: str
    truncated: bool

    def event(self, kind: str, given: Mapping[str, Any], data: Any) -> Published:
        """An event in it, with its content type and the parameters that concern it."""
        if kind.startswith(EVENT_TYPE) and _is_object(data):
            own = str(data.get("id") or ""), str(data.get("source") or "")
            data = data_in(data)
        else:
            own = str(given.get(OWN_ID, "")), str(given.get(OWN_SOURCE, ""))
        text = None if self.truncated else text_of(data)
        return Published(self.made, *own, data, text, self.trace)


def text_of(data: Any) -> str:
    """Data in a form in which it is the same before and after daprd has encoded it."""
    if isinstance(data, bytes):
        data = data.decode("utf-8", "replace")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return str(data)
    try:
        return json.dumps(data, sort_keys=True, default=str)
    except RecursionError:
        return ""


def data_in(event: Mapping[str, Any]) -> Any:
    """The data of a CloudEvent; bytes if it is binary."""
    if "data_base64" not in event:
        return event.get("data")
    try:
        return base64.b64decode(str(event["data_base64"]), validate=True)
    except ValueError:
        return event["data_base64"]


@dataclass(frozen=True)
class Candidate:
    """An event of the broker that a request may have published.

    Attributes:
        key: by which the caller knows it.
        time: of its record.
    """

    key: int
    topic: str
    time: int
    data: Any
    trace: str


def matched(asked: Sequence[Published], stored: Sequence[Candidate]) -> dict[int, int]:
    """Which request has published which event: the key of the event, by the index of the request.

    An event of a request has its topic and data, is in its trace if both are in one, and was
    stored before the response. Requests that were acknowledged have the first choice.

    Args:
        asked: in the order of time.
        stored: in the order of time.
    """
    pool = _Pool(stored, {each.made.topic for each in asked})
    found: dict[int, int] = {}
    for accepted in (True, False):
        for index, each in enumerate(asked):
            if each.made.accepted == accepted and (key := pool.take(each)) is not None:
                found[index] = key
    return found


class _Pool:
    """Events that nobody has published yet."""

    def __init__(self, stored: Sequence[Candidate], topics: set[str]) -> None:
        self._by_text = defaultdict[tuple[str, str], list[Candidate]](list)
        self._taken: set[int] = set()
        for each in stored:
            if each.topic in topics:
                text = text_of(each.data)
                self._by_text[each.topic, text].append(each)
                if len(text) >= LONG:
                    self._by_text[each.topic, ""].append(each)

    def take(self, asked: Published) -> int | None:
        """The first event that fits, which is then no longer there."""
        # Of what was too long to be recorded, only the beginning is known.
        text = "" if asked.text is None else asked.text
        found = self._by_text.get((asked.made.topic, text), [])
        first = bisect_left(found, asked.begun, key=lambda each: each.time)
        for each in islice(found, first, None):
            if each.time > asked.ended:
                return None
            if each.key not in self._taken and _agree(asked.trace, each.trace):
                self._taken.add(each.key)
                return each.key
        return None


def _agree(one: str, other: str) -> bool:
    return not (one and other) or one == other


def _is_object(found: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(found, dict)
