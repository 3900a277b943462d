"""Load from a pod: events by its sidecar, requests by Services. It runs in the image of the apps,
until the file STOP exists, and prints what was acknowledged and what failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt

STOP = Path("/tmp/stop")
EVENTS, REQUESTS = (float(os.environ[name]) for name in ("EVENTS", "REQUESTS"))
"""A second."""

MOST = int(os.environ["MOST"])
"""Events altogether: they must be handled in a time that somebody waits for."""

BULK = 0.1
"""Seconds between two bulks of events."""

USER = "load"
CREATED = "com.taskmanager.task.created"
# By its address: a service accepts requests for names only if it is told that they are its own.
BACKEND, FRONTEND = (
    f"http://{socket.gethostbyname(name)}" for name in ("backend-service", "frontend")
)
published: list[str] = []
completed: list[str] = []
answered: dict[str, int] = {}
failed: list[str] = []


def token() -> str:
    now = datetime.now(UTC)
    said = {"iss": "todo", "aud": "todo-api", "sub": USER, "iat": now, "nbf": now}
    said["exp"] = now + timedelta(hours=1)
    return jwt.encode(said, os.environ["BETTER_AUTH_SECRET"], algorithm="HS256")


async def publish(sidecar: httpx.AsyncClient) -> None:
    """A bulk of events, each with an id of its own."""
    ids = [str(uuid.uuid4()) for _ in range(round(EVENTS * BULK))]
    if len(published) + len(ids) > MOST:
        return
    rows = [
        {"entryId": each, "event": event(each), "contentType": "application/cloudevents+json"}
        for each in ids
    ]
    answer = await sidecar.post("/v1.0-alpha1/publish/bulk/pubsub/task-events", json=rows)
    answer.raise_for_status()
    published.extend(ids)


def event(name: str) -> dict[str, Any]:
    data = {"user_id": USER, "task_id": name, "title": "Load"}
    return {"specversion": "1.0", "id": name, "source": "load", "type": CREATED, "data": data}


async def complete(client: httpx.AsyncClient) -> None:
    """A task of a series is added and done: another app then has its next occurrence created."""
    task: dict[str, Any] = {"title": "Load", "due_at": "2030-01-31T09:00:00Z"}
    task["recurrence"] = {"frequency": "daily"}
    made = await client.post(f"{BACKEND}/api/{USER}/tasks", json=task)
    made.raise_for_status()
    name = made.json()["id"]
    path = f"{BACKEND}/api/{USER}/tasks/{name}/complete"
    (await client.post(path)).raise_for_status()
    completed.append(name)


async def visit(client: httpx.AsyncClient) -> None:
    """An app calls another one by their sidecars."""
    (await client.get(f"{FRONTEND}/api/{USER}/contact")).raise_for_status()


async def again(every: float, what: Callable[[], Awaitable[None]], name: str) -> None:
    """In a fixed rhythm, whatever the answers are."""
    loop, running = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    due = loop.time()
    while not STOP.exists():
        running.add(asyncio.create_task(counted(what, name)))
        running = {each for each in running if not each.done()}
        due += every
        turn = loop.create_future()
        loop.call_at(due, turn.set_result, None)
        await turn
    await asyncio.gather(*running)


async def counted(what: Callable[[], Awaitable[None]], name: str) -> None:
    try:
        await what()
        answered[name] = answered.get(name, 0) + 1
    except httpx.HTTPError as error:
        failed.append(f"{name}: {type(error).__name__} {error}")


async def main() -> None:
    began = time.monotonic()
    own = {"dapr-api-token": os.environ["DAPR_API_TOKEN"]}
    # Each request by a connection of its own, so that each is sent to a pod that is chosen for it.
    user = {"authorization": f"Bearer {token()}", "connection": "close"}
    async with (
        httpx.AsyncClient(base_url="http://127.0.0.1:3500", headers=own, timeout=30) as sidecar,
        httpx.AsyncClient(headers=user, timeout=30) as client,
    ):
        await asyncio.gather(
            again(BULK, lambda: publish(sidecar), "publish"),
            again(1 / REQUESTS, lambda: complete(client), "complete"),
            again(1 / REQUESTS, lambda: visit(client), "visit"),
        )
    took = time.monotonic() - began
    said = {"published": published, "completed": completed, "answered": answered}
    sys.stdout.write(json.dumps({**said, "failed": failed, "seconds": took}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
