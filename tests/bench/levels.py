"""B6: what each level of isolation costs a test, by tests that do nothing.

Against a copy of a template database, as pytest-postgresql makes one for each test; and against a
stack of the test's own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from harness import Settings
from tests.bench.numbers import Bound, Figures, Measure, at_most, paired
from tests.bench.session import environment

TESTS, OWN = 200, 10
"""The number of tests of each quick level, and of the levels that start something."""

Costs = Mapping[str, Sequence[float]]
"""Seconds of each test, by its name."""

WITHOUT = "test_without"
"""The tests that use nothing."""

ANCHORS = {"clone": "a copy of a template database", "stack": "a stack of the test's own"}
PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "harness.pytest_plugin")

CONFTEST = """\
import json
from pathlib import Path

import psycopg
import pytest

from tests.bench.levels import Timer, rank
from tests.bench.shop import shops

HERE = Path(__file__).parent
timer = Timer()


def pytest_configure(config):
    config.pluginmanager.register(timer)


@pytest.fixture(scope="session")
def dapr_topology():
    return shops(HERE, database=True)


@pytest.fixture(scope="session")
def server(dapr_stack):
    address = dapr_stack.book.exports("postgres")["dsn"].replace("/app?", "/{}?")
    with psycopg.connect(address.format("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE prepared")
        with psycopg.connect(address.format("prepared"), autocommit=True) as prepared:
            prepared.execute("CREATE TABLE state (key text PRIMARY KEY, value jsonb, etag uuid)")
        yield connection, address


@pytest.fixture
def clone(server):
    connection, address = server
    connection.execute("CREATE DATABASE cloned TEMPLATE prepared")
    with psycopg.connect(address.format("cloned")) as cloned:
        yield cloned
    connection.execute("DROP DATABASE cloned")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: rank(item.originalname, getattr(item, "callspec", None)))


def pytest_sessionfinish():
    (HERE / "took.json").write_text(json.dumps(timer.took))
"""
TEXT = """\
import pytest


def test_first(dapr_sync, clone):
    pass


@pytest.mark.parametrize("part", [number / {tests} for number in range({tests})])
class TestQuick:
    def test_without(self, part):
        pass

    def test_names(self, part, dapr_sync):
        pass

    def test_clone(self, part, clone):
        pass

    @pytest.mark.dapr(isolation="clean")
    def test_clean(self, part, dapr_sync):
        pass


@pytest.mark.parametrize("part", [number / {own} for number in range({own})])
class TestOwn:
    @pytest.mark.dapr(isolation="world")
    def test_world(self, part, dapr_sync):
        pass

    @pytest.mark.dapr(isolation="stack")
    def test_stack(self, part, dapr_sync):
        pass


def test_last(dapr_sync):
    pass
"""
WAITING = """\
import pytest

from harness.core.deadline import Deadline, Observation, poll


def test_first(dapr_sync, clone):
    pass


@pytest.mark.parametrize("part", [number / {own} for number in range({own})])
class TestWaiting:
    def test_room(self, part, dapr_stack):
        (pool,) = dapr_stack.users
        assert poll(lambda: Observation(pool.spares > 0), Deadline(120)).ok

    def test_without(self, part):
        pass

    def test_clone(self, part, clone):
        pass

    @pytest.mark.dapr(isolation="world")
    def test_waiting(self, part, dapr_sync):
        pass


def test_last(dapr_sync):
    pass
"""


class Timer:
    """A plugin of pytest that notes what each test takes, but the last one.

    The teardown of a session's fixtures is part of the last test's: the stack ends there.

    Attributes:
        took: seconds of each test, by its name.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.took: dict[str, list[float]] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Function, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """From before the set-up of a test until after its teardown."""
        began = self._clock()
        done = yield
        if nextitem is not None:
            self.took.setdefault(item.originalname, []).append(self._clock() - began)
        return done


def levels(settings: Settings, tests: int = TESTS, own: int = OWN) -> Figures:
    """One run of pytest, in which the levels take turns.

    Args:
        tests: how many tests each of the quick levels has.
        own: how many tests have a world or a stack of their own.
    """
    settings = replace(settings, runtime="processes")
    took = _run(settings, TEXT.format(tests=tests, own=own), worlds=0)
    costs = above(took, WITHOUT)
    waiting = above(_run(settings, WAITING.format(own=own), worlds=2), WITHOUT)

    def beside(level: str, other: str, *bounds: Bound | None, costs: Costs = costs) -> Measure:
        pairs = zip(costs[f"test_{level}"], costs[f"test_{other}"], strict=True)
        return paired([one / another for one, another in pairs], ANCHORS[other], *bounds)

    return {
        "tests of each level": tests,
        "tests with a world, and with a stack": own,
        "a test without anything, ms (median)": 1000 * median(took[WITHOUT]),
        **{
            f"{name}, ms (median)": 1000 * median(costs[f"test_{name}"])
            for name in ("names", "clone", "clean", "world", "stack")
        },
        "a world that waits, ms (median)": 1000 * median(waiting["test_waiting"]),
        "B6 names": beside("names", "clone", at_most(0.25), at_most(0.05)),
        "B6 clean": beside("clean", "clone", None, at_most(0.25)),
        "B6 world": beside("world", "stack", None, at_most(0.5)),
        "B6 waiting world": beside("waiting", "clone", None, at_most(0.5), costs=waiting),
    }


def above(took: Mapping[str, Sequence[float]], nothing: str) -> dict[str, list[float]]:
    """What tests cost besides what every test of pytest costs, by their name, in seconds."""
    floor = median(took[nothing])
    return {name: [each - floor for each in values] for name, values in took.items()}


def rank(name: str, spec: Any) -> tuple[float, int]:
    """Where a test of this bench runs, by its parameters: A B C, C B A, A B C."""
    order = (WITHOUT, "test_names", "test_clone", "test_clean", "test_world", "test_stack",
             "test_waiting")  # fmt: skip
    if name == "test_room":
        return spec.params["part"], -len(order)
    if name not in order:
        return (-1, 0) if name == "test_first" else (2, 0)
    index = order.index(name)
    return spec.params["part"], index if spec.indices["part"] % 2 == 0 else -index


def _run(settings: Settings, text: str, *, worlds: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_levels.py").write_text(text)
        (folder / "pytest.ini").write_text("[pytest]\n")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGINS,
             f"--dapr-worlds={worlds}"],
            cwd=folder,
            env={**environment(settings), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, list[float]] = json.loads((folder / "took.json").read_text())
        return found
