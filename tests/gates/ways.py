"""Every way in which an app can have its sidecar invoke another app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
from dapr.proto import api_service_v1, api_v1, common_v1

from harness import World
from harness.ready.loopback import client

MARKS = ("dapr-caller-app-id", "dapr-callee-app-id", "dapr-caller-namespace")
UNMARKED = {"connection": f"keep-alive, {', '.join(MARKS)}"}
"""Has the callee's sidecar take the marks of an invocation for hop-by-hop headers."""

STATUSES = {"OK": 200, "NOT_FOUND": 404, "PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401}


@dataclass(frozen=True)
class Invocation:
    """What is invoked, by whom."""

    caller: str
    callee: str
    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None


Way = Callable[[World, Invocation], int]
"""Makes an invocation; the HTTP status that the caller is told."""


def by_url(dapr: World, call: Invocation) -> int:
    """By the path of the invocation API."""
    return _http(dapr, call, f"/v1.0/invoke/{call.callee}/method{call.path}", {})


def by_header(dapr: World, call: Invocation) -> int:
    """By a header that names the app, as a proxy is used."""
    return _http(dapr, call, call.path, {"dapr-app-id": call.callee})


def by_user(dapr: World, call: Invocation) -> int:
    """By the user name of a URL."""
    auth = httpx.BasicAuth("dapr-app-id", call.callee)
    return _http(dapr, call, call.path, {}, auth)


def by_grpc(dapr: World, call: Invocation) -> int:
    """By InvokeService of the gRPC API."""
    _, token = dapr.sidecar_address(call.caller)
    message = common_v1.InvokeRequest(method=call.path, content_type="application/json")
    message.http_extension.verb = common_v1.HTTPExtension.Verb.Value(call.method)
    message.data.value = b"{}"
    metadata = [("dapr-api-token", token), *call.headers.items()]
    where = str(dapr.stack.book.endpoint(f"{call.caller}-daprd", "grpc"))
    with grpc.insecure_channel(where) as channel:
        stub: Any = api_service_v1.DaprStub(channel)  # type: ignore[no-untyped-call]  # generated
        request = api_v1.InvokeServiceRequest(id=call.callee, message=message)
        try:
            stub.InvokeService(request, metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            return STATUSES.get(error.code().name, 500)
    return 200


WAYS: list[Way] = [by_url, by_header, by_user, by_grpc]


def _http(
    dapr: World,
    call: Invocation,
    path: str,
    more: Mapping[str, str],
    auth: httpx.Auth | None = None,
) -> int:
    endpoint, token = dapr.sidecar_address(call.caller)
    with client(endpoint.http, token=token, timeout=30) as http:
        headers = {**call.headers, **more}
        answer = http.request(call.method, path, headers=headers, auth=auth, json=call.json)
        return answer.status_code
