"""An escape is an expected failure on versions with its bug, and only for the bug's own reason."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

import pytest

from harness import App, Settings, Topology, World, running
from harness.provision.dapr import version_in_use
from harness.provision.versions import parse


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker."""
    config.addinivalue_line(
        "markers",
        "escape(fixed_in, shows): a bug of Dapr before that version, and what its failure says",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the failure that a version with the bug must show into an expected one."""
    report = yield
    marker = item.get_closest_marker("escape")
    if marker is None or report.when != "call":
        return report
    version = _version(item)
    if parse(version) < parse(marker.kwargs["fixed_in"]):
        _judge(report, call, version, marker.kwargs["shows"])
    return report


def _judge(
    report: pytest.TestReport, call: pytest.CallInfo[None], version: str, shows: str
) -> None:
    if report.passed:
        report.outcome = "failed"
        report.longrepr = f"the bug did not show on Dapr {version}, which has it"
    elif call.excinfo is not None and re.search(shows, str(call.excinfo.value), re.DOTALL):
        report.outcome = "skipped"
        report.wasxfail = f"Dapr {version} has the bug: {shows}"


def _version(item: pytest.Item) -> str:
    settings = item.funcargs["dapr_settings"] if isinstance(item, pytest.Function) else None
    assert isinstance(settings, Settings), "an escape is a function that uses dapr_settings"
    return version_in_use(settings)


@pytest.fixture
def clock(dapr_settings: Settings) -> Iterator[World]:
    """The small app of this folder, in a stack of the test's own: some of the bugs end it."""
    app = App("clock", asgi="scenarios.escapes.clock_app:app", inbox=True)
    stack = running(Topology(app, resources="scenarios/escapes/resources"), dapr_settings)
    stack.provision()
    with stack, World(stack) as world:
        yield world
