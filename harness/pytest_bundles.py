"""A failed test leaves a bundle: a page and an archive with what happened."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from harness.bundle.model import Bundle
    from harness.bundle.recording import Origin
    from harness.core.settings import Settings
    from harness.core.topology import Topology
    from harness.stack.aworld import AsyncWorld
    from harness.stack.world import World

OPTION = "--dapr-artefacts"
FOLDER = "artefacts"
"""The folder of bundles, in pytest's root folder, unless the option names another."""

MOST = 50
"""The number of bundles of a session, or of a worker of xdist."""

PROPERTY = "dapr-bundle"
"""The property of a report that has the path of its page; pytest writes it to the JUnit file."""

CAUSE = "dapr-cause"
"""The property that has the probable cause."""

SEEDS = {"pytest-randomly": "randomly_seed", "hypothesis": "hypothesis_seed"}
"""The options of plugins that have a seed."""

STARTED: pytest.StashKey[tuple[Topology, Settings]] = pytest.StashKey()
"""What the stack of the session was last started from."""

WRITTEN: pytest.StashKey[int] = pytest.StashKey()


def add_option(group: pytest.OptionGroup) -> None:
    """Add the option that names the folder."""
    group.addoption(
        OPTION,
        default=FOLDER,
        metavar="FOLDER",
        help="where a page and an archive about each failed test are written "
        f'(default: {FOLDER}; "" writes none)',
    )


def leave_bundle(
    report: pytest.TestReport,
    item: pytest.Item,
    world: AsyncWorld | World | None,
    logs: dict[str, str],
    began: float,
    *,
    isolation: str = "names",
) -> str:
    """Write the bundle of a failed test; what to tell about it, "" if there is none.

    Args:
        report: of the phase that failed.
        item: the test.
        world: of the test, if it has begun.
        logs: of the nodes, if there is no world.
        began: when the test began, on ``time.monotonic``.
        isolation: the level of isolation of the test.
    """
    folder = item.config.getoption(OPTION)
    count = item.config.stash.get(WRITTEN, 0)
    if not folder or count >= MOST or not (world or logs):
        return ""
    item.config.stash[WRITTEN] = count + 1
    try:
        bundle = _bundle(report, item, world, logs, began, isolation=isolation)
        told = _written(bundle, item.config.rootpath / folder)
    except HarnessError as error:
        return f"no bundle: {error.subject}: {error.last}"
    except Exception as error:  # noqa: BLE001 - the report of the failure itself matters more
        return f"no bundle: {type(error).__name__}: {error}"
    # pytest writes those of the test's last report to the JUnit file.
    report.user_properties += told.items()
    item.user_properties += told.items()
    cause = f"probable cause: {told[CAUSE]}\n" if CAUSE in told else ""
    return f"{cause}{told[PROPERTY]}"


def _bundle(
    report: pytest.TestReport,
    item: pytest.Item,
    world: AsyncWorld | World | None,
    logs: dict[str, str],
    began: float,
    *,
    isolation: str,
) -> Bundle:
    from harness.bundle.causes import causes_of
    from harness.bundle.collect import Collector, without_world
    from harness.bundle.model import Failure
    from harness.bundle.origin import commit_of
    from harness.bundle.recording import Recording
    from harness.core.observation import epoch_ns

    failure = Failure(
        item.nodeid, str(report.when), report.longreprtext, epoch_ns(began), time.time_ns()
    )
    origin = _origin(item, isolation)
    if world is None:
        commit, dirty = commit_of(item.config.rootpath)
        origin = replace(origin, commit=commit, dirty=dirty)
        recording = Recording(origin, began=failure.began, ended=failure.ended)
        found = without_world(failure, logs, recording)
    else:
        found = Collector(world.observed, world.account, world.inputs, origin).collect(failure)
    return replace(found, causes=causes_of(found))


def _origin(item: pytest.Item, isolation: str) -> Origin:
    """Where the stack came from, as far as pytest knows it."""
    from harness.bundle.recording import Origin

    topology, settings = item.config.stash.get(STARTED, (None, None))
    known = {name: item.config.getoption(option, None) for name, option in SEEDS.items()}
    seeds = {name: str(value) for name, value in known.items() if value is not None}
    named = settings.topology if settings else ""
    made = Origin(
        _reference(topology, named, item.config.rootpath), isolation=isolation, seeds=seeds
    )
    if topology is None or settings is None:
        return made
    return replace(
        made,
        runtime=settings.runtime,
        broker=settings.broker,
        dapr_version=settings.dapr_version,
        time=topology.time,
    )


def _reference(topology: Topology | None, named: str, root: Path) -> str:
    """``module:attribute`` of a topology: what the settings name, or where else it is."""
    modules = {
        name: vars(each) for name, each in [*sys.modules.items()] if isinstance(each, ModuleType)
    }
    module, _, attribute = named.partition(":")
    if topology is None or modules.get(module, {}).get(attribute) is topology:
        return named
    places = [
        f"{module}:{attribute}"
        for module, found in modules.items()
        if (file := found.get("__file__")) and Path(file).is_relative_to(root)
        for attribute, value in [*found.items()]
        if value is topology
    ]
    # There may be several modules of these names, and only pytest knows which one is meant.
    return min(places, key=lambda each: each.startswith(("conftest:", "test_")), default="")


def _written(bundle: Bundle, folder: Path) -> dict[str, str]:
    """Write the bundle; what is told about it, by property."""
    from harness.bundle.page import write

    told = {PROPERTY: str(write(bundle, folder))}
    return {**told, CAUSE: bundle.causes[0].sentence} if bundle.causes else told


class Bundles:
    """Names the bundles of a session at its end, and as annotations on GitHub."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._found: list[tuple[str, dict[str, str]]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Also called for the reports of workers."""
        known = {name: str(value) for name, value in report.user_properties}
        if report.failed and PROPERTY in known:
            self._found.append((report.nodeid, known))

    def pytest_terminal_summary(self) -> None:
        """One line for each, and the probable cause before it."""
        for test, known in self._found:
            cause = known.get(CAUSE, "")
            self._say(f"{test}: {cause or 'see its bundle'}")
            self._say(f"  {known[PROPERTY]}")
            if os.environ.get("GITHUB_ACTIONS") == "true":  # noqa: TID251 - no setting: GitHub sets it
                self._say(f"::error title={_escaped(test)}::{_escaped(cause or test)}")


def _escaped(text: str) -> str:
    """A text in a workflow command of GitHub: it ends at the line's end."""
    found = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return found.replace(":", "%3A").replace(",", "%2C")
