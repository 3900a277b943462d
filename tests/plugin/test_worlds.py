"""Worlds that wait for tests of a session."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run
from tests.projects import HELLO_ANYWHERE
from tests.support import leftovers

pytestmark = pytest.mark.real

CONFTEST = """
import sys
import pytest
from harness import App, Topology

@pytest.fixture(scope="session")
def dapr_topology():
    return Topology(App("hello", command=[sys.executable, "hello.py", "{port}"], inbox=True))
"""

HELPERS = """
import os, pytest
from harness import World
from harness.core.deadline import Deadline, Observation, poll
from harness.stack.beginning import EARLIER

def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return ") Z " in file.read()
    except FileNotFoundError:
        return True

def waiting(stack, number):
    pool, = stack.users
    assert poll(lambda: Observation(pool.spares == number), Deadline(90)).ok
    return [each.copy for each in pool._spares]
"""

WAITING = """
seen = {}

def test_first(dapr_sync, dapr_stack):
    first, second = waiting(dapr_stack, 2)
    seen["waited"] = [each.instances["hello"].pid for each in (first, second)]
    pids = [first.instances[name].pid for name in ("hello", "hello-daprd")]
    for pid in pids:
        os.kill(pid, 9)  # returns before they have ended
    if dapr_stack.runtime == "processes":
        assert poll(lambda: Observation(all(map(has_ended, pids))), Deadline(30)).ok
    if dapr_stack.runtime == "containers":  # an engine cannot be asked, it tells
        ended = lambda: Observation(first.instances["hello"].exit_code is not None)
        assert poll(ended, Deadline(30)).ok
    earlier = second.shared[EARLIER]
    World(second).sidecar("hello").invoke("hello", "started", verb="GET")
    assert second.shared[EARLIER] is earlier

@pytest.mark.dapr(isolation="world")
def test_second(dapr_sync, dapr_stack):
    assert dapr_sync.instance("hello").pid == seen["waited"][1]
    assert ["/started"] == [each.path for each in dapr_sync.inbox("hello").all()]
    waiting(dapr_stack, 1)

@pytest.mark.dapr(isolation="world")
async def test_third(dapr):
    assert dapr.instance("hello").pid not in seen["waited"]
    assert (await dapr.sidecar("hello").invoke("hello", "x", verb="GET")).text == "hello"
"""


@pytest.mark.parametrize("runtime", ["processes", "containers"])
def test_a_world_waits_for_the_test_that_needs_one(
    inner: Run, pytester: pytest.Pytester, request: pytest.FixtureRequest, runtime: str
) -> None:
    """One that has died meanwhile is replaced; a test sees what happened since it was ready."""
    if runtime == "containers":
        request.getfixturevalue("images")
    options = ("--dapr-worlds=2", f"--dapr-runtime={runtime}")
    result = inner(HELPERS + WAITING, *options, conftest=CONFTEST, app=HELLO_ANYWHERE)

    result.assert_outcomes(passed=3)
    assert [] == leftovers(pytester.path)


OPTION = """
import pytest

@pytest.mark.dapr(isolation="world")
def test_x(dapr_sync): pass
"""


def test_a_number_of_worlds_that_is_none_is_refused(inner: Run) -> None:
    """On the command line and in pytest's file, before anything starts."""
    said = inner(OPTION, "--dapr-worlds=many")
    filed = inner(OPTION, "-o", "dapr_worlds=-1")

    assert "'many' is neither auto nor a number" in said.stderr.str()
    assert "dapr_worlds: '-1' is neither auto nor a number" in filed.stderr.str()
    assert pytest.ExitCode.USAGE_ERROR == said.ret == filed.ret
