"""Requests to Dapr's state API by gRPC, as the requests by HTTP that mean the same.

The messages are those of ``dapr/proto/runtime/v1/state.proto`` and ``common.proto`` of Dapr 1.18.2.
A few fields are read from the wire format, which needs no generated code.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from harness.probe.records import decoded

METHOD = "grpc-method"
"""The header of the request by HTTP that has the method of gRPC."""

STATUSES = {0: HTTPStatus.OK, 3: HTTPStatus.BAD_REQUEST, 5: HTTPStatus.NOT_FOUND,
            7: HTTPStatus.FORBIDDEN, 10: HTTPStatus.CONFLICT, 12: HTTPStatus.NOT_IMPLEMENTED,
            14: HTTPStatus.SERVICE_UNAVAILABLE, 16: HTTPStatus.UNAUTHORIZED}  # fmt: skip
"""The status of HTTP for a code of gRPC, as ``google.rpc.Code`` maps them; of others, it is 500."""

PREFIX = 5
"""Bytes before a message: whether it is compressed, and its length."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Types of the wire format: https://protobuf.dev/programming-guides/encoding/"""

Fields = Mapping[int, list[bytes]]
"""The values of a message's fields that have a length, by number."""


def as_http(row: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a record for a request by HTTP that means the same.

    One whose message was cut off, is compressed, or is of an unknown method, is only known by its
    path.
    """
    asked, answer = _message(row["sent"]), _message(row["got"], cut=True)
    translate = TRANSLATED.get(str(row["grpc"]).rpartition("/")[2])
    if asked is None or answer is None:
        asked, answer, translate = {}, {}, None
    store = quote(_text(asked, 1), safe="")
    status = None if row["status"] is None else STATUSES.get(row["status"], 500)
    made: dict[str, Any] = {
        "at": row["at"], "time": row["time"], "took": row["took"], "method": "POST",
        "path": f"/v1.0/state/{store}", "headers": {**row["headers"], METHOD: row["grpc"]},
        "body": "", "answer": "", "status": None if status is None else int(status),
    }  # fmt: skip
    return made | (translate(asked, answer, made) if translate else {"path": row["grpc"]})


def _save(asked: Fields, _: Fields, made: dict[str, Any]) -> dict[str, Any]:
    rows = [_item(each) for each in asked[2]]
    return {"body": json.dumps(rows), "status": _empty(made["status"])}


def _get(asked: Fields, answer: Fields, made: dict[str, Any]) -> dict[str, Any]:
    path, status = f"{made['path']}/{quote(_text(asked, 2), safe='')}", made["status"]
    found = bool(answer[1] or answer[2])
    status = status if found else _empty(status)
    return {"method": "GET", "path": path, "answer": _text(answer, 1), "status": status}


def _get_bulk(asked: Fields, answer: Fields, made: dict[str, Any]) -> dict[str, Any]:
    rows = [_row(parse(each)) for each in answer[1]]
    body = {"keys": [_decode(each) for each in asked[2]]}
    return {"path": f"{made['path']}/bulk", "body": json.dumps(body), "answer": json.dumps(rows)}


def _row(found: Fields) -> dict[str, Any]:
    row: dict[str, Any] = {"key": _text(found, 1)}
    if found[4]:
        return {**row, "error": _text(found, 4)}
    return {**row, "data": decoded(_text(found, 2)), "etag": _text(found, 3)} if found[2] else row


def _delete(asked: Fields, _: Fields, made: dict[str, Any]) -> dict[str, Any]:
    etag = _etag(asked)
    path = f"{made['path']}/{quote(_text(asked, 2), safe='')}"
    headers = {**made["headers"], **({"if-match": etag} if etag else {})}
    return {
        "method": "DELETE", "path": path, "headers": headers, "status": _empty(made["status"]),
    }  # fmt: skip


def _transact(asked: Fields, _: Fields, made: dict[str, Any]) -> dict[str, Any]:
    rows = [parse(each) for each in asked[2]]
    operations = [
        {"operation": _text(row, 1), "request": _item(each)} for row in rows for each in row[2]
    ]
    return _operations(operations, made)


def _delete_bulk(asked: Fields, _: Fields, made: dict[str, Any]) -> dict[str, Any]:
    # By HTTP, several keys are deleted in a transaction.
    return _operations([{"operation": "delete", "request": _item(each)} for each in asked[2]], made)


def _operations(rows: list[dict[str, Any]], made: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"operations": rows})
    return {
        "path": f"{made['path']}/transaction", "body": body, "status": _empty(made["status"]),
    }  # fmt: skip


def _empty(status: int | None) -> int | None:
    """The status of a success without a body."""
    return int(HTTPStatus.NO_CONTENT) if status == HTTPStatus.OK else status


TRANSLATED: Mapping[str, Callable[[Fields, Fields, dict[str, Any]], dict[str, Any]]] = {
    "SaveState": _save,
    "GetState": _get,
    "GetBulkState": _get_bulk,
    "DeleteState": _delete,
    "DeleteBulkState": _delete_bulk,
    "ExecuteStateTransaction": _transact,
}
"""By the method of gRPC."""


def _item(data: bytes) -> dict[str, Any]:
    """A ``StateItem``."""
    found = parse(data)
    metadata = {_text(parse(each), 1): _text(parse(each), 2) for each in found[4]}
    row: dict[str, Any] = {"key": _text(found, 1), "value": decoded(_text(found, 2))}
    etag = _etag(found)
    return row | ({"etag": etag} if etag else {}) | ({"metadata": metadata} if metadata else {})


def _etag(found: Fields) -> str:
    return _text(parse(found[3][-1]), 1) if found[3] else ""


def _text(found: Fields, number: int) -> str:
    return _decode(found[number][-1]) if found.get(number) else ""


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _message(encoded: str, *, cut: bool = False) -> Fields | None:
    """The first message of a body; None if it is compressed.

    Args:
        cut: whether the beginning of one that was cut off is enough.
    """
    data = base64.b64decode(encoded)
    size = int.from_bytes(data[1:PREFIX], "big")
    if data[:1] == b"\1" or not (cut or len(data) >= PREFIX + size):
        return None
    return parse(data[PREFIX : PREFIX + size])


def parse(data: bytes) -> Fields:
    """The fields of a message that have a length; as many as can be read."""
    found = defaultdict[int, list[bytes]](list)
    place = 0
    try:
        while place < len(data):
            tag, place = _varint(data, place)
            if tag & 7 == BYTES:
                size, place = _varint(data, place)
                found[tag >> 3].append(data[place : place + size])
                place += size
            elif tag & 7 == VARINT:
                _, place = _varint(data, place)
            else:
                place += {FIXED64: 8, FIXED32: 4}[tag & 7]
    except (IndexError, KeyError):
        return found
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
