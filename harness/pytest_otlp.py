"""``--dapr-otlp``: each test is a trace in a collector."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.core.settings import Settings
    from harness.otlp.phases import Phases
    from harness.otlp.sender import Sender

OPTION = "--dapr-otlp"
SERVICE = "pytest"


def add_otlp_option(group: pytest.OptionGroup) -> None:
    """Add the option that names the collector."""
    group.addoption(
        OPTION,
        default=None,
        metavar="URL",
        help="export traces, metrics and logs of the stack, and a trace for each test, to this "
        "OTLP endpoint, such as http://127.0.0.1:4318, or grpc://127.0.0.1:4317 (default: the "
        "setting otlp)",
    )


def export_tests(
    config: pytest.Config, settings: Callable[[], Settings], say: Callable[[str], None]
) -> None:
    """Have the tests of a session exported, if a collector is named.

    Args:
        config: of the session.
        settings: loads the settings.
        say: tells a line at the end.

    Raises:
        UsageError: the packages that this requires are not installed, or a setting is wrong.
    """
    from harness.core.errors import ConfigError, Unavailable

    try:
        found = settings()
        if found.otlp:
            config.pluginmanager.register(_made(found, say), "dapr-harness-otlp")
    except ConfigError as error:
        # Tests without a stack do not need the settings, and the others will tell.
        if config.getoption(OPTION):
            raise pytest.UsageError(str(error)) from None
    except Unavailable as error:
        raise pytest.UsageError(str(error)) from None


def _made(settings: Settings, say: Callable[[str], None]) -> ExportedTests:
    from harness.otlp.destination import destination_of
    from harness.otlp.packages import require_packages

    to = destination_of(settings)
    require_packages(to.url)
    from harness.otlp.phases import Phases
    from harness.otlp.sender import Sender

    sender = Sender(to.url, to.headers)
    phases = Phases(sender, "" if settings.environment.get("OTEL_SERVICE_NAME") else SERVICE)
    return ExportedTests(phases, sender, to.seconds, say)


class ExportedTests:
    """Makes a span of each test and of each of its phases.

    Args:
        phases: makes the spans.
        sender: sends them.
        seconds: how long the end waits for the collector.
        say: tells a line at the end.
    """

    def __init__(
        self, phases: Phases, sender: Sender, seconds: float, say: Callable[[str], None]
    ) -> None:
        self._phases = phases
        self._sender = sender
        self._seconds = seconds
        self._say = say

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """The test."""
        place = {"code.file.path": item.location[0], "code.function.name": item.location[2]}
        with self._phases.test(item.nodeid, place):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        """Its fixtures."""
        with self._phases.phase("setup", (pytest.skip.Exception,)):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Its body."""
        with self._phases.phase("call", (pytest.skip.Exception, pytest.xfail.Exception)):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """The end of its fixtures."""
        with self._phases.phase("teardown"):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """How a phase ended; the phases after the body say nothing new, unless they fail."""
        if report.when == "call" or not report.passed:
            self._phases.outcome(report.outcome)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the rest, as far as the collector accepts it."""
        self._phases.end(failed=session.testsfailed > 0)
        self._sender.close(self._seconds)
        if complaint := self._sender.complaint():
            self._say(f"warning: {complaint}")
