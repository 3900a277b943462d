"""The server for agents: its tools, and what they say when something cannot be done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from mcp.client import Client

from harness.core.errors import ConfigError, SystemFailure
from harness.inspection.inspection import Inspection
from harness.mcp_server.attached import Attached, Failed
from harness.mcp_server.server import server_of
from tests.projects import PYPROJECT
from tests.support import environment, project


class Seen:
    """An inspection that says whether it is open."""

    def __init__(self) -> None:
        self.alive = True
        self.open = 0

    def __enter__(self) -> Seen:
        self.open += 1
        return self

    def close(self) -> None:
        self.open -= 1

    def clean(self, text: str) -> str:
        return text.replace("s3cret", "***")


def attached(opened: Callable[[], Seen]) -> Attached:
    return Attached(cast("Callable[[], Inspection]", opened))


async def said(of: Attached, tool: str, **arguments: Any) -> str:
    """The text of a tool's error."""
    async with Client(server_of(of, "1")) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    return " ".join(str(getattr(each, "text", "")) for each in result.content)


async def test_the_server_says_what_each_tool_may_do() -> None:
    """An agent may look without asking; what ends a process is marked."""
    async with Client(server_of(attached(Seen), "1")) as client:
        tools = {each.name: each.annotations for each in (await client.list_tools()).tools}

    looks = {name for name, known in tools.items() if known and known.read_only_hint}
    breaks = {name for name, known in tools.items() if known and known.destructive_hint}
    assert {
        "overview", "list_events", "explain_event", "list_traces", "explain_trace", "deliveries",
        "logs", "state", "jobs", "list_keys", "stored_value", "list_tables", "rows",
        "metrics", "describe_node",
    } == looks  # fmt: skip
    assert {"restart_node", "kill_node", "pause_node"} == breaks
    assert {"publish", "invoke", "redeliver", "resume_node"} == {*tools} - looks - breaks


async def test_a_tool_says_that_no_stack_is_up() -> None:
    """With the next step; the server goes on."""

    def opened() -> Seen:
        raise ConfigError("no stack named 'x' is up", hint="start one with `dapr-harness up`")

    text = await said(attached(opened), "overview")

    assert "no stack named 'x' is up" in text
    assert "start one with `dapr-harness up`" in text


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("the subject", last="s3cret"),
        SystemFailure("the subject", last="s3cret"),
        OSError(28, "the subject s3cret"),
    ],
)
def test_a_failure_is_told_without_secrets(error: Exception) -> None:
    """Notes, too."""
    error.add_note("and s3cret")

    def ask(_: object) -> None:
        raise error

    with pytest.raises(Failed, match=r"(?s)the subject.*\*\*\*.*and \*\*\*") as failed:
        attached(Seen).run(ask)

    assert "s3cret" not in str(failed.value)


def test_a_bug_is_not_told_as_a_failure_of_the_system() -> None:
    def ask(_: object) -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        attached(Seen).run(ask)


def test_a_stack_that_came_up_again_is_attached_to_anew() -> None:
    """Only then: each attachment is used as long as its stack lives, and closed."""
    made: list[Seen] = []

    def opened() -> Seen:
        made.append(Seen())
        return made[-1]

    with attached(opened) as stack:
        stack.run(lambda _: None)
        stack.run(lambda _: None)
        first = len(made)
        made[0].alive = False
        stack.run(lambda _: None)
        between = [each.open for each in made]

    assert (1, [0, 1], [0, 0]) == (first, between, [each.open for each in made])


def test_nothing_is_attached_to_before_it_is_needed() -> None:
    def opened() -> Seen:
        raise AssertionError("it is opened")

    attached(opened).close()


def test_without_its_package_the_command_says_what_to_install(tmp_path: Path) -> None:
    """A prerequisite is missing: exit code 3."""
    code = "import sys; sys.modules['mcp'] = None; from harness.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "mcp"],
        cwd=project(tmp_path, pyproject_toml=PYPROJECT), env=environment(tmp_path),
        capture_output=True, text=True,
    )  # fmt: skip

    assert 3 == done.returncode
    assert "pip install 'dapr-harness[mcp]'" in done.stderr
