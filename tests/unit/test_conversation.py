"""What is recorded of a connection between an app and its sidecar, from the bytes that pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.probe.api_calls import Call, api_of, read_call
from harness.probe.calls_server import Conversation, Recorder
from harness.probe.inbox_server import BODY_LIMIT

POST = b"POST /v1.0/publish/bus/t HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Heard:
    """A conversation, and its record.

    Attributes:
        app: takes what the app sends.
        sidecar: takes what the sidecar sends.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "record"
        self.recorder = Recorder(None, self._file)
        self.conversation = Conversation(self.recorder)
        self.app = self.conversation.from_app
        self.sidecar = self.conversation.from_sidecar

    @property
    def calls(self) -> list[Call]:
        return [read_call(json.loads(line)) for line in self._file.read_text().splitlines()]

    def short(self) -> list[tuple[str, str, Any, int | None]]:
        return [(each.method, each.path, each.data, each.status) for each in self.calls]


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    made = Heard(tmp_path)
    yield made
    made.recorder.record.close()


def test_requests_of_one_connection_are_separate_calls(heard: Heard) -> None:
    """Each has its own body and its own response."""
    for number in (1, 2):
        heard.app(POST + b"%d " % number)
        heard.sidecar(NO_CONTENT)

    assert [("POST", "/v1.0/publish/bus/t", n, 204) for n in (1, 2)] == heard.short()


def test_a_message_may_come_byte_by_byte(heard: Heard) -> None:
    """In both directions."""
    for byte in POST + b"{}":
        heard.app(bytes([byte]))
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes":
        heard.sidecar(bytes([byte]))

    assert [("POST", "/v1.0/publish/bus/t", {}, 200)] == heard.short()
    assert "yes" == heard.calls[0].answer


def test_pipelined_requests_get_their_own_responses(heard: Heard) -> None:
    """Two requests in one piece, then both responses in one piece."""
    heard.app(POST + b"1 " + b"GET /v1.0/metadata HTTP/1.1\r\nHost: x\r\n\r\n")
    heard.sidecar(NO_CONTENT + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    assert [204, 500] == [each.status for each in heard.calls]
    assert ["publish", "metadata"] == [each.api for each in heard.calls]


def test_chunked_bodies_are_recorded_without_their_chunks(heard: Heard) -> None:
    """As the sidecar and the app read them."""
    chunked = b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n"
    heard.app(b"POST /v1.0/state/store HTTP/1.1\r\n" + chunked)
    heard.sidecar(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")

    assert [([], "no")] == [(each.data, each.answer) for each in heard.calls]


def test_the_response_to_a_head_request_has_no_body(heard: Heard) -> None:
    """Whatever its length says; the next response is not taken for it."""
    heard.app(b"HEAD /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    heard.sidecar(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    heard.app(POST + b"1 ")
    heard.sidecar(NO_CONTENT)

    assert [200, 204] == [each.status for each in heard.calls]


def test_a_response_before_the_end_of_the_request_is_its_response(heard: Heard) -> None:
    """A sidecar refuses a body that is too large before it has read it."""
    heard.app(POST + b"{")
    heard.sidecar(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    heard.app(b"}")
    heard.app(POST + b"1 ")
    heard.sidecar(NO_CONTENT)

    assert [413, 204] == [each.status for each in heard.calls]


def test_a_response_that_ends_with_the_connection_is_complete(heard: Heard) -> None:
    """It has neither a length nor chunks."""
    heard.app(b"GET /v1.0/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    heard.sidecar(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
    assert [] == heard.calls
    heard.sidecar(b"")

    assert [(200, "all of it")] == [(each.status, each.answer) for each in heard.calls]


def test_a_call_without_a_response_is_recorded_without_a_status(heard: Heard) -> None:
    """The sidecar has died, or the app has hung up; nothing stays open."""
    heard.app(POST + b"1 ")
    assert 1 == len(heard.recorder.open)
    heard.sidecar(b"")
    heard.conversation.end()

    assert [("POST", "/v1.0/publish/bus/t", 1, None)] == heard.short()
    assert {} == heard.recorder.open


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00",
    ],
    ids=["TLS", "HTTP/2"],
)
def test_what_is_not_http_1_is_not_recorded(heard: Heard, data: bytes) -> None:
    """It passes nevertheless: the parser only reads along."""
    heard.app(data)
    heard.sidecar(b"whatever")
    heard.app(data)

    assert [] == heard.calls
    assert {} == heard.recorder.open


def test_after_an_upgrade_nothing_is_read(heard: Heard) -> None:
    """The call that asked for it is recorded."""
    heard.app(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    heard.sidecar(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x01")
    heard.app(b"\x00\x02")

    assert [101] == [each.status for each in heard.calls]


def test_an_informational_response_is_not_the_response(heard: Heard) -> None:
    """100 Continue comes first."""
    heard.app(POST)
    heard.sidecar(b"HTTP/1.1 100 Continue\r\n\r\n")
    heard.app(b"{}")
    heard.sidecar(NO_CONTENT)

    assert [204] == [each.status for each in heard.calls]


def test_tokens_and_secrets_are_not_recorded(heard: Heard) -> None:
    """Neither the token of the API nor what the secret store answers."""
    token = b"Host: x\r\nDapr-Api-Token: s3cret\r\nX-More: 1\r\n\r\n"
    heard.app(b"GET /v1.0/secrets/store/db HTTP/1.1\r\n" + token)
    heard.sidecar(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"db":"s3cret"}')

    (call,) = heard.calls
    assert ("secrets", "store", "1") == (call.api, call.target, call.headers["x-more"])
    assert "s3cret" not in str(call)


def test_long_bodies_are_recorded_in_part(heard: Heard) -> None:
    """A file that is uploaded through a binding does not fill the disk."""
    size = BODY_LIMIT + 10
    heard.app(b"POST /v1.0/bindings/b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(2):
        heard.app(b"x" * (size // 2))
    heard.sidecar(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)

    (call,) = heard.calls
    assert (BODY_LIMIT, BODY_LIMIT) == (len(call.data), len(call.answer))


def test_a_full_disk_does_not_stop_the_app(heard: Heard) -> None:
    """The call is lost, and nothing else."""
    heard.recorder.note = _full  # type: ignore[method-assign]
    heard.app(POST + b"1 ")
    heard.sidecar(NO_CONTENT)

    assert {} == heard.recorder.open


def _full(row: dict[str, Any]) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1.0/publish/bus/orders", ("publish", "orders")),
        ("/v1.0/publish/bus/a/b?metadata.ttlInSeconds=1", ("publish", "a/b")),
        ("/v1.0/publish/bus/with%20space", ("publish", "with space")),
        ("/v1.0-alpha1/publish/bulk/bus/orders", ("publish", "orders")),
        ("/v1.0/publish/bulk/orders", ("publish", "orders")),
        ("/v1.0/state/store", ("state", "store")),
        ("/v1.0/state/store/key", ("state", "store")),
        ("/v1.0-alpha1/state/store/query", ("state", "store")),
        ("/v1.0/invoke/shop/method/orders/1?x=2", ("invoke", "shop")),
        ("/v1.0/invoke/http%3A%2F%2Fa.example/method/x", ("invoke", "http://a.example")),
        ("/v1.0/invoke/https://a.example/method/x", ("invoke", "https://a.example")),
        ("/v1.0-alpha1/jobs/nightly", ("jobs", "nightly")),
        ("/v1.0/bindings/mail", ("bindings", "mail")),
        ("/v1.0/secrets/vault/bulk", ("secrets", "vault")),
        ("/v1.0/actors/clock/one/method/ring", ("actors", "clock")),
        ("/v1.0/workflows/dapr/flow/start?instanceID=1", ("workflows", "dapr")),
        ("/v1.0/configuration/conf?key=a", ("configuration", "conf")),
        ("/v1.0-alpha1/lock/redis", ("lock", "redis")),
        ("/v1.0/metadata", ("metadata", "")),
        ("/v1.0/healthz/outbound", ("healthz", "")),
        ("/v1.0/shutdown", ("shutdown", "")),
        ("/orders", ("", "")),
        ("/", ("", "")),
    ],
)
def test_the_api_and_its_target_are_read_from_the_path(
    path: str, expected: tuple[str, str]
) -> None:
    """Each API of Dapr, and what it is about."""
    assert expected == api_of(path, {})


def test_a_header_makes_any_path_an_invocation() -> None:
    """As daprd reads it."""
    assert ("invoke", "shop") == api_of("/orders/1", {"dapr-app-id": "shop"})
