"""What a user of the plugin sees."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from tests.plugin.conftest import CONFTEST, Run
from tests.support import cli, environment, leftovers, survivors

pytestmark = pytest.mark.real


def test_asynchronous_and_synchronous_tests_share_one_stack(inner: Run, folder: Path) -> None:
    """Without any configuration of pytest-asyncio; nothing is left."""
    result = inner("""
        async def test_async(dapr):
            assert (await dapr.app("hello").get("/")).text == "hello"
            assert (await dapr.sidecar("hello").metadata()).app_id == "hello"

        def test_sync(dapr_sync):
            assert dapr_sync.app("hello").get("/").text == "hello"

        def test_one_stack(dapr_stack):
            starts = [entry for entry in dapr_stack.journal if entry.kind == "start.begun"]
            assert len(starts) == 1
    """)

    result.assert_outcomes(passed=3)
    assert [] == leftovers(folder)


def test_every_test_has_names_of_its_own(inner: Run) -> None:
    """Two worlds never share one."""
    result = inner("""
        import pytest

        seen = set()

        @pytest.mark.parametrize("n", range(3))
        async def test_name(dapr, n):
            assert dapr.name("x") == dapr.name("x")
            assert dapr.name("x") not in seen
            seen.add(dapr.name("x"))
    """)

    result.assert_outcomes(passed=3)


def test_a_failing_test_shows_the_logs_of_its_own_time(inner: Run) -> None:
    """What other tests made the nodes log is not in its report."""
    result = inner("""
        async def test_before(dapr):
            await dapr.app("hello").get("/before")

        async def test_failing(dapr):
            await dapr.app("hello").get("/during")
            assert False, "the reason"
    """)

    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "log of hello during this test" in text
    assert "asked /during" in text
    assert "asked /before" not in text


OWN_STACK = """
    import os
    import signal

    import pytest

    from harness import World, running


    @pytest.fixture(scope="module")
    def own(dapr_topology, dapr_settings):
        with running(dapr_topology, dapr_settings) as stack:
            yield stack

"""


def test_a_failing_test_is_reported_without_logs_that_cannot_be_read(inner: Run) -> None:
    """pytest does not end with an internal error."""
    result = inner("""
        async def test_failing(dapr, dapr_stack):
            (dapr_stack.folder / "logs" / "broken.log").mkdir()
            assert False, "the reason"
    """)

    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "the reason" in text
    assert "not known: IsADirectoryError" in text


def test_a_failing_test_on_a_stack_of_its_own_shows_the_logs_of_its_own_time(inner: Run) -> None:
    """Its worlds are not fixtures; they began with the test all the same."""
    result = inner(
        OWN_STACK
        + """
    def test_before(own):
        with World(own) as dapr:
            dapr.app("hello").get("/before")

    def test_failing(own):
        with World(own) as dapr:
            dapr.app("hello").get("/during")
            with World(own) as other:
                other.app("hello").get("/as-well")
            assert False, "the reason"
    """
    )

    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "log of hello during this test" in text
    assert "asked /during" in text
    assert "asked /as-well" in text
    assert "asked /before" not in text


def test_a_failing_test_names_a_node_that_has_exited_whoever_made_its_stack(inner: Run) -> None:
    """The failed request itself says only that somebody refused a connection."""
    result = inner(
        OWN_STACK
        + """
    def test_failing(own):
        os.kill(own.instances["hello-daprd"].pid, signal.SIGKILL)
        with World(own) as dapr:
            dapr.eventually(lambda: False, timeout=30)

    def test_with_nothing_of_the_harness(own):
        assert False
    """
    )

    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    first, second = text.split("_ test_with_nothing_of_the_harness _")
    for each in (first, second):
        assert "a node has exited" in each
        assert "hello-daprd was killed by signal 9 while the stack needed it" in each


RECORDED = """
import json, os, sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = 404
        if self.path.startswith("/ask/"):
            url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/metadata?x={self.path[5:]}"
            headers = {"dapr-api-token": os.environ["DAPR_API_TOKEN"]}
            status = urllib.request.urlopen(urllib.request.Request(url, None, headers)).status
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_failing_test_shows_what_happened_during_it(inner: Run, folder: Path) -> None:
    """In the report and the JUnit file: its own time only, repeated rows folded, secrets masked."""
    test = """
        async def test_before(dapr):
            await dapr.app("hello").get("/ask/before")

        async def test_failing(dapr):
            for _ in range(20):
                await dapr.app("hello").get("/ask/often")
            await dapr.app("hello").get("/ask/" + dapr.token("dapr-api"))
            assert False, "the reason"

        def test_failing_as_well(dapr, dapr_sync):
            dapr_sync.app("hello").get("/ask/sync")
            dapr_sync.kill("hello-calls")
            assert False
    """
    conftest = CONFTEST.replace('"{port}"]', '"{port}"], calls=True')

    result = inner(test, "--junit-xml=report.xml", conftest=conftest, app=RECORDED)

    result.assert_outcomes(passed=1, failed=2)
    shown = result.stdout.str().split("dapr-harness: timeline")
    for text in (shown[1], unescape((folder / "report.xml").read_text())):
        rows = [" ".join(line.split()) for line in text.splitlines()]
        assert 1 == sum("GET /v1.0/metadata?x=often -> 200" in row for row in rows)
        assert any("repeated 19 more times" in row for row in rows)
        assert any("call hello GET /v1.0/metadata?x=*** -> 200" in row for row in rows)
        assert "x=before" not in text
    assert re.search(r"process.exited .*\n(.*\n)*incomplete: the recorder at", shown[2])


def test_without_recorders_a_report_has_no_timeline(inner: Run) -> None:
    """It would have little to say."""
    result = inner("async def test_failing(dapr): assert False")

    result.assert_outcomes(failed=1)
    assert "dapr-harness: timeline" not in result.stdout.str()


def test_a_broken_app_is_a_failure_of_the_system(inner: Run, folder: Path) -> None:
    """FAILED with its traceback, not ERROR, and without frames of the harness."""
    result = inner(
        """
        async def test_one(dapr):
            pass

        def test_two(dapr_sync):
            pass
        """,
        app="import no_such_module\n",
    )

    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    assert "ModuleNotFoundError: No module named 'no_such_module'" in text
    assert "harness/stack/stack.py" not in text
    assert [] == leftovers(folder)


def test_a_wrong_topology_is_an_error_not_a_failure(inner: Run) -> None:
    """A wrong topology is not a failure of the system under test."""
    result = inner(
        "async def test_one(dapr): pass",
        conftest=CONFTEST.replace(
            "return Topology(", "return Topology(*2 * [App('a', asgi='m:x')], "
        ),
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*two nodes of the topology are named 'a'*"])


def test_a_missing_topology_names_the_fixture(inner: Run) -> None:
    """And the setting."""
    result = inner("async def test_one(dapr): pass", conftest="")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no topology was found*", "*dapr_topology*"])


def test_a_failed_start_attaches_what_the_app_logged(inner: Run) -> None:
    """Also when the set-up failed, where logs are lost most easily."""
    result = inner(
        "async def test_one(dapr): pass",
        app="print('about to fail', flush=True); raise SystemExit(3)\n",
    )

    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert re.search(r"log of hello during this test -+\nabout to fail", text), text


def test_probe_timeouts_and_harness_errors_inside_a_test_are_failures(inner: Run) -> None:
    """A test that asks for what is not there has itself to blame."""
    result = inner("""
        from harness import ProbeTimeout

        async def test_never(dapr):
            await dapr.eventually(lambda: False, timeout=0.05)

        async def test_unknown(dapr):
            dapr.app("helo")
    """)

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*never became true*", "*did you mean 'hello'?*"])


def test_keep_leaves_the_stack_up_after_a_failure(inner: Run, folder: Path) -> None:
    """And prints how to reach and how to end it."""
    result = inner("async def test_failing(dapr): assert False", "--dapr-keep")

    name = re.search(r"dapr-harness down --name (\S+)", result.stdout.str())
    assert name, result.stdout.str()
    rows = json.loads(cli(folder, "status", "--name", name.group(1), "--json").stdout)
    assert {"healthy", "running"} == {node["state"] for node in rows[0]["nodes"]}
    assert 0 == cli(folder, "down", "--name", name.group(1)).returncode
    assert [] == leftovers(folder)


def test_keep_stops_the_stack_if_no_test_failed(inner: Run, folder: Path) -> None:
    """There is nothing to look at."""
    inner("async def test_fine(dapr): pass", "--dapr-keep").assert_outcomes(passed=1)

    assert [] == leftovers(folder)


def test_collecting_starts_nothing(inner: Run) -> None:
    """Not even with a broken topology."""
    result = inner("async def test_one(dapr): pass", "--collect-only", conftest="import harness")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["*1 test collected*"])


def test_kill_9_of_pytest_leaves_nothing(inner: Run, folder: Path) -> None:
    """In the middle of a test."""
    inner("async def test_one(dapr): pass", "--collect-only")
    (folder / "test_hang.py").write_text(
        "import sys\nasync def test_hang(dapr):\n"
        "    print('in the test', file=sys.__stderr__, flush=True)\n    sys.__stdin__.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "test_hang.py"],
        cwd=folder, env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stderr is not None
        assert any("in the test" in line for line in iter(running.stderr.readline, ""))
        assert len(survivors(folder)) >= 5

        os.kill(running.pid, signal.SIGKILL)

    assert [] == leftovers(folder)
    assert poll(lambda: Observation(not survivors(folder)), Deadline(1)).ok


WATCHED = """
import signal
import pytest
from harness import Receiver, Topology
from harness.stack.stack import Stack

@pytest.fixture(scope="session")
def dapr_topology():
    return Topology(Receiver(mail=False))

provision = Stack.provision
clocks = []

def watched(stack):
    clocks.append(signal.getitimer(signal.ITIMER_REAL)[0])
    provision(stack)

Stack.provision = watched
"""


def test_provisioning_does_not_count_against_a_tests_time_limit(inner: Run) -> None:
    """pytest-timeout's clock stands while Dapr may be built, and runs again for the test."""
    result = inner(
        """
        import signal
        from conftest import clocks

        async def test_one(dapr):
            assert 0.0 == clocks[0]
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        """,
        "--timeout=600",
        "--timeout-method=signal",
        conftest=WATCHED,
    )

    result.assert_outcomes(passed=1)
