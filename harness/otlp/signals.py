"""The kinds of telemetry, and what a collector says about requests with them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


class _Kind(NamedTuple):
    """One kind of telemetry.

    Attributes:
        unit: what is counted, in words.
        module: of its service's messages, below ``opentelemetry.proto.collector``.
        message: what the names of its messages contain.
        rejected: the field of a response that counts what was not accepted.
        levels: the fields that lead from a request to what is counted.
    """

    unit: str
    module: str
    message: str
    rejected: str
    levels: tuple[str, ...]


KINDS: Mapping[str, _Kind] = {
    "traces": _Kind(
        "spans", "trace.v1.trace_service_pb2", "Trace", "rejected_spans",
        ("resource_spans", "scope_spans", "spans"),
    ),
    "metrics": _Kind(
        "metrics", "metrics.v1.metrics_service_pb2", "Metrics", "rejected_data_points",
        ("resource_metrics", "scope_metrics", "metrics"),
    ),
    "logs": _Kind(
        "log records", "logs.v1.logs_service_pb2", "Logs", "rejected_log_records",
        ("resource_logs", "scope_logs", "log_records"),
    ),
}  # fmt: skip
"""By the last part of their path, ``/v1/traces``."""


def unit_of(signal: str) -> str:
    """What is counted of a kind of telemetry, such as ``spans``."""
    return KINDS[signal].unit


def service_of(signal: str) -> str:
    """The gRPC service that accepts a kind of telemetry."""
    kind = KINDS[signal]
    package = kind.module.rpartition(".")[0]
    return f"opentelemetry.proto.collector.{package}.{kind.message}Service"


def request_of(signal: str) -> Any:
    """A new request of a kind, to be filled."""
    return _message(signal, "Request")


def count(signal: str, body: bytes, headers: Mapping[str, str]) -> int:
    """How much a request contains; 1 if it cannot be read.

    Args:
        signal: the kind.
        body: the request's.
        headers: its ``content-type`` and ``content-encoding``.
    """
    try:
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        if headers.get("content-type", PROTOBUF).startswith(JSON):
            return _in_json(json.loads(plain), KINDS[signal].levels)
        request = request_of(signal)
        request.ParseFromString(plain)
        return _below(request, KINDS[signal].levels)
    except (OSError, ValueError, TypeError, zlib.error, EOFError, AttributeError, _decode_error()):
        return 1


def rejected(signal: str, answer: bytes) -> tuple[int, str]:
    """How much a collector did not accept of a request to which it responded 200, and why."""
    response = _message(signal, "Response")
    try:
        response.ParseFromString(answer)
    except _decode_error():
        return 0, ""  # Some collectors respond in JSON, or with a word.
    partial = response.partial_success
    return getattr(partial, KINDS[signal].rejected), partial.error_message


def _message(signal: str, which: str) -> Any:
    kind = KINDS[signal]
    module = import_module(f"opentelemetry.proto.collector.{kind.module}")
    return getattr(module, f"Export{kind.message}Service{which}")()


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    found: type[Exception] = DecodeError
    return found


def _below(message: Any, levels: tuple[str, ...]) -> int:
    below = getattr(message, levels[0])
    return sum(_below(each, levels[1:]) for each in below) if levels[1:] else len(below)


def _in_json(row: Mapping[str, Any], levels: tuple[str, ...]) -> int:
    first, *words = levels[0].split("_")
    below = row.get(first + "".join(word.title() for word in words), [])
    return sum(_in_json(each, levels[1:]) for each in below) if levels[1:] else len(below)
