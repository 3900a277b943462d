"""An app that daprd calls by gRPC: a subscription and a method."""

from __future__ import annotations

import json
import os
import sys

from cloudevents.sdk.event import v1
from dapr.ext.grpc import App, InvokeMethodRequest, InvokeMethodResponse

app = App()
seen: list[str] = []


@app.subscribe(pubsub_name="pubsub", topic="orders")
def take(event: v1.Event) -> None:
    """One event."""
    data = event.Data()
    assert isinstance(data, bytes)
    seen.append(json.loads(data)["id"])


@app.method(name="seen")
def list_seen(request: InvokeMethodRequest) -> InvokeMethodResponse:
    """The ids of all events so far."""
    return InvokeMethodResponse(json.dumps(seen).encode(), "application/json")


app.run(int(sys.argv[1]), listen_address=os.environ["APP_HOST"])
