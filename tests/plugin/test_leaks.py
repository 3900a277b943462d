"""What a session of many tests keeps open: as much at its end as near its beginning."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import CONFTEST, Run
from tests.support import leftovers

pytestmark = pytest.mark.real

EARLY, LATE = 50, 200

COUNTING = f"""
import json
from pathlib import Path

import psutil

kept = []
begun = []

def open_now(pid):
    process = psutil.Process(pid)
    return process.num_fds(), process.num_threads()

@pytest.fixture(autouse=True, scope="session")
def _kept(dapr_stack):
    kept.append(dapr_stack)

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart():
    if len(begun) in ({EARLY}, {LATE}):
        found = {{"session": open_now(None), "supervisor": open_now(kept[0].owner)}}
        Path(f"{{len(begun)}}.json").write_text(json.dumps(found))
    begun.append(1)
"""

TESTS = f"""
import pytest

@pytest.mark.parametrize("number", range({LATE // 2}))
class TestAll:
    def test_synchronous(self, dapr_sync, number):
        assert dapr_sync.sidecar("hello").invoke("hello", "x", verb="GET").text == "hello"
        assert dapr_sync.app("hello").get("/").text == "hello"

    async def test_asynchronous(self, dapr, number):
        reply = await dapr.sidecar("hello").invoke("hello", "x", verb="GET")
        assert reply.text == "hello"
        assert (await dapr.app("hello").get("/")).text == "hello"

def test_last(dapr_sync):
    pass
"""


def test_files_and_threads_are_as_many_after_200_tests_as_after_50(
    inner: Run, pytester: pytest.Pytester
) -> None:
    """Of the process of the tests, and of the supervisor."""
    result = inner(TESTS, "-q", conftest=CONFTEST + COUNTING)

    result.assert_outcomes(passed=LATE + 1)
    early, late = (
        json.loads((pytester.path / f"{count}.json").read_text()) for count in (EARLY, LATE)
    )
    assert early == late
    assert [] == leftovers(pytester.path)
