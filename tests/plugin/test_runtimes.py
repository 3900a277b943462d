"""The same tests on the runtimes that the command line names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.runtime.containers import agent
from harness.stack.images import Images
from tests.engine import everything, left_of
from tests.plugin.conftest import CONFTEST, Run
from tests.projects import HELLO_ANYWHERE
from tests.support import environment, leftovers, project

pytestmark = pytest.mark.real

ASKING = """
import sys

async def test_asking(dapr):
    print("in the test", file=sys.__stderr__, flush=True)
    for line in iter(sys.__stdin__.readline, ""):
        assert (await dapr.sidecar("hello").invoke("hello", "", verb="GET")).text == "hello"
        print("answered", file=sys.__stderr__, flush=True)
"""


def test_each_test_runs_on_every_runtime_that_was_asked_for(
    inner: Run, folder: Path, images: Images
) -> None:
    """One stack of each kind, the tests grouped by it, and nothing left of either."""
    result = inner(
        """
        starts = []

        async def test_hello(dapr):
            starts.append((dapr.stack.runtime, dapr.stack))
            assert (await dapr.app("hello").get("/")).text == "hello"

        def test_again(dapr_sync):
            starts.append((dapr_sync.stack.runtime, dapr_sync.stack))
            assert dapr_sync.sidecar("hello").invoke("hello", "", verb="GET").text == "hello"

        def test_without_a_stack():
            assert len(starts) in (0, 4)
            assert len(set(starts)) in (0, 2)
        """,
        "-v",
        "--dapr-runtime=processes,containers",
        app=HELLO_ANYWHERE,
    )

    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines_random(
        [f"*test_{name}?{runtime}* PASSED*"
         for name in ("hello", "again") for runtime in ("processes", "containers")]
    )  # fmt: skip
    assert 2 == result.stdout.str().count("nodes are ready")
    assert [] == leftovers(folder)


@pytest.mark.parametrize("word", ["containres", "processes,", "processes,,containers"])
def test_a_runtime_that_does_not_exist(inner: Run, word: str) -> None:
    """The error lists the existing ones, before anything is collected."""
    result = inner("async def test_one(dapr): pass", f"--dapr-runtime={word}")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*is not one of *containers*"])


@contextmanager
def pytest_in(folder: Path, test: str) -> Iterator[subprocess.Popen[str]]:
    """A pytest on containers, in a project of its own."""
    project(folder, conftest_py=CONFTEST, hello_py=HELLO_ANYWHERE, test_it_py=test)
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider",
         "--dapr-runtime=containers"],
        cwd=folder, env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


def begun_run(folder: Path, containers: int) -> str:
    """The id of the run of that folder, once the engine has so many containers of it."""

    def look() -> Observation:
        for each in (folder / "tmp").glob("dapr-harness-*/*"):
            found = everything({"label": f"{agent.RUN_LABEL}={each.name}"})
            begun = [line for line in found if line.startswith("ps ")]
            return Observation(len(begun) >= containers, each.name)
        return Observation(False, "no run")

    seen = poll(look, Deadline(60))
    assert seen.ok, seen.fact
    return seen.fact


def test_kill_9_of_pytest_while_containers_start_spares_another_pytest(
    tmp_path: Path, images: Images
) -> None:
    """Of the killed one nothing is left; the other one's test goes on and passes. (How soon: `make
    bench`, which finds it within 2 s.)"""
    with pytest_in(tmp_path / "other", ASKING) as other:
        assert other.stdin is not None
        assert other.stderr is not None
        said = iter(other.stderr.readline, "")
        assert any("in the test" in line for line in said)
        for containers in (1, 3):
            folder = tmp_path / f"killed-{containers}"
            with pytest_in(folder, "async def test_it(dapr): pass") as killed:
                run = begun_run(folder, containers)
                killed.kill()
                killed.wait()
                assert [] == left_of(run, within=10)
                assert [] == leftovers(folder)
            other.stdin.write("ask\n")
            other.stdin.flush()
            assert any("answered" in line for line in said)
        other.stdin.close()
        assert 0 == other.wait(30)
        assert [] == leftovers(tmp_path / "other")
