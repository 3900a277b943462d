"""The pytest plugin: a stack per session, a world per test, the logs of a failing test.

It contains only the wiring. Fixtures: ``dapr_topology`` (override it), ``dapr_stack``, ``dapr``,
``dapr_sync``.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from harness.core.errors import ConfigError, HarnessError, SystemFailure
from harness.pytest_attach import add_options, attached, is_up, name_the_default, own_stack
from harness.pytest_bundles import STARTED, Bundles, add_option, leave_bundle
from harness.pytest_isolation import isolated
from harness.pytest_lines import Lines
from harness.pytest_options import (
    TURN,
    asked_of,
    require_version,
    runtimes,
    settings_of,
    time_of,
    versions,
)
from harness.pytest_otlp import add_otlp_option, export_tests
from harness.pytest_reports import (
    deaths,
    keep,
    logs_of,
    logs_of_own_worlds,
    register,
    section,
    sections_of_logs,
    seen_of,
    tell,
    tell_of_worker,
    told_by_worker,
)
from harness.pytest_time_limit import follow_time_limit, without_time_limit
from harness.pytest_workers import (
    begin,
    pytest_cmdline_main,  # noqa: F401 - a hook
    shared_by_workers,
    shares,
    turn,
)
from harness.pytest_worlds import Worlds, add_worlds_option, prepared, wanted_of

if TYPE_CHECKING:
    from harness.core.settings import Settings
    from harness.core.topology import Topology
    from harness.stack.aworld import AsyncWorld
    from harness.stack.stack import Stack
    from harness.stack.world import World

WORLD: pytest.StashKey[AsyncWorld | World] = pytest.StashKey()
BEGAN: pytest.StashKey[float] = pytest.StashKey()
FAILED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options begin with ``--dapr-``."""
    group = parser.getgroup("dapr", "dapr-harness")
    group.addoption(
        "--dapr-runtime",
        type=runtimes,
        default=[None],
        metavar="NAME[,NAME]",
        help="where the stack runs: auto, processes, containers or kubernetes; the tests run once "
        "on each of several, separated by commas (default: auto)",
    )
    group.addoption(
        "--dapr-version",
        type=versions,
        default=[None],
        metavar="VERSION[,VERSION]",
        help="the version of Dapr, such as 1.18.2; the tests run once on each of several, "
        "separated by commas (default: the setting dapr_version)",
    )
    add_options(group)
    add_option(group)
    add_otlp_option(group)
    group.addoption(
        "--dapr-keep",
        action="store_true",
        help="leave the stack up when a test failed, and print how to reach it",
    )
    add_worlds_option(parser, group)


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Before options are parsed."""
    name_the_default(args, early_config.invocation_params.dir)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Reset the state: nothing has failed yet.

    Raises:
        UsageError: options exclude each other.
    """
    config.stash[FAILED] = False
    follow_time_limit(config)
    config.addinivalue_line(
        "markers",
        "dapr_min_version(version): needs that version of Dapr; skipped on an older one",
    )
    config.addinivalue_line(
        "markers",
        'dapr(time, isolation, exclusive): time="virtual" is a stack whose scheduler dapr.clock '
        'moves, "real" is real time, whatever the topology says. isolation="clean" empties the '
        'stack before the test, "world" gives it own apps and sidecars, "stack" an own stack. '
        "With exclusive=True, no test of another worker of xdist uses the stack meanwhile",
    )
    for option in ("--dapr-runtime", "--dapr-version"):
        if config.getoption("--dapr-attach") and config.getoption(option) != [None]:
            raise pytest.UsageError(f"--dapr-attach uses a stack that runs: leave out {option}")
    register(config, lambda line: Lines(config).say(line))
    begin(config)
    wanted_of(config)  # an error if the file says nonsense
    config.pluginmanager.register(Worlds(), "dapr-harness-worlds")
    config.pluginmanager.register(
        Bundles(lambda line: Lines(config).say(line)), "dapr-harness-bundles"
    )
    export_tests(
        config,
        partial(settings_of, config, None, None),
        lambda line: tell(config, [line], Lines(config).say),
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that need a stack once on each requested runtime and version of Dapr, and with
    the time of their markers."""
    for fixture in ("dapr_runtime", "dapr_version"):
        wanted = metafunc.config.getoption(fixture)
        if fixture in metafunc.fixturenames and len(wanted) > 1:
            metafunc.parametrize(fixture, wanted, indirect=True, scope="session")
    if time := time_of(metafunc):
        metafunc.parametrize("dapr_time", [time], indirect=True, scope="session")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when the test began; skip it if it needs a later Dapr than its stack has."""
    item.stash[BEGAN] = time.monotonic()
    require_version(item)


@pytest.fixture(scope="session")
def dapr_runtime(request: pytest.FixtureRequest) -> str | None:
    """The runtime from the command line; None leaves it to the settings."""
    wanted: list[str | None] = request.config.getoption("--dapr-runtime")
    return getattr(request, "param", wanted[0])


@pytest.fixture(scope="session")
def dapr_version(request: pytest.FixtureRequest) -> str | None:
    """The version of Dapr that the command line requests; None leaves it to the settings."""
    wanted: list[str | None] = request.config.getoption("--dapr-version")
    return getattr(request, "param", wanted[0])


@pytest.fixture(scope="session")
def dapr_time(request: pytest.FixtureRequest) -> str | None:
    """The time that the marker ``dapr`` asks for; None leaves it to the topology."""
    return getattr(request, "param", None)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    """Run a coroutine test that uses ``dapr`` with pytest-asyncio, also in its strict mode."""
    if inspect.iscoroutinefunction(obj) and "dapr" in inspect.signature(obj).parameters:
        pytest.mark.asyncio(obj)


@pytest.fixture(scope="session")
def dapr_settings(
    pytestconfig: pytest.Config, dapr_runtime: str | None, dapr_version: str | None
) -> Settings:
    """Settings from the environment, pyproject.toml and the command line."""
    return settings_of(pytestconfig, dapr_runtime, dapr_version)


@pytest.fixture(scope="session")
def dapr_topology(dapr_settings: Settings) -> Topology:
    """The system to run; override this fixture, or name a topology in the settings."""
    from harness.stack.loading import load_topology

    if not dapr_settings.topology:
        raise ConfigError(
            "no topology was found",
            expected="a session fixture `dapr_topology`, or `topology` in [tool.dapr-harness]",
            hint="the README shows a short one",
        )
    return load_topology(dapr_settings)


@pytest.fixture(scope="session")
def dapr_stack(
    dapr_topology: Topology,
    dapr_settings: Settings,
    dapr_time: str | None,
    pytestconfig: pytest.Config,
) -> Iterator[Stack]:
    """The running system of the whole session; one after the other if tests differ in time."""
    lines = Lines(pytestconfig)
    pytestconfig.stash[STARTED] = (dapr_topology, dapr_settings)
    topology = dapr_topology.with_time(dapr_time) if dapr_time else dapr_topology
    with _opened(topology, dapr_settings, pytestconfig, lines) as stack:
        lines.say(f"{len(stack.instances)} nodes are ready after {stack.took:.2f} s")
        yield stack
        failed = pytestconfig.getoption("--dapr-keep") and pytestconfig.stash[FAILED]
        if failed and not pytestconfig.getoption("--dapr-attach"):
            keep(stack, pytestconfig, lines.say)


@pytest.fixture(name=TURN)
def _turn(dapr_stack: Stack, request: pytest.FixtureRequest) -> Iterator[None]:
    """Wait for a test of another worker that needs the stack exclusively, as this one may."""
    asked = asked_of(request.node)
    # Virtual time has one clock, and whoever moves it moves it for all. What is emptied is too.
    for_all = dapr_stack.topology.clock() is not None or asked.get("isolation") == "clean"
    exclusive = asked.get("exclusive", for_all)
    with turn(request.config, dapr_stack, exclusive=exclusive):
        yield


@pytest.fixture
def dapr_isolated(
    dapr_stack: Stack, _dapr_turn: None, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """The stack that ``dapr`` and ``dapr_sync`` use: a test's own if its marker asks for one."""
    level = asked_of(request.node).get("isolation", "names")
    # A project that overrides dapr_stack may have no topology.
    topology = partial(request.getfixturevalue, "dapr_topology")
    world, prepare = prepared(request, dapr_stack)
    with isolated(level, dapr_stack, topology, Lines(request.config).hear, world) as stack:
        prepare()
        yield stack


@pytest.fixture
def dapr_sync(dapr_isolated: Stack, request: pytest.FixtureRequest) -> Iterator[World]:
    """The test's own world, for synchronous tests."""
    from harness.stack.world import World

    with World(dapr_isolated, request.node.nodeid) as world, _remembered(request.node, world):
        yield world


@pytest_asyncio.fixture
async def dapr(dapr_isolated: Stack, request: pytest.FixtureRequest) -> AsyncIterator[AsyncWorld]:
    """The test's own world, for asynchronous tests."""
    from harness.stack.aworld import AsyncWorld

    async with AsyncWorld(dapr_isolated, request.node.nodeid) as world:
        with _remembered(request.node, world):
            yield world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach logs to a failure, and distinguish the harness's failures from the system's."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    ours = report.when == "setup" and isinstance(error, SystemFailure | HarnessError)
    if ours:
        # The message is complete; the traceback would only show the harness.
        report.longrepr = "\n".join([str(error), *getattr(error, "__notes__", [])])
    if report.failed:
        item.config.stash[FAILED] = True
        # What is told of a test that has used up its time needs some, too.
        with without_time_limit(item.config):
            _attach(report, item, error)
    if ours and isinstance(error, SystemFailure):
        # pytest reports every set-up failure as an ERROR. This one is the system's.
        report.when = "call"
    return report


@contextmanager
def _remembered(item: pytest.Item, world: AsyncWorld | World) -> Iterator[None]:
    """Keep a world for the report of its test, and no longer."""
    item.stash[WORLD] = world
    try:
        yield
    finally:
        if item.stash.get(WORLD, None) is world:
            del item.stash[WORLD]


@contextmanager
def _opened(
    topology: Topology, settings: Settings, config: pytest.Config, lines: Lines
) -> Iterator[Stack]:
    given = config.getoption("--dapr-attach")
    if is_up(given):
        folder, force = config.invocation_params.dir, config.getoption("--dapr-force")
        with attached(given, topology, settings, folder, force=force, watch=lines.hear) as stack:
            tell_of_worker(config, stack, "attached to a stack that is up")
            yield stack
        return
    hear = told_by_worker(config, lines.hear)
    make = partial(own_stack, given, topology, settings, lines, hear)
    if shares(config) and not given:
        with shared_by_workers(config, topology, settings, make, watch=hear) as stack:
            yield stack
        return
    made = make()
    # The first start may build for minutes, which no test's time limit allows for.
    with without_time_limit(config):
        made.provision()
    with made as stack:
        tell_of_worker(config, stack, "started a stack of its own")
        yield stack


def _attach(report: pytest.TestReport, item: pytest.Item, error: BaseException | None) -> None:
    world = item.stash.get(WORLD, None)
    logs: dict[str, str] = getattr(error, "logs", {})
    report.sections += [(section(title), text) for title, text in deaths()]
    if world is None:
        logs = logs or logs_of_own_worlds(item.stash.get(BEGAN, math.inf))
    elif report.when == "call":
        logs = logs_of(world.beginning)
        report.sections += seen_of(world)
    report.sections += sections_of_logs(logs)
    began = item.stash.get(BEGAN, time.monotonic())
    level = asked_of(item).get("isolation", "names")
    if told := leave_bundle(report, item, world, logs, began, isolation=level):
        report.sections.append((section("bundle"), told))
