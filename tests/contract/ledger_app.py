"""An app whose answer to an event is in the event's data, for tests/contract/test_ledger.py."""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API = "http://127.0.0.1:" + os.environ["DAPR_HTTP_PORT"]
TIMES = Counter[str]()


def row(topic: str, **more: Any) -> dict[str, Any]:
    """A subscription, each to a route of its own."""
    return {"pubsubname": "bus", "topic": topic, "route": f"/{topic}", **more}


SUBSCRIPTIONS = [
    row("orders"),
    row("judged", deadLetterTopic="dead"),
    row("dead", deadLetterTopic="graveyard"),
    row("raw", metadata={"rawPayload": "true"}),
    row(
        "bulks", bulkSubscribe={"enabled": True, "maxMessagesCount": 100, "maxAwaitDurationMs": 100}
    ),
]


def call(path: str, body: Any) -> None:
    """One request to the sidecar."""
    headers = {
        "dapr-api-token": os.environ["DAPR_API_TOKEN"],
        "content-type": "application/json",
    }
    request = urllib.request.Request(API + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60):
        pass


def handle(path: str, event: dict[str, Any]) -> tuple[int, str]:
    """What an event asks for."""
    if "entries" in event:
        return 200, json.dumps({"statuses": [judge(each) for each in event["entries"]]})
    data = event.get("data")
    if not isinstance(data, dict):
        return 200, ""
    if "save" in data:
        call("/v1.0/state/store", [{"key": data["save"], "value": 1}])
    threading.Event().wait(data.get("wait", 0))
    if "publish" in data:
        call("/v1.0/publish/bus/orders", {"name": data["publish"]})
    name = f"{path}{event['id']}"
    TIMES[name] += 1
    if TIMES[name] > data.get("times", TIMES[name]):
        return 200, ""
    return data.get("status", 200), data.get("answer", "")


def judge(entry: dict[str, Any]) -> dict[str, str]:
    """The status of an event of a bulk: its word the first time, then success."""
    event = entry["event"]
    TIMES[event["id"]] += 1
    word = event["data"].get("word", "SUCCESS") if TIMES[event["id"]] == 1 else "SUCCESS"
    return {"entryId": entry["entryId"], "status": word}


class Handler(BaseHTTPRequestHandler):
    """Answers daprd."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Its subscriptions."""
        found = self.path == "/dapr/subscribe"
        self.answer(200 if found else 404, json.dumps(SUBSCRIPTIONS))

    def do_POST(self) -> None:
        """An event, or several."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.answer(*handle(self.path, json.loads(body)))

    def answer(self, status: int, text: str) -> None:
        """Send a response."""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if status != 204:
            self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        if status != 204:
            self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Not a line for each request."""


if __name__ == "__main__":
    ThreadingHTTPServer(
        (os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler
    ).serve_forever()
