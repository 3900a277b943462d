"""Where telemetry is sent: a setting, and variables that OpenTelemetry has defined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from harness.core.errors import ConfigError
from harness.core.settings import Settings

AT_THE_END = 2.0
"""Seconds that the end of a stack, or of a test session, waits at most for a collector."""

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
PROTOCOLS = ("grpc", "http/protobuf", "http/json")
TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"

GRPC, GRPCS = "grpc", "grpcs"
"""The schemes of collectors that are spoken to by gRPC, without and with TLS."""


@dataclass(frozen=True)
class Destination:
    """A collector.

    Attributes:
        url: its address, without ``/v1/traces``; its scheme is that of the protocol.
        headers: sent with each request; secret.
        seconds: how long the end of a stack, or of a test session, waits at most for it.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = AT_THE_END


def destination_of(settings: Settings) -> Destination:
    """The collector of the settings.

    Raises:
        ConfigError: a variable has a value that it cannot have.
    """
    known = settings.environment
    timeout = known.get(TIMEOUT, "")
    try:
        seconds = int(timeout) / 1000 if timeout else AT_THE_END
    except ValueError:
        raise ConfigError(
            f"{TIMEOUT} is {timeout!r}", expected="a number of milliseconds"
        ) from None
    url = _by_protocol(settings.otlp, known.get(PROTOCOL, ""))
    return Destination(url, headers_of(known.get(HEADERS, "")), seconds)


def _by_protocol(url: str, protocol: str) -> str:
    """The address with the scheme of the protocol; that of the address itself takes precedence.

    By HTTP, protobuf is sent in any case: whoever accepts JSON accepts it, too.
    """
    if protocol and protocol not in PROTOCOLS:
        raise ConfigError(f"{PROTOCOL} is {protocol!r}", expected=", ".join(PROTOCOLS))
    if protocol != "grpc":
        return url
    scheme, colon, rest = url.partition(":")
    return {"http": GRPC, "https": GRPCS}.get(scheme, scheme) + colon + rest


def headers_of(text: str) -> dict[str, str]:
    """Headers as ``OTEL_EXPORTER_OTLP_HEADERS`` has them: ``name=value``, separated by commas."""
    pairs = (each.partition("=") for each in text.split(",") if "=" in each)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
