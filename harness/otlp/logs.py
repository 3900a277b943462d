"""Lines of logs as log records."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from harness.otlp.attributes import fill
from harness.otlp.signals import request_of

LONGEST = 64 * 1024
"""Characters of a line that are sent."""

SEVERITIES = {
    "trace": 1, "debug": 5, "info": 9, "notice": 10, "log": 9, "warn": 13, "warning": 13,
    "error": 17, "err": 17, "critical": 21, "fatal": 21, "panic": 24,
}  # fmt: skip
"""The number that OpenTelemetry gives to a level."""

_LEVELS = "|".join(SEVERITIES)
_NAMED = re.compile(rf"\b(?:level|levelname|severity|lvl)\W{{1,4}}({_LEVELS})\b", re.IGNORECASE)
# As uvicorn, Python, PostgreSQL and log4j write them: before the message, in capitals.
_CAPITALS = re.compile(rf"(?:^|[\s\[\]|]){{1,3}}({_LEVELS.upper()})(?=[:\s\]|])")
_PARENT = re.compile(r"\b00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\b")
_TRACE = re.compile(r"\btrace[._-]?id\W{1,4}([0-9a-f]{32})\b", re.IGNORECASE)
_SPAN = re.compile(r"\bspan[._-]?id\W{1,4}([0-9a-f]{16})\b", re.IGNORECASE)
_TIME = re.compile(r'^time="([^"]+)"')
_TEXT = re.compile(r'\bmsg=("(?:[^"\\]|\\.)*")')


class Record(NamedTuple):
    """What one line says.

    Attributes:
        time: when it was written, in nanoseconds since the epoch; 0 if the line does not say it.
        severity: OpenTelemetry's number, 0 if the line names no level.
        level: the level, as the line has it.
        text: the message.
        trace: 32 hexadecimal digits, or "".
        span: 16 hexadecimal digits, or "".
    """

    time: int
    severity: int
    level: str
    text: str
    trace: str = ""
    span: str = ""


def record_of(line: str) -> Record:
    """What a line of a log says: of daprd, of an app, or of any other program."""
    line = line[:LONGEST]
    named = _NAMED.search(line) or _CAPITALS.search(line[:200])
    level = named[1] if named else ""
    parent = _PARENT.search(line)
    trace, span = _TRACE.search(line), _SPAN.search(line)
    return Record(
        _time_of(line),
        SEVERITIES.get(level.lower(), 0),
        level,
        _text_of(line),
        parent[1] if parent else trace[1].lower() if trace else "",
        parent[2] if parent else span[1].lower() if span else "",
    )


def body_of(
    lines: Mapping[str, Sequence[str]], resources: Mapping[str, Mapping[str, str]]
) -> Iterator[bytes]:
    """Requests with the log records of lines, one for each node that has any.

    Args:
        lines: by node.
        resources: the attributes of each node.
    """
    for node, found in lines.items():
        if found:
            yield _request(map(record_of, found), resources[node])


def _request(records: Iterable[Record], resource: Mapping[str, str]) -> bytes:
    request = request_of("logs")
    group = request.resource_logs.add()
    fill(group.resource.attributes, resource)
    scope = group.scope_logs.add()
    scope.scope.name = "dapr-harness"
    now = time.time_ns()
    for each in records:
        made = scope.log_records.add()
        made.observed_time_unix_nano = now
        made.time_unix_nano = each.time or now
        made.severity_number = each.severity
        made.severity_text = each.level
        made.body.string_value = each.text
        made.trace_id, made.span_id = bytes.fromhex(each.trace), bytes.fromhex(each.span)
    body: bytes = request.SerializeToString()
    return body


def _time_of(line: str) -> int:
    """daprd and the control plane begin a line with its time."""
    found = _TIME.search(line)
    if not found:
        return 0
    try:
        moment = datetime.fromisoformat(found[1])
    except ValueError:
        return 0
    return round(moment.timestamp() * 1e6) * 1000 if moment.tzinfo else 0


def _text_of(line: str) -> str:
    """The message of a line of daprd, otherwise the whole line."""
    found = _TEXT.search(line) if _TIME.search(line) else None
    if not found:
        return line
    try:
        return str(json.loads(found[1]))
    except ValueError:
        return line
