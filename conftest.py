"""What the whole suite shares: on CI a skip is a failure, unless it is named here."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

NAMED_SKIPS = {
    # test: the reason why it may be skipped on CI
    "test_the_scenarios_pass_on_redpanda": "its image can be had from a registry only",
    "test_root_starts_an_unprivileged_launch_as_nobody": "only root can start as somebody else",
}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that did not run proved nothing."""
    report = yield
    if report.skipped and os.environ.get("CI") and item.name.split("[")[0] not in NAMED_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"skipped on CI without being named in conftest.py: {report.longrepr}"
    return report
