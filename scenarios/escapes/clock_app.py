"""A small app: it takes events and jobs, and hosts actors with timers."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request

app = FastAPI()
released = asyncio.Event()
running: list[str] = []
"""Actors whose timers have begun and not ended, and "event" for an event."""


@app.get("/dapr/config")
def config() -> dict[str, list[str]]:
    """The actor type that it hosts."""
    return {"entities": ["clock"]}


@app.get("/dapr/subscribe")
def subscriptions() -> list[dict[str, str]]:
    """One topic."""
    return [{"pubsubname": "pubsub", "topic": "events", "route": "/events"}]


@app.put("/actors/clock/{actor}/method/timer/{timer}")
async def tick(actor: str, timer: str) -> None:
    """A timer of an actor; the one named ``slow`` takes until it is released."""
    running.append(actor)
    if actor == "slow":
        await released.wait()
    running.remove(actor)


@app.post("/events")
async def event(request: Request) -> None:
    """An event; one whose data are ``hold`` takes until it is released."""
    if (await request.json()).get("data") == "hold":
        running.append("event")
        await released.wait()
        running.remove("event")


@app.get("/running")
def running_now() -> list[str]:
    """What is at work."""
    return running


@app.post("/release")
async def release() -> None:
    """Let the slow one end."""
    released.set()


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
def take(path: str) -> dict[str, Any]:
    """Whatever else daprd sends."""
    return {}
