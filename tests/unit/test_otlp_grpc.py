"""Export by gRPC, to a real server of the official services."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme

from harness.core.errors import ConfigError, Unavailable
from harness.core.ports import free_port
from harness.core.settings import Settings
from harness.otlp import packages
from harness.otlp.destination import destination_of
from harness.otlp.logs import body_of
from harness.otlp.sender import Sender
from tests.grpc_collector import GrpcCollector, collecting_by_grpc
from tests.unit.test_otlp import spans


@pytest.fixture
def collector() -> Iterator[GrpcCollector]:
    with collecting_by_grpc() as made:
        yield made


def test_what_is_sent_by_grpc_arrives_with_the_headers_and_is_counted(
    collector: GrpcCollector,
) -> None:
    """Spans and log records, each to the service that takes them."""
    sender = Sender(collector.url, {"Api-Key": "k"})

    sender.put("traces", spans(3))
    sender.put("logs", next(body_of({"shop": ["a line"]}, {"shop": {"service.name": "shop"}})))
    sender.close(60)

    assert ({"spans": 3, "log records": 1}, {}) == (sender.sent, sender.lost)
    assert (3, "shop") == (len(collector.spans), collector.logs[0].resource["service.name"])
    assert {"k"} == {each["api-key"] for each in collector.headers}


def test_what_an_app_has_packed_or_written_as_json_arrives_by_grpc(
    collector: GrpcCollector,
) -> None:
    """Its ids are those that it has written in hexadecimal digits."""
    sender = Sender(collector.url)
    span = {"name": "s", "traceId": "0" * 31 + "7", "spanId": "0" * 15 + "9"}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}

    sender.put("traces", gzip.compress(spans(2)), {"content-encoding": "gzip"})
    sender.put("traces", json.dumps(body).encode(), {"content-type": "application/json"})
    sender.close(60)

    assert ({"spans": 3}, {}) == (sender.sent, sender.lost)
    assert (span["traceId"], span["spanId"]) == (collector.spans[-1].trace, collector.spans[-1].id)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{", {"content-type": "application/json"}),
        (b'{"resourceSpans": 1}', {"content-type": "application/json"}),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
         {"content-type": "application/json"}),
        (b"no gzip", {"content-encoding": "gzip"}),
    ],
    ids=["torn", "another type", "no hexadecimal digits", "not packed"],
)  # fmt: skip
def test_what_is_no_otlp_is_lost_and_the_rest_is_sent(
    collector: GrpcCollector, body: bytes, headers: dict[str, str]
) -> None:
    sender = Sender(collector.url)

    sender.put("traces", body, headers)
    sender.put("traces", spans(1))
    sender.close(60)

    assert ({"spans": 1}, {"spans": 1}) == (sender.sent, sender.lost)
    assert "it is not OTLP" in sender.complaint()


def test_a_collector_without_grpc_that_is_away_is_asked_once_more_at_the_end() -> None:
    sender = Sender(f"grpc://127.0.0.1:{free_port()}")

    sender.put("traces", spans(2))
    sender.close(60)

    assert {"spans": 2} == sender.lost
    assert f"2 spans could not be sent to {sender.url}: it responded UNAVAILABLE" in (
        sender.complaint()
    )


def test_what_a_collector_cannot_take_now_is_sent_again(collector: GrpcCollector) -> None:
    collector.code = grpc.StatusCode.UNAVAILABLE
    sender = Sender(collector.url)
    sender.put("traces", spans(1))
    collector.wait("the first attempt", lambda: collector.headers)

    collector.code = None
    sender.close(60)

    assert ({"spans": 1}, {}) == (sender.sent, sender.lost)


def test_what_a_collector_refuses_by_grpc_is_lost_at_once(collector: GrpcCollector) -> None:
    collector.code = grpc.StatusCode.UNAUTHENTICATED
    sender = Sender(collector.url)
    sender.put("traces", spans(2))
    collector.wait("the refusal", lambda: sender.lost)
    sender.close(60)

    assert ({}, {"spans": 2}) == (sender.sent, sender.lost)
    assert "it responded UNAUTHENTICATED: as the test says" in sender.complaint()


def test_what_is_accepted_in_part_by_grpc_is_counted_in_part(collector: GrpcCollector) -> None:
    collector.refused = 2
    sender = Sender(collector.url)

    sender.put("traces", spans(5))
    sender.close(60)

    assert ({"spans": 3}, {"spans": 2}, "too old") == (sender.sent, sender.lost, sender.reason)


def test_a_collector_whose_certificate_nobody_has_signed_gets_nothing() -> None:
    """With TLS, which `grpcs` means."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    pair = issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes()
    with collecting_by_grpc(grpc.ssl_server_credentials([pair])) as collector:
        sender = Sender(collector.url)
        sender.put("traces", spans(1))
        sender.close(60)

    assert ([], {"spans": 1}) == (collector.bodies, sender.lost)


@pytest.mark.parametrize(
    ("otlp", "protocol", "url"),
    [
        ("http://c:4318", "", "http://c:4318"),
        ("http://c:4317", "grpc", "grpc://c:4317"),
        ("https://c", "grpc", "grpcs://c"),
        ("grpc://c:4317", "", "grpc://c:4317"),
        ("grpc://c:4317", "http/protobuf", "grpc://c:4317"),
        ("https://c", "http/json", "https://c"),
    ],
)
def test_the_protocol_is_that_of_the_address_or_of_the_variable(
    tmp_path: Path, otlp: str, protocol: str, url: str
) -> None:
    environ = {"DAPR_HARNESS_OTLP": otlp, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}

    assert url == destination_of(Settings.load(tmp_path, environ)).url


def test_a_protocol_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    environ = {"DAPR_HARNESS_OTLP": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "gprc"}

    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'gprc'"):
        destination_of(Settings.load(tmp_path, environ))


def test_without_grpc_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_is_installed", lambda package: package != "grpc")

    packages.require_packages("http://c")
    with pytest.raises(Unavailable, match="package grpc") as missing:
        packages.require_packages("grpc://c")
    assert "dapr-harness[otlp-grpc]" in missing.value.hint
