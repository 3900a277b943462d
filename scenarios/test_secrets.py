"""Credentials are the sidecar's own: no file, no API, no log and no status tells them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import AsyncWorld, DaprError
from scenarios.test_task_events import new_task

COMPONENTS = Path(__file__).parent.parent / "components"


async def test_a_component_connects_by_a_secret(dapr: AsyncWorld) -> None:
    """The state store works, and its file holds a reference only."""
    path = f"/api/{dapr.name('user')}/conversations/c"
    saved = await dapr.app("backend-service").put(path, json={"messages": []})

    text = (COMPONENTS / "statestore.yaml").read_text()
    assert 204 == saved.status_code
    assert "secretKeyRef" in text
    assert "postgresql://" not in text


@pytest.mark.parametrize("name", ["STATE_STORE_DSN", "PATH"])
async def test_an_app_may_not_read_what_its_components_use(dapr: AsyncWorld, name: str) -> None:
    """403: the Configuration denies the store to every app."""
    with pytest.raises(DaprError) as caught:
        await dapr.sidecar("backend-service").get_secret("secrets", name)

    assert 403 == caught.value.status


async def test_no_secret_is_told(dapr: AsyncWorld) -> None:
    """Not by the metadata, not by a log of any node, not by an answer or an event."""
    postgres = dapr.stack.topology["postgres"].exports(dapr.stack.book)
    topic = dapr.topic("task-events")
    task = await new_task(dapr, dapr.name("user"))
    event = await topic.next(subject=task["id"])
    metadata = await dapr.sidecar("backend-service").metadata()
    described = (await dapr.app("backend-service").get("/openapi.json")).text

    logs = [file.read_text(errors="replace") for file in (dapr.stack.folder / "logs").glob("*.log")]
    told = [str(metadata), described, json.dumps(task), json.dumps(event.data), *logs]
    canaries = [postgres["password"], *dapr.stack.book.secrets()]

    assert len(canaries) >= 3
    assert len(logs) >= 10
    assert [] == [canary for canary in canaries if any(canary in text for text in told)]
