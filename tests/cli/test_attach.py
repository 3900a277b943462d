"""Several clients of one stack: tests that attach to it, and shells beside them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from tests.projects import MINI, MINI_FILES
from tests.support import cli, environment, leftovers, project, whole_lines

pytestmark = pytest.mark.real

PYTEST = [
    sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis",
    "-p", "no:locust", "-p", "no:randomly",
]  # fmt: skip

TESTS = """
import pytest
from harness import AsyncWorld, Stack, World

def test_sync(dapr_sync):
    assert "hello" == dapr_sync.app("hello").get("/x").text
    assert "hello" == dapr_sync.sidecar("hello").invoke("hello", "y", verb="GET").text

async def test_async(dapr):
    assert "hello" == (await dapr.app("hello").get("/x")).text

@pytest.mark.dapr(isolation="world")
def test_world(dapr_sync, dapr_stack):
    assert dapr_stack.instances["hello"].pid != dapr_sync.instance("hello").pid
    assert 0 == dapr_sync.instance("scheduler").pid
    assert "hello" == dapr_sync.sidecar("hello").invoke("hello", "y", verb="GET").text

def test_restart(dapr_sync):
    before = dapr_sync.stack.instances["hello"].pid
    dapr_sync.stack.restart("hello")
    assert before != dapr_sync.stack.instances["hello"].pid
    assert "hello" == dapr_sync.app("hello").get("/x").text
"""

WAITING = """
def test_waiting(dapr_sync):
    open("waiting", "w").close()
    dapr_sync.eventually(lambda: False, timeout=100)
"""

SCRIPT = """
import asyncio
from harness import AsyncWorld, Stack, World

async def ask(stack):
    async with AsyncWorld(stack) as world:
        return (await world.app("hello").get("/x")).text

with Stack.attach("default") as stack:
    with World(stack) as world:
        print(world.app("hello").get("/x").text, asyncio.run(ask(stack)))
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose stack is up."""
    folder = project(tmp_path_factory.mktemp("up"), **MINI_FILES)
    (folder / "test_mini.py").write_text(TESTS)
    (folder / "test_waiting.py").write_text(WAITING)
    started = cli(folder, "up")
    assert started.returncode == 0, started.stderr
    yield folder
    ended = cli(folder, "down")
    assert ended.returncode == 0, ended.stderr
    assert [] == leftovers(folder)


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What pytest does with these arguments in a project's folder."""
    return subprocess.run(
        [*PYTEST, *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def pids(folder: Path) -> dict[str, int]:
    """The processes of the stack, as its supervisor knows them."""
    (row,) = json.loads(cli(folder, "status", "--json").stdout)
    return {each["name"]: each["pid"] for each in row["nodes"]}


def journal(folder: Path) -> list[dict[str, object]]:
    """The journal of the run."""
    (row,) = json.loads(cli(folder, "status", "--json").stdout)
    return [json.loads(line) for line in whole_lines(Path(row["folder"]) / "journal.jsonl")]


def test_tests_run_on_a_stack_that_is_up_and_it_stays(up: Path) -> None:
    """Synchronous and asynchronous ones; one has a world, one restarts an app."""
    before = pids(up)

    first = pytest_in(up, "--dapr-attach", "test_mini.py")
    second = pytest_in(up, "test_mini.py", "--dapr-attach", "default")

    assert (0, 0) == (first.returncode, second.returncode), first.stdout + second.stdout
    assert "4 passed" in first.stdout
    assert {"hello"} == {name for name, pid in pids(up).items() if before[name] != pid}


def test_a_script_attaches_by_name(up: Path) -> None:
    """The asynchronous API like the synchronous one."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=up, env=environment(up), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "hello hello\n" == done.stdout, done.stderr


def test_a_name_that_is_not_up_and_one_that_is_alike(up: Path) -> None:
    """An error of the tests' set-up, in one sentence."""
    done = pytest_in(up, "test_mini.py", "--dapr-attach", "defualt")

    assert 1 == done.returncode
    assert "no stack named 'defualt' is up" in done.stdout
    assert "did you mean 'default'?" in done.stdout


def test_a_topology_that_is_not_the_stacks_is_refused_with_the_differences(up: Path) -> None:
    """Unless it is forced; only names of variables are shown, because values may be secret."""
    (up / "topology.py").write_text(MINI.replace('{port}"]', '{port}"], env={"SECRET": "42"}'))
    try:
        refused = pytest_in(up, "test_mini.py", "--dapr-attach")
        forced = pytest_in(up, "test_mini.py", "--dapr-attach", "--dapr-force")
        shell = cli(up, "restart", "hello")
    finally:
        (up / "topology.py").write_text(MINI)

    assert "not the one that the stack was started with" in refused.stdout
    assert "hello: env SECRET" in refused.stdout
    assert "42" not in re.sub(r"0x\w+|\d+\.\d+", "", refused.stdout)
    assert 0 == forced.returncode, forced.stdout
    assert 2 == shell.returncode
    assert "--force" in shell.stderr


def test_a_node_is_killed_and_restarted_from_a_shell(up: Path) -> None:
    """In between, attaching is an error that says who did it and what to do."""
    killed = cli(up, "kill", "hello")
    again = cli(up, "kill", "hello")
    between = pytest_in(up, "test_mini.py", "--dapr-attach")
    restarted = cli(up, "restart", "hello", "--json")
    now = pids(up)["hello"]
    after = pytest_in(up, "test_mini.py", "--dapr-attach")

    assert (0, 2, 0, 0) == (
        killed.returncode, again.returncode, restarted.returncode, after.returncode
    ), restarted.stderr  # fmt: skip
    assert "hello is not running" in again.stderr
    assert "hello is not running in the stack" in between.stdout
    assert "kill was requested by dapr-harness kill (pid " in between.stdout
    assert "next step: `dapr-harness restart hello`" in between.stdout
    assert json.loads(restarted.stdout)["pid"] == now


def test_a_node_is_paused_and_resumed_from_a_shell(up: Path) -> None:
    """A frozen app answers nothing, and attaching does not wait for it."""
    paused = cli(up, "pause", "hello")
    between = pytest_in(up, "test_mini.py", "--dapr-attach")
    resumed = cli(up, "resume", "hello")
    after = pytest_in(up, "test_mini.py", "--dapr-attach")

    codes = (paused.returncode, resumed.returncode, after.returncode)
    assert (0, 0, 0) == codes, after.stdout
    assert "hello is paused in the stack" in between.stdout


@pytest.mark.parametrize("act", ["restart", "kill", "pause", "resume"])
def test_an_unknown_node_is_named_with_one_that_is_alike(up: Path, act: str) -> None:
    """By every command."""
    done = cli(up, act, "helo")

    assert 2 == done.returncode
    assert "the stack has no node 'helo'" in done.stderr
    assert "did you mean 'hello'?" in done.stderr


def test_a_kill_from_a_shell_ends_a_waiting_test_with_its_cause(up: Path) -> None:
    """At once, although the wait has 100 seconds; the stack and its other clients go on."""
    with subprocess.Popen(
        [*PYTEST, "test_waiting.py", "--dapr-attach"],
        cwd=up, env=environment(up), stdout=subprocess.PIPE, text=True,
    ) as waiting:  # fmt: skip
        assert poll(lambda: Observation((up / "waiting").exists()), Deadline(60)).ok
        cli(up, "kill", "hello")
        printed, _ = waiting.communicate(timeout=60)
    restarted = cli(up, "restart", "hello")

    assert 1 == waiting.returncode
    assert "kill was requested by dapr-harness kill (pid " in printed
    assert 0 == restarted.returncode


def test_kill_9_of_attached_tests_leaves_the_stack(up: Path) -> None:
    """Its journal says that the client has gone."""
    (up / "waiting").unlink(missing_ok=True)
    before = pids(up)
    with subprocess.Popen(
        [*PYTEST, "test_waiting.py", "--dapr-attach"],
        cwd=up, env=environment(up), stdout=subprocess.DEVNULL, text=True,
    ) as waiting:  # fmt: skip
        assert poll(lambda: Observation((up / "waiting").exists()), Deadline(60)).ok
        waiting.kill()

    def gone() -> Observation:
        left = [str(each["who"]) for each in journal(up) if each["kind"] == "client.left"]
        return Observation(any(f"(pid {waiting.pid})" in who for who in left), str(left))

    assert poll(gone, Deadline(30)).ok
    assert before == pids(up)


def test_a_stack_of_another_version_is_refused(up: Path) -> None:
    """Its record says which one started it."""
    (row,) = json.loads(cli(up, "status", "--json").stdout)
    file = Path(row["folder"]) / "run.json"
    kept = file.read_text()
    file.write_text(json.dumps({**json.loads(kept), "version": "0.0.9"}))
    try:
        other = pytest_in(up, "test_mini.py", "--dapr-attach")
        file.write_text('{"version": "0.0.9"}')
        damaged = pytest_in(up, "test_mini.py", "--dapr-attach")
    finally:
        file.write_text(kept)

    assert "the stack 'default' was started by dapr-harness 0.0.9" in other.stdout
    assert "run.json does not describe a run that this version can use" in damaged.stdout
