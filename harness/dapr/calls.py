"""Every call of Dapr's HTTP API as a value: built and parsed here, sent by a client.

Both clients send the same values, so what applies to one applies to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from harness.core.errors import DaprError
from harness.dapr.model import (
    BindingAnswer,
    BulkEntry,
    Concurrency,
    Consistency,
    Metadata,
    StateItem,
    StateOperation,
    StatePage,
)
from harness.dapr.state_options import operation_json, options, present

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
CLOUD_EVENT = "application/cloudevents+json"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how to read its response; its path in an earlier Dapr, "" if the same."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    older_path: str = ""

    def instead(self, answer: httpx.Response) -> Call[T] | None:
        """The same call to an earlier Dapr, if the answer says that this is one."""
        there = answer.status_code != HTTPStatus.NOT_FOUND or not self.older_path
        return None if there else replace(self, path=self.older_path, older_path="")

    def request(self, client: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request for one client."""
        import httpx

        body: dict[str, Any] = {"content": self.content}
        if self.content is None and self.json is not None:
            body = {"json": self.json}
        # Given as parameters, they would replace a query in the path, even if there are none.
        url = httpx.URL(self.path).copy_merge_params(dict(self.params))
        return client.build_request(self.method, url, headers=dict(self.headers), **body)

    def parse(self, answer: httpx.Response) -> T:
        """Read the response.

        Raises:
            DaprError: the status is not 2xx.
        """
        if not answer.is_success:
            raise _error(f"{self.method} {self.path}", answer)
        return self.read(answer)


def publish(
    pubsub: str,
    topic: str,
    data: Any,
    *,
    content_type: str,
    metadata: Mapping[str, str],
) -> Call[None]:
    """Publish one event. Metadata is sent as query parameters, because daprd ignores headers."""
    raw = data if isinstance(data, bytes) else None
    return Call(
        "POST",
        f"/v1.0/publish/{_part(pubsub)}/{quote(topic)}",
        _nothing,
        params=_query(metadata),
        headers={"content-type": content_type},
        json=None if raw is not None else data,
        content=raw,
    )


def publish_bulk(pubsub: str, topic: str, entries: Sequence[BulkEntry]) -> Call[None]:
    """Publish several events in one request."""
    body = [
        {"entryId": each.entry_id, "event": each.event, "contentType": each.content_type}
        | {"metadata": dict(each.metadata)}
        for each in entries
    ]
    path = f"publish/bulk/{_part(pubsub)}/{quote(topic)}"
    # 1.16.0 does not serve the stable path.
    return _moved("POST", path, _nothing, json=body)


def get_state(
    store: str, key: str, metadata: Mapping[str, str], *, consistency: Consistency | None = None
) -> Call[StateItem]:
    """Read one key; a missing key returns an item that does not exist."""

    def read(answer: httpx.Response) -> StateItem:
        found = {
            name.removeprefix("metadata."): value
            for name, value in answer.headers.items()
            if name.startswith("metadata.")
        }
        if answer.status_code == 204:
            return StateItem(key, None)
        return StateItem(key, answer.json(), answer.headers.get("etag", ""), found)

    params = _query(metadata) | present(consistency=consistency)
    return Call("GET", f"/v1.0/state/{_part(store)}/{_part(key)}", read, params=params)


def save_state(
    store: str,
    key: str,
    value: Any,
    *,
    etag: str | None,
    concurrency: Concurrency | None,
    ttl: int | None,
    consistency: Consistency | None = None,
) -> Call[None]:
    """Write one key."""
    item: dict[str, Any] = {"key": key, "value": value}
    if etag is not None:
        item["etag"] = etag
    if chosen := options(etag, concurrency, consistency):
        item["options"] = chosen
    if ttl is not None:
        item["metadata"] = {"ttlInSeconds": str(ttl)}
    return Call("POST", f"/v1.0/state/{_part(store)}", _nothing, json=[item])


def delete_state(
    store: str, key: str, *, etag: str | None, consistency: Consistency | None = None
) -> Call[None]:
    """Delete one key; a missing one is not an error."""
    headers = {"if-match": etag} if etag is not None else {}
    params = options(etag, None, consistency)
    path = f"/v1.0/state/{_part(store)}/{_part(key)}"
    return Call("DELETE", path, _nothing, headers=headers, params=params)


def get_bulk_state(store: str, keys: Sequence[str]) -> Call[list[StateItem]]:
    """Read several keys; the response has one item per key, in the requested order."""

    def read(answer: httpx.Response) -> list[StateItem]:
        rows = {row["key"]: row for row in (answer.json() if answer.content else [])}
        return [
            StateItem(
                key,
                rows.get(key, {}).get("data"),
                rows.get(key, {}).get("etag") or "",
                rows.get(key, {}).get("metadata") or {},
            )
            for key in keys
        ]

    return Call("POST", f"/v1.0/state/{_part(store)}/bulk", read, json={"keys": list(keys)})


def transact_state(store: str, operations: Sequence[StateOperation]) -> Call[None]:
    """Execute all of the operations or none."""
    return Call(
        "POST",
        f"/v1.0/state/{_part(store)}/transaction",
        _nothing,
        json={"operations": [operation_json(each) for each in operations]},
    )


def query_state(
    store: str, query: Mapping[str, Any], metadata: Mapping[str, str]
) -> Call[StatePage]:
    """Query by a filter; an empty result is 204."""

    def read(answer: httpx.Response) -> StatePage:
        body = _json(answer)
        rows = body.get("results") or []
        items = [StateItem(row["key"], row.get("data"), row.get("etag") or "") for row in rows]
        return StatePage(items, body.get("token") or "")

    path = f"/v1.0-alpha1/state/{_part(store)}/query"
    return Call("POST", path, read, params=_query(metadata), json=dict(query))


def invoke(
    app_id: str,
    method: str,
    *,
    verb: str,
    json: Any,
    content: bytes | None,
    params: Mapping[str, str],
    headers: Mapping[str, str],
) -> Call[httpx.Response]:
    """Call another app; its response is passed through, including errors of the app."""

    def read(answer: httpx.Response) -> httpx.Response:
        return answer

    path = f"/v1.0/invoke/{_part(app_id)}/method/{method.lstrip('/')}"
    return _PassThrough(verb, path, read, params, headers, json, content)


def schedule_job(
    name: str,
    *,
    due: str | None,
    schedule: str | None,
    repeats: int | None,
    data: Any,
    overwrite: bool,
    failure_policy: Mapping[str, Any] | None,
) -> Call[None]:
    """Schedule a job; without overwrite, a second job of that name is rejected with 409."""
    body: dict[str, Any] = {"dueTime": due, "schedule": schedule, "repeats": repeats}
    body |= {"overwrite": overwrite or None, "failurePolicy": failure_policy}
    present = {key: value for key, value in body.items() if value is not None}
    # Data is always present, if necessary as null: in 1.18.2, a job that was posted without data
    # never reached its app ("google.protobuf.Value: none of the oneof fields is set").
    return _moved("POST", f"jobs/{_part(name)}", _nothing, json={**present, "data": data})


def get_job(name: str) -> Call[dict[str, Any]]:
    """A job as the scheduler stores it; an unknown one is an error with status 500."""
    return _moved("GET", f"jobs/{_part(name)}", _json)


def delete_job(name: str) -> Call[None]:
    """Cancel a job; an unknown one is not an error."""
    return _moved("DELETE", f"jobs/{_part(name)}", _nothing)


def _moved(
    method: str, path: str, read: Callable[[httpx.Response], T], json: Any = None
) -> Call[T]:
    """A call that is stable since 1.18.0, or some version after 1.16.0."""
    older = f"/v1.0-alpha1/{path}"
    return Call(method, f"/v1.0/{path}", read, json=json, older_path=older)


def get_secret(store: str, name: str, metadata: Mapping[str, str]) -> Call[dict[str, str]]:
    """A secret's keys and values."""
    path = f"/v1.0/secrets/{_part(store)}/{_part(name)}"
    return Call("GET", path, _json, params=_query(metadata))


def get_bulk_secret(store: str) -> Call[dict[str, dict[str, str]]]:
    """All secrets that the sidecar may read."""
    return Call("GET", f"/v1.0/secrets/{_part(store)}/bulk", _json)


def invoke_binding(
    name: str, operation: str, data: Any, metadata: Mapping[str, str]
) -> Call[BindingAnswer]:
    """Run one operation of an output binding."""

    def read(answer: httpx.Response) -> BindingAnswer:
        found = {
            key.removeprefix("metadata."): value
            for key, value in answer.headers.items()
            if key.startswith("metadata.")
        }
        return BindingAnswer(_body(answer), found)

    body = {"operation": operation, "data": data, "metadata": dict(metadata)}
    return Call("POST", f"/v1.0/bindings/{_part(name)}", read, json=body)


def metadata() -> Call[Metadata]:
    """The sidecar's own metadata."""
    return Call("GET", "/v1.0/metadata", lambda answer: Metadata.parse(answer.json()))


def health(*, outbound: bool = False) -> Call[None]:
    """The sidecar's own health; an error as long as it is not ready."""
    return Call("GET", "/v1.0/healthz/outbound" if outbound else "/v1.0/healthz", _nothing)


class _PassThrough(Call["httpx.Response"]):
    """An invocation: only errors from daprd itself are raised."""

    def parse(self, answer: httpx.Response) -> httpx.Response:
        if not answer.is_success and _body_of_daprd(answer):
            raise _error(f"{self.method} {self.path}", answer)
        return answer


def _body_of_daprd(answer: httpx.Response) -> bool:
    body = _body(answer)
    return isinstance(body, dict) and str(body.get("errorCode", "")).startswith("ERR_")


HUNG_UP = """The app closed the connection without answering.
Either it exited, or it closed an idle connection just as daprd used it. Let it keep those longer
than daprd's 90 s, as `App(asgi=...)` does: for uvicorn, `--timeout-keep-alive 120`. See
docs/apps.md."""


def _error(call: str, answer: httpx.Response) -> DaprError:
    body = _body(answer)
    if isinstance(body, dict):
        code, message = body.get("errorCode", ""), body.get("message", "")
        failed = body.get("failedEntries") or ()
        error = DaprError(call, answer.status_code, str(code), str(message))
        error.failed_entries = {each["entryId"]: each.get("error", "") for each in failed}
        if code == "ERR_DIRECT_INVOKE" and error.message.endswith("EOF"):
            error.add_note(HUNG_UP)
        return error
    return DaprError(call, answer.status_code, "", answer.text[:500])


def _body(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        return answer.text


def _part(text: str) -> str:
    return quote(text, safe="")


def _query(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"metadata.{key}": value for key, value in metadata.items()}


def _nothing(_answer: httpx.Response) -> None:
    return None


def _json(answer: httpx.Response) -> Any:
    return answer.json() if answer.content else {}
