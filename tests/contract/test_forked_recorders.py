"""Recorders are forks of one process, and still processes of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from harness import InstanceDied, Receiver, Settings, Stack, Topology, running
from harness.core.deadline import Deadline, Observation, poll
from harness.nodes.receiver import RECORD
from harness.runtime.base import Killable
from tests.support import project, whole_lines

pytestmark = pytest.mark.real

NAMES = ("one", "two")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    settings = Settings.load(project(tmp_path, pyproject_toml=""))
    with running(Topology(*(Receiver(each, mail=False) for each in NAMES)), settings) as found:
        yield found


def post(stack: Stack, name: str, text: str) -> int:
    return httpx.post(stack.book.exports(name)["url"], content=text).status_code


def recorded(stack: Stack, name: str) -> list[str]:
    """The bodies in a receiver's record."""
    return [json.loads(row)["body"] for row in whole_lines(stack.folder / "nodes" / name / RECORD)]


def test_each_has_a_process_and_a_record_of_its_own(stack: Stack) -> None:
    """One more process has the imports; all of them are the supervisor's."""
    answers = [post(stack, name, f"for {name}") for name in NAMES]
    children = {each.pid: each.cmdline() for each in psutil.Process(stack.owner).children()}
    pids = {stack.instances[name].pid for name in NAMES}
    journal = (stack.folder / "journal.jsonl").read_text()

    assert [202, 202] == answers
    assert [["for one"], ["for two"]] == [recorded(stack, name) for name in NAMES]
    assert (2, 3) == (len(pids), len(children))
    assert pids < {*children}
    assert all(["-m", "receiver_server"] == children[pid][1:3] for pid in pids)
    assert "process.not_forked" not in journal


def test_a_killed_one_leaves_the_other_and_its_own_record(stack: Stack) -> None:
    """After a restart, it goes on with the record of before."""
    post(stack, "one", "before")
    other = stack.instances["two"].pid
    victim = stack.instances["one"]
    assert isinstance(victim, Killable)
    victim.kill()
    with pytest.raises(httpx.ConnectError):
        post(stack, "one", "nobody hears this")
    meanwhile = post(stack, "two", "still there")
    stack.restart("one")
    post(stack, "one", "after")

    assert (202, other) == (meanwhile, stack.instances["two"].pid)
    assert ["before", "after"] == recorded(stack, "one")


def test_the_death_of_one_is_reported_as_that_of_any_node(stack: Stack) -> None:
    """By name."""
    psutil.Process(stack.instances["two"].pid).kill()

    def look() -> Observation:
        stack.check_alive()
        return Observation(False)

    with pytest.raises(InstanceDied, match="two"):
        poll(look, Deadline(30))
