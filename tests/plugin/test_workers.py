"""Workers of xdist share a stack: one of them starts it, and it ends with the last."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.stack.images import Images
from tests.engine import left_of
from tests.plugin.conftest import CACHE, CONFTEST, Run
from tests.projects import HELLO_ANYWHERE, HELLO_APP
from tests.support import PYTEST, environment, leftovers, project, survivors

pytestmark = pytest.mark.real

Controller = subprocess.Popen[str]

APP = f'open("starts", "a").write("started\\n")\n{HELLO_APP}'
MEETING = """
from pathlib import Path

from harness.core.deadline import Deadline, Observation, poll

@pytest.fixture
def meet(worker_id):
    '''Wait until tests of so many workers have come as far.'''

    def meet(workers=2):
        folder = Path("met")
        folder.mkdir(exist_ok=True)
        (folder / worker_id).touch()
        look = lambda: Observation(len(list(folder.iterdir())) >= workers)
        assert poll(look, Deadline(60)).ok

    return meet
"""
MIXED = """
import random

def pytest_collection_modifyitems(items):
    random.Random(7).shuffle(items)
"""

KILLING = """
import os
import signal

import pytest

@pytest.mark.parametrize("n", range(12))
def test_one(dapr_sync, n, meet, worker_id):
    meet(3)
    with open("runs", "a") as file:
        print(worker_id, dapr_sync.stack.folder.name, file=file)
    own = any(entry.kind == "node.started" for entry in dapr_sync.stack.journal)
    try:
        os.close(os.open(f"killed-{own}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        os.kill(os.getpid(), signal.SIGKILL)
    assert dapr_sync.app("hello").get("/").text == "hello"
    assert dapr_sync.sidecar("hello").metadata().app_id == "hello"
"""
"""Two of three workers kill themselves: the one that has started the stack, and another one."""


def starts(folder: Path) -> int:
    """How often the app was started."""
    return len((folder / "starts").read_text().splitlines())


def stacks(folder: Path, *workers: str) -> set[str]:
    """Those that workers have used; without names, all of them.

    The workers that replace killed ones may begin when the last of the others has ended.
    """
    used = [line.split() for line in (folder / "runs").read_text().splitlines()]
    return {stack for worker, stack in used if not workers or worker in workers}


def meetings(folder: Path) -> list[Path]:
    """The folders in which workers agree."""
    return [*(folder / "tmp").glob("dapr-harness-*/meeting-*")]


@pytest.mark.parametrize("distribution", ["load", "loadscope", "worksteal"])
def test_workers_share_one_stack(inner: Run, folder: Path, distribution: str) -> None:
    """In any order of the tests; each worker says whether it has started the stack."""
    test = """
        import pytest

        @pytest.mark.parametrize("n", range(5))
        class Test{name}:
            async def test_one(self, dapr, n, meet):
                meet()
                assert (await dapr.app("hello").get("/")).text == "hello"
    """
    tests = "".join(test.format(name=name) for name in ("A", "B", "C"))
    conftest = CONFTEST + MEETING + MIXED

    result = inner(tests, "-n2", f"--dist={distribution}", conftest=conftest, app=APP)

    result.assert_outcomes(passed=15)
    told = re.findall(r"gw\d: (.*): 4 nodes", result.stdout.str())
    assert ["attached to a stack that another worker has started",
            "started a stack that the workers share"] == sorted(told)  # fmt: skip
    assert 1 == starts(folder)
    assert [] == leftovers(folder)
    assert [] == meetings(folder)


def test_kill_9_of_any_worker_hurts_no_other_and_leaves_nothing(inner: Run, folder: Path) -> None:
    """Neither that of the one that has started the stack, nor that of another one."""
    result = inner(KILLING, "-n3", conftest=CONFTEST + MEETING, app=APP)

    assert poll(lambda: Observation(not survivors(folder)), Deadline(2)).ok
    result.assert_outcomes(passed=10, failed=2)
    assert 2 == len(re.findall(r"^worker 'gw\d' crashed", result.stdout.str(), re.MULTILINE))
    assert 1 == len(stacks(folder, "gw0", "gw1", "gw2"))
    assert [] == leftovers(folder)
    assert [] == meetings(folder)


def test_workers_have_worlds_of_the_stack_that_they_share(inner: Run, folder: Path) -> None:
    """At the same time; one that is killed in its world leaves none of its processes."""
    test = """
        import os
        import signal

        import pytest

        @pytest.mark.dapr(isolation="world")
        @pytest.mark.parametrize("n", range(6))
        def test_one(dapr_sync, dapr_stack, n, meet):
            meet(2)
            try:
                os.close(os.open("killed", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
            assert dapr_stack.instances["hello"].pid != dapr_sync.instance("hello").pid
            assert dapr_sync.sidecar("hello").invoke("hello", "x", verb="GET").text == "hello"
    """

    result = inner(test, "-n2", conftest=CONFTEST + MEETING, app=APP)

    assert poll(lambda: Observation(not survivors(folder)), Deadline(2)).ok
    result.assert_outcomes(passed=5, failed=1)
    assert [] == leftovers(folder)


@pytest.mark.timeout(500)
def test_workers_share_one_stack_on_containers(inner: Run, folder: Path, images: Images) -> None:
    """One of them starts it. `kill -9` hurts no other worker, and leaves nothing in the engine."""
    conftest = CONFTEST + MEETING

    result = inner(
        KILLING, "-n3", "--dapr-runtime=containers", conftest=conftest, app=HELLO_ANYWHERE
    )

    result.assert_outcomes(passed=10, failed=2)
    assert 1 == len(stacks(folder, "gw0", "gw1", "gw2"))
    assert [] == [each for run in stacks(folder) for each in left_of(run, within=0)]
    assert [] == leftovers(folder)
    assert [] == meetings(folder)


HANGING = """
import pytest

@pytest.mark.dapr(isolation="names")
@pytest.mark.parametrize("n", range(4))
def test_hanging(dapr_sync, n, meet):
    with open("runs", "a") as file:
        print(dapr_sync.stack.folder.name, file=file)
    meet()
    dapr_sync.eventually(lambda: False, timeout=300)
"""


PATIENT = """
from execnet.gateway_base import WorkerGateway

# Otherwise it interrupts a worker without a controller after 5 seconds.
WorkerGateway._terminate_execution = lambda self: self._execpool.trigger_shutdown()
"""


@contextmanager
def hanging(folder: Path, *options: str, level: str = "names") -> Iterator[Controller]:
    """A session whose two workers are both in a test."""
    test, conftest = HANGING.replace("names", level), CONFTEST + MEETING + PATIENT
    project(folder, conftest_py=conftest, hello_py=HELLO_ANYWHERE, test_hanging_py=test)
    with subprocess.Popen(
        [*PYTEST, "-n2", *options],
        cwd=folder, env=environment(folder, DAPR_HARNESS_CACHE_DIR=CACHE), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as running:  # fmt: skip
        met = poll(lambda: Observation(len([*folder.glob("met/*")]) == 2), Deadline(150))
        yield running
    assert met.ok


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    ("runtime", "level"), [("processes", "world"), ("processes", "names"), ("containers", "names")]
)
def test_kill_9_of_the_controller_leaves_nothing(
    folder: Path, request: pytest.FixtureRequest, runtime: str, level: str
) -> None:
    """While every worker is in a test: no process, no container and no folder."""
    if runtime == "containers":
        request.getfixturevalue("images")
    with hanging(folder, f"--dapr-runtime={runtime}", level=level) as running:
        running.kill()

    assert poll(lambda: Observation(not survivors(folder)), Deadline(60)).ok
    assert [] == leftovers(folder)
    assert [] == meetings(folder)
    if runtime == "containers":
        (run,) = {*(folder / "runs").read_text().split()}
        assert [] == left_of(run, within=0)


def test_kill_9_of_everybody_leaves_nothing(folder: Path) -> None:
    """The supervisor is then the only one who can remove anything."""
    with hanging(folder) as running:
        os.killpg(running.pid, signal.SIGKILL)

    assert poll(lambda: Observation(not survivors(folder)), Deadline(60)).ok
    assert [] == leftovers(folder)
    assert [] == meetings(folder)


def test_ctrl_c_leaves_nothing(folder: Path) -> None:
    """While every worker is in a test."""
    with hanging(folder) as running:
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does

        said, _ = running.communicate(timeout=60)
    assert poll(lambda: Observation(not survivors(folder)), Deadline(2)).ok
    assert "KeyboardInterrupt" in said
    assert [] == leftovers(folder)
    assert [] == meetings(folder)


def test_a_start_that_fails_is_tried_once(inner: Run, folder: Path) -> None:
    """Every test of every worker fails for the same reason."""
    app = 'open("starts", "a").write("started\\n")\nimport no_such_module\n'
    test = """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_one(dapr_sync, n): pass
    """

    # Without the short summary, which repeats the whole error if the variable CI is set.
    result = inner(test, "-n2", "--dist=each", "-rN", app=app)

    result.assert_outcomes(failed=8)
    text = result.stdout.str()
    assert 8 == len(re.findall("^hello exited with code 1 .* No module named", text, re.MULTILINE))
    assert 4 == len(re.findall(r"^the worker gw\d has tried to start it", text, re.MULTILINE))
    assert 8 == len(re.findall("log of hello during this test", text))
    assert 1 == starts(folder)
    assert [] == leftovers(folder)


def test_workers_with_different_topologies_have_different_stacks(inner: Run, folder: Path) -> None:
    """Each with its own app."""
    conftest = CONFTEST.replace("def dapr_topology():", "def dapr_topology(worker_id):")
    conftest = conftest.replace('App("hello"', 'App(f"hello-{worker_id}"') + MEETING
    test = """
        def test_one(dapr_sync, meet, worker_id):
            meet()
            assert dapr_sync.app(f"hello-{worker_id}").get("/").text == "hello"
    """

    result = inner(test, "-n2", "--dist=each", conftest=conftest, app=APP)

    result.assert_outcomes(passed=2)
    assert 2 == starts(folder)
    assert [] == leftovers(folder)


def test_a_test_can_have_the_shared_stack_for_itself(inner: Run, folder: Path) -> None:
    """Other tests use it together, and find what it has stopped running again."""
    test = """
        import pytest

        def note(line):
            with open("noted", "a") as file:
                print(line, file=file)

        def test_together(dapr_sync, meet):
            meet()

        @pytest.mark.dapr(exclusive=True)
        class TestDisturbing:
            @pytest.mark.dapr(time="real")
            def test_alone(self, dapr_sync, worker_id):
                note(worker_id)
                dapr_sync.restart("hello")
                assert dapr_sync.app("hello").get("/").text == "hello"
                note(worker_id)

        async def test_after(dapr):
            dapr.stack.check_alive()
    """

    result = inner(test, "-n2", "--dist=each", conftest=CONFTEST + MEETING)

    result.assert_outcomes(passed=6)
    one, same, other, again = (folder / "noted").read_text().split()
    assert (one, other) == (same, again)
    assert one != other


def test_there_are_no_more_workers_than_memory_and_this_is_said(inner: Run, folder: Path) -> None:
    """Also with -q; xdist is told a smaller number before it starts any."""
    needy = "\nimport harness.pytest_workers\nharness.pytest_workers.WORKER = 1e15\n"
    test = """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_one(n, worker_id):
            open(worker_id, "w").close()
    """

    result = inner(test, "-q", "-n3", conftest=CONFTEST + needy)

    result.assert_outcomes(passed=4)
    assert "dapr-harness: 1 worker instead of 3: " in result.stdout.str()
    assert ["gw0"] == [each.name for each in folder.glob("gw*")]
