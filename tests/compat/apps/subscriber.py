"""A FastAPI app that subscribes by the SDK's decorator."""

from __future__ import annotations

from typing import Annotated, Any

from dapr.ext.fastapi import DaprApp
from fastapi import Body, FastAPI

app = FastAPI()
seen: list[str] = []


@DaprApp(app).subscribe(pubsub="pubsub", topic="orders")
def take(event: Annotated[Any, Body()]) -> dict[str, str]:
    """One event, wrapped by daprd."""
    seen.append(event["data"]["id"])
    return {"status": "SUCCESS"}


@app.get("/seen")
def list_seen() -> list[str]:
    """The ids of all events so far."""
    return seen
