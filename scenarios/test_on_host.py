"""Services on this machine, where a debugger can attach, with everything else in containers.

The same tests run on the processes runtime, where everything is on this machine anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Settings, Stack, World, running
from scenarios.topology import todo

pytestmark = pytest.mark.own_stack

APPS = ("backend-service", "notification-service")


@pytest.fixture(scope="module")
def stack(dapr_settings: Settings) -> Iterator[Stack]:
    """The application with both services on this machine."""
    with running(todo(on_host=True), dapr_settings) as started:
        yield started


@pytest.fixture
def dapr_sync(stack: Stack) -> Iterator[World]:
    """A world on that stack."""
    with World(stack) as world:
        yield world


@pytest.mark.parametrize("app", APPS)
def test_a_service_is_a_process_of_this_machine(dapr_sync: World, app: str) -> None:
    """With this user's Python, in the project's folder: a debugger can attach to it."""
    process = Path("/proc") / str(dapr_sync.instance(app).pid)

    assert b"uvicorn" in (process / "cmdline").read_bytes()
    assert Path.cwd() == (process / "cwd").readlink()
    assert os.getuid() == process.stat().st_uid


@pytest.mark.parametrize("app", APPS)
def test_a_service_listens_on_one_address_only(dapr_sync: World, app: str) -> None:
    """Only where its sidecar can reach it: never on every interface."""
    endpoint = dapr_sync.address(app)

    listening = _listeners(endpoint.port)

    assert [endpoint.host] == listening


def test_an_event_goes_from_one_service_to_the_other(dapr_sync: World) -> None:
    """Service, sidecar, broker, sidecar, inbox, service: into and out of the containers."""
    user = dapr_sync.name("ada")

    answer = dapr_sync.app("backend-service").post(f"/api/{user}/tasks", json={"title": "Debug"})
    event = dapr_sync.ledger.event(topic="task-events", subject=answer.json()["id"])

    assert 201 == answer.status_code
    event.delivered_to("notification-service")
    row = dapr_sync.table("notifications").row(task_id=answer.json()["id"])
    assert user == row["user_id"]


def test_a_service_is_invoked_through_the_sidecars(dapr_sync: World) -> None:
    """In the other direction: its sidecar calls it from its container."""
    answer = dapr_sync.sidecar("notification-service").invoke(
        "backend-service", "healthz", verb="GET"
    )

    assert {"status": "ok"} == answer.json()


def test_a_service_can_be_restarted_alone(dapr_sync: World) -> None:
    """As after a code change; its sidecar keeps running."""
    user = dapr_sync.name("ada")

    dapr_sync.restart("notification-service")
    dapr_sync.app("backend-service").post(f"/api/{user}/tasks", json={"title": "Again"})

    dapr_sync.eventually(lambda: dapr_sync.table("notifications").count(user_id=user) == 1)


def _listeners(port: int) -> list[str]:
    """The addresses on which a port of this machine has listeners."""
    found = []
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = row.split()
        address, _, number = words[1].partition(":")
        if words[3] == "0A" and int(number, 16) == port:
            octets = bytes.fromhex(address)[::-1]
            found.append(".".join(str(octet) for octet in octets))
    return found
