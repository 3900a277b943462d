"""What CI keeps of a test run: logs in the JUnit file, and stacks that xdist workers left up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from _pytest.junitxml import LogXML, bin_xml_escape, xml_key

from harness.core.errors import HarnessError, SystemFailure
from harness.core.names import EXPORTER
from harness.report.folding import folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.core.journal import Entry
    from harness.stack.aworld import AsyncWorld
    from harness.stack.beginning import Beginning
    from harness.stack.stack import Stack
    from harness.stack.timeline import Observed
    from harness.stack.world import World

LOG_LIMIT = 20_000
"""The number of characters of a node's log that a report shows: the last ones."""

SECTION = "dapr-harness: "
"""The prefix of report sections that this plugin adds."""

KEPT = "dapr_harness_kept"
"""The key under which an xdist worker reports the stacks it has left running."""


def section(title: str) -> str:
    """The name of one of this plugin's sections."""
    return SECTION + title


def seen_of(world: World | AsyncWorld) -> Iterator[tuple[str, str]]:
    """The sections about what a test's world has observed."""
    if left := backlog_of(world.beginning):
        yield section("events of other tests"), left
    if happened := timeline_of(world.observed):
        yield section("timeline"), happened


def sections_of_logs(logs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What nodes have logged, repeated lines folded; the last characters of it."""
    for name, text in logs.items():
        short = folded(text)
        cut = short if len(short) <= LOG_LIMIT else f"[...]\n{short[-LOG_LIMIT:]}"
        yield section(f"log of {name} during this test"), cut


def timeline_of(observed: Observed) -> str:
    """What happened during a test as a table, secrets masked; "" if nothing is recorded."""
    from harness.core.masking import mask
    from harness.report.timeline import draw_timeline

    if not observed.is_recorded:
        return ""
    try:
        found, missing = observed.available()
        gaps = [f"incomplete: {error.subject}" for error in missing]
        secrets = observed.stack.book.secrets()
        drawn = draw_timeline(found, clean=lambda text: mask(text, secrets))
        return "\n".join([drawn, *gaps])
    except Exception as error:  # noqa: BLE001 - the report of the failure itself matters more
        return f"not known: {type(error).__name__}: {error}"


def logs_of(beginning: Beginning) -> dict[str, str]:
    """What each node has logged since then; the reason, if that cannot be read."""
    try:
        return beginning.logs()
    except Exception as error:  # noqa: BLE001 - the report of the failure itself matters more
        return {"every node": f"not known: {type(error).__name__}: {error}"}


def backlog_of(beginning: Beginning) -> str:
    """What other tests left behind; nothing if the test has stopped the broker."""
    try:
        return beginning.backlog()
    except Exception as error:  # noqa: BLE001 - the report of the failure itself matters more
        return f"not known: {type(error).__name__}: {error}"


def deaths() -> Iterator[tuple[str, str]]:
    """For each stack of this process a node of which has exited by itself: a title and the error.

    A request to an app or through a sidecar fails if another node is gone, and cannot tell why.
    """
    for stack in _open_stacks():
        try:
            stack.check_alive()
        except (HarnessError, SystemFailure) as error:
            yield "a node has exited", str(error)


def logs_of_own_worlds(since: float) -> dict[str, str]:
    """What the nodes have logged to a test that made its worlds itself, without ``dapr``.

    Args:
        since: when the test began, on ``time.monotonic``.
    """
    from harness.stack.beginning import BEGINNINGS

    found: dict[str, str] = {}
    for stack in _open_stacks():
        # The first world of the test has seen all of it.
        own = (each for each in stack.shared.get(BEGINNINGS, ()) if each.at >= since)
        found |= logs_of(first) if (first := next(own, None)) else {}
    return found


def _open_stacks() -> list[Stack]:
    """Without importing what a session without a stack has not imported."""
    loaded = sys.modules.get("harness.stack.open_stacks")
    return loaded.open_stacks() if loaded else []


class JunitLogs:
    """Writes this plugin's sections into the JUnit file as ``system-out``.

    pytest itself writes only a test's own output there, and only with ``junit_logging``.
    """

    def __init__(self, xml: LogXML) -> None:
        self._xml = xml

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Runs before pytest's own hook, which closes the test case at its teardown."""
        own = [each for each in report.sections if each[0].startswith(SECTION)]
        if report.failed and own:
            written = ET.Element("system-out")
            text = "\n\n".join(f"--- {title} ---\n{body}" for title, body in own)
            written.text = bin_xml_escape(text)
            self._xml.node_reporter(report).append(written)


class WorkersKept:
    """Prints what each xdist worker has left running; a worker has no terminal."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker has ended; a crashed one has reported nothing, and its stack ended with it."""
        for line in getattr(node, "workeroutput", {}).get(KEPT, ()):
            self._say(f"{node.gateway.id}: {line}")


def tell(config: pytest.Config, lines: list[str], say: Callable[[str], None]) -> None:
    """Print lines at the end of a session; an xdist worker passes them to the controller."""
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output.setdefault(KEPT, []).extend(lines)
        return
    for line in lines:
        say(line)


def tell_of_worker(config: pytest.Config, stack: Stack, how: str) -> None:
    """Have an xdist worker say how it came by its stack: each that is started costs memory."""
    if hasattr(config, "workeroutput"):
        tell(
            config,
            [f"{how}: {len(stack.instances)} nodes, after {stack.took:.2f} s"],
            lambda _: None,
        )


def told_by_worker(config: pytest.Config, hear: Callable[[Entry], None]) -> Callable[[Entry], None]:
    """Hears what a stack says; an xdist worker passes on what it could not export."""
    if not hasattr(config, "workeroutput"):
        return hear

    def heard(entry: Entry) -> None:
        hear(entry)
        if entry.kind == "node.warned" and entry.node == EXPORTER:
            tell(config, [f"warning: {entry.facts['warning']}"], lambda _: None)

    return heard


def keep(stack: Stack, config: pytest.Config, say: Callable[[str], None]) -> None:
    """Leave a stack running, and tell how to reach it; once if several workers share it."""
    from harness.core.settings import Settings
    from harness.stack.registry import Registry

    registry = Registry(Settings.load(start=config.rootpath).state_dir)
    name = f"pytest-{stack.folder.name}"
    if registry.find(name) is not None:
        return
    up = registry.adopt(stack, name)
    addresses = (
        f"  {n.name}: {' '.join(f'{k}={v}' for k, v in n.endpoints.items())}" for n in up.nodes
    )
    lines = [
        f"the stack was left running as {name!r}, because a test failed and --dapr-keep was given",
        *addresses,
        f"inspect it: dapr-harness status --name {name}; stop it: dapr-harness down --name {name}",
    ]
    tell(config, lines, say)


def register(config: pytest.Config, say: Callable[[str], None]) -> None:
    """Register both; requires pytest's own JUnit plugin to be configured."""
    xml = config.stash.get(xml_key, None)
    if xml is not None:
        config.pluginmanager.register(JunitLogs(xml), "dapr-harness-junit")
    config.pluginmanager.register(WorkersKept(say), "dapr-harness-workers")
