"""What an app asked of its sidecar, as the recorder of its calls keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.core.endpoint import Endpoint
from harness.core.observation import Occurrence, correlation_of, event_in, trace_in
from harness.probe.grpc_state import as_http
from harness.probe.inbox_server import BODY_LIMIT
from harness.probe.records import RecordReader, decoded

APP_ID = "dapr-app-id"
"""The header that makes any path an invocation of another app."""


@dataclass(frozen=True)
class Call:
    """One HTTP request from an app to its sidecar.

    Attributes:
        at: when the app sent it, on ``time.monotonic``.
        took: seconds until the response was complete.
        path: with its query.
        api: the API of Dapr, as its path names it: ``publish``, ``state``, ``invoke``, ``jobs``,
            ``bindings``, ``secrets``, ``actors``, ``workflows``, ``configuration``, ``lock``,
            ``metadata``, ``healthz`` ...; "" if the path is none of Dapr's.
        target: the topic, the app-id, the job, the actor's type, or the component: a store, a
            binding, a workflow engine; "" if the API has none.
        data: the decoded body.
        status: of the response; None if the sidecar did not respond.
        headers: the request's headers, names in lower case; without tokens.
        answer: the body of the response; "" for secrets.
        time: when the app sent it, in nanoseconds since the epoch.
        truncated: whether only the beginning of the body was recorded.
    """

    at: float
    took: float
    method: str
    path: str
    api: str
    target: str
    data: Any
    status: int | None
    headers: dict[str, str]
    answer: str
    time: int = 0
    truncated: bool = False

    @property
    def component(self) -> str:
        """The pub/sub component that an event is published to; "" of other calls."""
        words = urlsplit(self.path).path.lstrip("/").split("/")
        place = 3 if words[2:3] == ["bulk"] and len(words) > 4 else 2
        return unquote(words[place]) if self.api == "publish" and len(words) > place else ""

    def occurrence(self, node: str) -> Occurrence:
        """The same as one record of a timeline.

        Args:
            node: the app that made the call.
        """
        status = "no response" if self.status is None else self.status
        event = event_in(self.data)
        return Occurrence(
            self.time,
            "call",
            node,
            f"{self.method} {self.path} -> {status}",
            correlation_of(
                trace=trace_in(self.headers),
                event=event.get("id"),
                job=self.target if self.api == "jobs" else "",
                key=", ".join(_keys(self)),
            ),
            self.data,
            self.took,
            facts=self._facts(),
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "api": self.api,
            "component": self.component,
            "target": self.target,
            "status": self.status,
            "keys": _keys(self),
            "content_type": self.headers.get("content-type", ""),
            "truncated": self.truncated,
            **self._of_state(),
        }

    def _of_state(self) -> dict[str, Any]:
        """What a read has found, and the version that a deletion requires."""
        if self.api != "state":
            return {}
        return {"answer": decoded(self.answer), "etag": self.headers.get("if-match", "")}


class CallRecord(RecordReader[Call]):
    """The record of one app's calls.

    Args:
        recorder: the address at which it can be read.
        start: the byte at which to start reading.
    """

    def __init__(self, recorder: Endpoint, start: int) -> None:
        super().__init__(recorder, start, read_call)


def read_call(row: dict[str, Any]) -> Call:
    """Read one line of the record; a call by gRPC becomes the one by HTTP that means the same."""
    if "grpc" in row:
        row = as_http(row)
    headers = {name.lower(): value for name, value in row["headers"].items()}
    api, target = api_of(row["path"], headers)
    return Call(
        at=row["at"],
        took=row["took"],
        method=row["method"],
        path=row["path"],
        api=api,
        target=target,
        data=decoded(row["body"]),
        status=row["status"],
        headers=headers,
        answer=row["answer"],
        time=row["time"],
        truncated=_is_truncated(row["body"]),
    )


def api_of(path: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """The API of Dapr that a path belongs to, and what it is about; empty if it is none.

    The routes are those of ``pkg/api/http`` of Dapr 1.18.2.
    """
    if app_id := headers.get(APP_ID):
        return "invoke", app_id
    version, _, rest = urlsplit(path).path.lstrip("/").partition("/")
    if not version.startswith("v1.0"):
        return "", ""
    words = [unquote(word) for word in rest.split("/")]
    api, more = words[0], words[1:]
    if api == "publish":
        # publish/<pubsub>/<topic>, publish/bulk/<pubsub>/<topic>; a topic may have slashes.
        return api, "/".join(more[2:] if more[:1] == ["bulk"] and len(more) > 2 else more[1:])
    if api == "invoke":
        return api, unquote(rest.removeprefix("invoke/").partition("/method/")[0])
    return api, more[0] if more and api != "healthz" else ""


def _is_truncated(body: str) -> bool:
    """Whether a recorded body may be the beginning of a longer one."""
    # Its last character may have been cut off; one has up to four bytes.
    return 4 * len(body) >= BODY_LIMIT and len(body.encode()) > BODY_LIMIT - 4


def _keys(call: Call) -> list[str]:
    """The keys of a state store that a call is about, if it names them."""
    if call.api != "state":
        return []
    words = urlsplit(call.path).path.split("/")
    if words[4:] == ["transaction"]:
        rows = call.data.get("operations") if isinstance(call.data, dict) else []
        found = [row.get("request") for row in _objects(rows)]
        return [str(each["key"]) for each in _objects(found) if "key" in each]
    if len(words) > 4 and words[4] not in ("bulk", "query"):
        return [unquote("/".join(words[4:]))]
    return [str(row["key"]) for row in _objects(call.data) if "key" in row]


def _objects(rows: Any) -> list[dict[str, Any]]:
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
