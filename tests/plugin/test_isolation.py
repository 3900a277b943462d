"""The marker that chooses how a test is kept apart from others."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run
from tests.support import leftovers

pytestmark = pytest.mark.real

TESTS = """
import pytest

seen = {}

def test_names_is_the_default(dapr_sync, dapr_stack):
    assert dapr_sync.stack is dapr_stack
    seen["session"] = dapr_sync.instance("hello").pid

@pytest.mark.dapr(isolation="world")
class TestOfOne:
    def test_a_world_has_apps_of_its_own_and_the_control_plane_of_the_session(self, dapr_sync):
        own = dapr_sync.instance("hello").pid
        assert own not in (0, seen["session"])
        assert dapr_sync.sidecar("hello").invoke("hello", "x", verb="GET").text == "hello"
        assert 0 == dapr_sync.instance("scheduler").pid
        seen["world"] = own

    async def test_each_test_has_a_world_of_its_own(self, dapr):
        assert dapr.instance("hello").pid not in seen.values()

    @pytest.mark.dapr(isolation="names")
    def test_the_closest_marker_decides(self, dapr_sync, dapr_stack):
        assert dapr_sync.stack is dapr_stack

@pytest.mark.dapr(isolation="stack")
def test_a_stack_of_its_own_has_everything_of_its_own(dapr_sync, dapr_stack):
    own = {name: each.pid for name, each in dapr_sync.stack.instances.items()}
    theirs = {name: each.pid for name, each in dapr_stack.instances.items()}
    assert own.keys() == theirs.keys()
    assert not {*own.values()} & {*theirs.values(), 0}

@pytest.mark.dapr(isolation="clean")
def test_the_jobs_of_earlier_tests_are_gone(dapr_sync):
    with pytest.raises(Exception, match="job not found"):
        dapr_sync.sidecar("hello").get_job("left")
"""
LEAVING = """
def test_a_job_is_left(dapr_sync):
    dapr_sync.sidecar("hello").schedule_job("left", due="1h", data=1)
    assert dapr_sync.sidecar("hello").get_job("left")
"""


def test_each_level_gives_what_it_says(inner: Run, pytester: pytest.Pytester) -> None:
    """Next to each other in one session, which leaves nothing behind."""
    head, last, tail = TESTS.rpartition('@pytest.mark.dapr(isolation="clean")')

    result = inner(head + LEAVING + "\n" + last + tail)

    result.assert_outcomes(passed=7)
    assert 1 == result.stdout.str().count("nodes are ready")
    assert [] == leftovers(pytester.path)


@pytest.mark.parametrize("marker", ["isolation='planet'", ""])
def test_an_unknown_level_is_refused_before_anything_starts(inner: Run, marker: str) -> None:
    """With the levels that there are."""
    result = inner(f"""
        import pytest

        @pytest.mark.dapr({marker})
        def test_x(dapr_sync): pass
    """)

    said = result.stdout.str() + result.stderr.str()
    assert "isolation='names' or 'clean' or 'world' or 'stack'" in said
    assert "nodes are ready" not in said
    assert result.ret


def test_a_level_for_a_test_without_a_world_is_refused(inner: Run) -> None:
    """dapr_stack is that of the session at any level."""
    result = inner("""
        import pytest

        @pytest.mark.dapr(isolation="world")
        def test_x(dapr_stack): pass
    """)

    assert "needs the fixture dapr or dapr_sync" in result.stdout.str() + result.stderr.str()
    assert result.ret


def test_a_project_that_overrides_the_stack_needs_no_topology(inner: Run) -> None:
    """Only a stack that is started anew is made from one."""
    conftest = """
        import pytest, sys
        from harness import App, Topology, running

        @pytest.fixture(scope="session")
        def dapr_stack():
            hello = App("hello", command=[sys.executable, "hello.py", "{port}"])
            with running(Topology(hello)) as stack:
                yield stack
    """
    test = """
        import pytest

        def test_names(dapr_sync): pass

        @pytest.mark.dapr(isolation="world")
        def test_world(dapr_sync): pass
    """

    inner(test, conftest=conftest).assert_outcomes(passed=2)
