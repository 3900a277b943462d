"""`dapr-harness ui`: it serves a page of a stack that is up, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.core.deadline import Deadline
from tests.going_on import LIMIT, GoingOn, going_on
from tests.support import cli, interrupt

pytestmark = pytest.mark.real


@contextmanager
def shown(mini: Path) -> Iterator[tuple[GoingOn, str]]:
    """The command on the stack of a project that is up, and the address that it has printed."""
    up = cli(mini, "up")
    assert up.returncode == 0, up.stderr
    with going_on(mini, "ui", "--no-browser") as page:
        yield page, page.line().split()[-1]


def messages(lines: Iterator[str], within: float = LIMIT) -> Iterator[tuple[str, Any]]:
    """Server-sent events: kind and data.

    Args:
        lines: of the stream; between two of them, the reader's own limit holds.
        within: seconds for all of them.
    """
    kind, deadline = "", Deadline(within)
    for line in lines:
        assert not deadline.passed, f"the stream goes on after {within:g} s; the last was {kind!r}"
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def test_the_page_shows_the_stack_until_ctrl_c_and_the_stack_stays_up(mini: Path) -> None:
    with shown(mini) as (command, address):
        page = httpx.get(address, trust_env=False)
        origin, token, _ = address.rsplit("/", 2)
        without = httpx.get(f"{origin}/", trust_env=False)
        with httpx.stream("GET", f"{address}stream", trust_env=False, timeout=60) as stream:
            told = messages(stream.iter_lines())
            nodes = next(data["nodes"] for kind, data in told if kind == "overview")
            untold = next(data["missing"] for kind, data in told if kind == "traces")
            lines = next(data["lines"] for kind, data in told if kind == "logs")
            interrupt(command.process, signal.SIGINT)
            *_, last = told
        errors = command.ended()

    assert origin.startswith("http://127.0.0.1:")
    assert len(token) >= 43
    assert (200, 404) == (page.status_code, without.status_code)
    assert {("hello", "running"), ("hello-daprd", "running")} <= {
        (each["name"], each["state"]) for each in nodes
    }
    assert "the topology has no Receiver()" in untold[0]
    assert lines
    assert "ended" == last[0]
    assert "was stopped" in last[1]["why"]
    assert 130 == command.process.returncode
    assert "Traceback" not in errors
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
    assert "hello" in cli(mini, "status").stdout
    assert 0 == cli(mini, "down").returncode


def test_the_page_says_that_the_stack_has_ended_and_the_command_ends(mini: Path) -> None:
    with shown(mini) as (command, address):
        with httpx.stream("GET", f"{address}stream", trust_env=False, timeout=60) as stream:
            told = messages(stream.iter_lines())
            assert "reset" == next(told)[0]
            assert 0 == cli(mini, "down").returncode
            *_, last = told
        errors = command.ended()

    assert ("ended", 0) == (last[0], command.process.returncode)
    assert "the stack has ended" in last[1]["why"]
    assert "stack 'default' has ended" in errors
    assert "Traceback" not in errors


def test_a_stack_that_is_not_up_is_named(mini: Path) -> None:
    found = cli(mini, "ui", "nothing", "--no-browser")

    assert 2 == found.returncode
    assert "no stack named 'nothing' is up" in found.stderr
