"""Requests to the state API by gRPC, as the requests by HTTP that mean the same."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from dapr.proto import api_v1, common_v1
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger.joining import ledger_of
from harness.probe.api_calls import read_call
from harness.probe.grpc_state import TRANSLATED, as_http, parse


def row(method: str, sent: bytes, got: bytes = b"", **more: Any) -> dict[str, Any]:
    """A line of the record; ``sent`` and ``got`` are messages, which ``raw_...`` replaces."""
    framed = [b"\0" + len(each).to_bytes(4, "big") + each for each in (sent, got)]
    made = {"raw_sent": framed[0], "raw_got": framed[1], "status": 0, **more}
    return {
        "at": 1.0, "time": 5, "took": 0.1, "grpc": f"/dapr.proto.runtime.v1.Dapr/{method}",
        "headers": {"te": "trailers"}, "status": made["status"],
        "sent": base64.b64encode(made["raw_sent"]).decode(),
        "got": base64.b64encode(made["raw_got"]).decode(),
    }  # fmt: skip


def save(key: str, value: bytes = b"1") -> bytes:
    """A request to write."""
    item = common_v1.StateItem(key=key, value=value)
    return bytes(api_v1.SaveStateRequest(store_name="a/b", states=[item]).SerializeToString())


@pytest.mark.parametrize(
    ("code", "status"), [(0, 204), (10, 409), (3, 400), (13, 500), (99, 500), (None, None)]
)
def test_a_code_of_grpc_is_a_status_of_http(code: int | None, status: int | None) -> None:
    """A success without a body is 204, as daprd answers by HTTP; no answer stays none."""
    found = read_call(row("SaveState", save("k"), status=code))

    assert ("state", "a/b", status) == (found.api, found.target, found.status)
    assert [{"key": "k", "value": 1}] == found.data


def test_a_key_that_has_an_empty_value_was_found() -> None:
    """It has a version; one that is not there has none."""
    asked = api_v1.GetStateRequest(store_name="s", key="a b/c").SerializeToString()
    there = api_v1.GetStateResponse(etag="1").SerializeToString()

    found = [as_http(row("GetState", asked, got)) for got in (there, b"")]

    assert [200, 204] == [each["status"] for each in found]
    assert {"/v1.0/state/s/a%20b%2Fc"} == {each["path"] for each in found}
    assert {"GET"} == {each["method"] for each in found}


def test_a_key_that_could_not_be_read_is_neither_there_nor_missing() -> None:
    """One of several, with an error of its own."""
    asked = api_v1.GetBulkStateRequest(store_name="s", keys=["k"]).SerializeToString()
    item = api_v1.BulkStateItem(key="k", error="away")
    got = api_v1.GetBulkStateResponse(items=[item]).SerializeToString()

    (path,) = ledger_of([read_call(row("GetBulkState", asked, got)).occurrence("shop")]).keys

    assert [("read", None)] == [(each.kind, each.found) for each in path.operations]


@pytest.mark.parametrize(
    "more",
    [
        {"raw_sent": b"\0\0\0\0\x64" + save("k")},  # cut off
        {"raw_sent": b"\1\0\0\0\x01x"},  # compressed
        {"raw_got": b"\1\0\0\0\x01x"},
    ],
)
def test_a_message_that_cannot_be_read_is_no_operation(more: dict[str, bytes]) -> None:
    """The call is known, and by which path."""
    found = read_call(row("SaveState", save("k"), **more))

    assert ("", "/dapr.proto.runtime.v1.Dapr/SaveState") == (found.api, found.path)
    assert () == ledger_of([found.occurrence("shop")]).keys


@given(
    method=st.sampled_from([*TRANSLATED, "Other"]),
    sent=st.binary(max_size=60),
    got=st.binary(max_size=60),
    status=st.sampled_from([0, 10, None]),
)
def test_bytes_that_are_no_message_are_no_error(
    method: str, sent: bytes, got: bytes, status: int | None
) -> None:
    """Whoever reaches the recorder can send anything."""
    ledger_of([read_call(row(method, sent, got, status=status)).occurrence("shop")])


@given(st.text(max_size=20), st.binary(max_size=300), st.integers(0, 2**63 - 1))
def test_fields_are_those_that_protobuf_has_written(key: str, value: bytes, flags: int) -> None:
    """Whatever is in them, and beside them."""
    options = common_v1.StateOptions(concurrency=flags % 3)  # type: ignore[arg-type]  # a number
    item = common_v1.StateItem(key=key, value=value, options=options)

    found = parse(item.SerializeToString())

    assert ([key.encode()] if key else []) == found.get(1, [])
    assert ([value] if value else []) == found.get(2, [])
