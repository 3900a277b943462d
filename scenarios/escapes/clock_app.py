"""A small app: it takes events, jobs and reminders of the actors that it hosts."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.get("/dapr/config")
def config() -> dict[str, list[str]]:
    """The actor type that it hosts."""
    return {"entities": ["clock"]}


@app.get("/dapr/subscribe")
def subscriptions() -> list[dict[str, str]]:
    """One topic."""
    return [{"pubsubname": "pubsub", "topic": "events", "route": "/events"}]


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
def take(path: str) -> dict[str, Any]:
    """Whatever else daprd sends."""
    return {}
