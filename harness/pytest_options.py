"""What the plugin's options say: on which runtimes and versions of Dapr tests run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.errors import ConfigError

if TYPE_CHECKING:
    from harness.core.settings import Settings


def runtimes(text: str) -> list[str | None]:
    """The words of ``--dapr-runtime``.

    Raises:
        ArgumentTypeError: one of them is no runtime.
    """
    from harness.core.settings import WORDS

    words = text.split(",")
    for word in words:
        if word not in WORDS["runtime"]:
            known = ", ".join(WORDS["runtime"])
            raise argparse.ArgumentTypeError(f"{word!r} is not one of {known}")
    return list(words)


def versions(text: str) -> list[str | None]:
    """The versions of ``--dapr-version``.

    Raises:
        ArgumentTypeError: one of them is no version.
    """
    from harness.core.settings import dapr_versions

    try:
        return list(dapr_versions(text))
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def settings_of(config: pytest.Config, runtime: str | None, version: str | None) -> Settings:
    """Settings from the environment, pyproject.toml and the options; None means not given."""
    from harness.core.settings import Settings

    return Settings.load(start=config.rootpath, runtime=runtime, dapr_version=version)


def time_of(metafunc: pytest.Metafunc) -> str:
    """The time that a test's marker ``dapr`` asks for; "" if it has none.

    Raises:
        UsageError: the marker asks for something else, or the test uses no stack.
    """
    from harness.core.names import TIMES

    marker = metafunc.definition.get_closest_marker("dapr")
    if marker is None:
        return ""
    given: dict[str, Any] = dict(marker.kwargs)
    time: object = given.pop("time", None)
    if marker.args or given or time not in TIMES:
        words = " or ".join(repr(each) for each in TIMES)
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: the marker dapr takes time={words}")
    if "dapr_time" not in metafunc.fixturenames:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: the marker dapr needs the fixture dapr or dapr_sync"
        )
    return str(time)


def require_version(item: pytest.Item) -> None:
    """Skip a test that is marked as needing a later Dapr than its stack has or will have.

    Raises:
        UsageError: the marker names no version.
    """
    from harness.provision.versions import parse

    for marker in item.iter_markers("dapr_min_version"):
        needed = _least(marker)
        if parse(version := _version_of(item)) < parse(needed):
            pytest.skip(f"needs Dapr {needed} or later; this is {version}")


def _least(marker: pytest.Mark) -> str:
    from harness.core.settings import dapr_versions

    try:
        (needed,) = dapr_versions(*marker.args)
    except (ConfigError, TypeError, ValueError) as error:
        raise pytest.UsageError(f"the marker dapr_min_version takes one version: {error}") from None
    return needed


def _version_of(item: pytest.Item) -> str:
    """The version of Dapr that a test's stack has or will have."""
    from harness.provision.dapr import version_in_use

    chosen: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    asked: list[str | None] = item.config.getoption("--dapr-version")
    runtime: list[str | None] = item.config.getoption("--dapr-runtime")
    return version_in_use(
        settings_of(
            item.config,
            chosen.get("dapr_runtime", runtime[0]),
            chosen.get("dapr_version", asked[0]),
        )
    )
