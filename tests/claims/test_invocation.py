"""Claims about what an invocation looks like to the app that is invoked."""

from __future__ import annotations

import pytest

from harness import World
from tests.gates.ways import MARKS, UNMARKED, WAYS, Invocation, Way, by_grpc, by_url

pytestmark = pytest.mark.real

CALLER, CALLEE = "notification-service", "backend-service"
FORGED = {"dapr-caller-app-id": "recurring-task-service"}


@pytest.mark.parametrize("way", WAYS)
def test_sidecars_mark_every_invocation(dapr_sync: World, way: Way) -> None:
    """With the caller's and the callee's name, whichever way it goes."""
    path = f"/{dapr_sync.name('path')}"

    assert 404 == way(dapr_sync, Invocation(CALLER, CALLEE, path))

    headers = dapr_sync.inbox(CALLEE).next(path=path).headers
    assert [CALLER, CALLEE, "default"] == [headers.get(name) for name in MARKS]


@pytest.mark.parametrize("way", [each for each in WAYS if each is not by_grpc])
def test_a_caller_can_have_the_marks_left_out(dapr_sync: World, way: Way) -> None:
    """By naming them in Connection, so that a request without marks may be an invocation."""
    path = f"/{dapr_sync.name('path')}"

    assert 404 == way(dapr_sync, Invocation(CALLER, CALLEE, path, headers=UNMARKED))

    assert not set(MARKS) & set(dapr_sync.inbox(CALLEE).next(path=path).headers)


def test_a_call_by_grpc_cannot_name_headers_to_leave_out(dapr_sync: World) -> None:
    """It has no Connection header; daprd refuses one."""
    path = f"/{dapr_sync.name('path')}"

    assert 500 == by_grpc(dapr_sync, Invocation(CALLER, CALLEE, path, headers=UNMARKED))

    assert not dapr_sync.inbox(CALLEE).all(path=path)


@pytest.mark.parametrize("way", WAYS)
def test_a_caller_cannot_take_another_ones_name(dapr_sync: World, way: Way) -> None:
    """A name that it adds comes beside the true one, or gives way to it: the app sees the true one.

    The route is for one app, whose name is added here.
    """
    call = Invocation(CALLER, CALLEE, "/series/waiting", headers=FORGED)

    assert 403 == way(dapr_sync, call)


def test_whoever_may_invoke_can_ask_for_subscriptions_too(dapr_sync: World) -> None:
    """The answer is the app's own, with whatever stands in it: no place for a secret."""
    call = Invocation(CALLER, CALLEE, "/dapr/subscribe", headers=UNMARKED)

    assert 200 == by_url(dapr_sync, call)
