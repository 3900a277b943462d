"""A worker of xdist whose controller has ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

from harness.pytest_workers import Orphan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches a process by its pidfd")

Protocol = Generator[None, object, object]


def item() -> Any:
    return SimpleNamespace(session=SimpleNamespace(shouldstop=False))


def kill_and_wait(controller: subprocess.Popen[bytes]) -> None:
    controller.kill()
    signal.sigtimedwait([], 60)


def test_a_test_is_interrupted_when_the_controller_ends_and_no_other_begins() -> None:
    """By a signal, which also ends a blocking call."""
    test = item()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as controller:
        orphan = Orphan(controller.pid)
        protocol: Protocol = orphan.pytest_runtest_protocol(test)
        next(protocol)
        with pytest.raises(KeyboardInterrupt) as interrupted:
            kill_and_wait(controller)
    with pytest.raises(StopIteration) as ended:
        protocol.throw(interrupted.value)

    assert ended.value.value is True
    assert test.session.shouldstop
    with pytest.raises(KeyboardInterrupt):
        orphan.pytest_runtest_setup()


def test_no_test_begins_when_the_controller_is_gone() -> None:
    """It has ended before the worker has looked."""
    with subprocess.Popen(["true"]) as controller:
        pass

    with pytest.raises(KeyboardInterrupt):
        Orphan(controller.pid).pytest_runtest_setup()


def test_an_interrupt_by_the_user_ends_the_session_as_always() -> None:
    """While the controller lives."""
    test = item()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as controller:
        orphan = Orphan(controller.pid)
        orphan.pytest_runtest_setup()
        protocol: Protocol = orphan.pytest_runtest_protocol(test)
        next(protocol)
        with pytest.raises(KeyboardInterrupt):
            protocol.throw(KeyboardInterrupt())

        assert not test.session.shouldstop
        controller.communicate()
