"""What the plugin's options say: on which runtimes and versions of Dapr tests run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.errors import ConfigError

if TYPE_CHECKING:
    from harness.core.settings import Settings


ISOLATED = "dapr_isolated"
"""The fixture of the stack that a test uses."""

TURN = "_dapr_turn"
"""The fixture in which a test waits for those that need the stack exclusively."""


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

    return Settings.load(
        start=config.rootpath,
        runtime=runtime,
        dapr_version=version,
        otlp=config.getoption("--dapr-otlp"),
    )


def asked_of(item: pytest.Item) -> dict[str, Any]:
    """What a test's markers ``dapr`` ask for, by argument; the closest marker takes precedence.

    Raises:
        UsageError: one of them asks for something that does not exist.
    """
    from harness.core.names import ISOLATIONS, TIMES

    values = {"time": TIMES, "isolation": ISOLATIONS, "exclusive": (True, False)}
    asked: dict[str, Any] = {}
    for marker in item.iter_markers("dapr"):
        known = all(value in values.get(key, ()) for key, value in marker.kwargs.items())
        if marker.args or not marker.kwargs or not known:
            given = [*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())]
            words = (f"{key}={' or '.join(map(repr, of))}" for key, of in values.items())
            raise pytest.UsageError(
                f"{item.nodeid}: the marker dapr takes {'; '.join(words)}; "
                f"it has {', '.join(given) or 'nothing'}"
            )
        asked = {**marker.kwargs, **asked}
    return asked


def time_of(metafunc: pytest.Metafunc) -> str:
    """The time that a test's markers ask for; "" if they ask for none.

    Raises:
        UsageError: see `asked_of`; or the test does not use what a marker is about.
    """
    test = metafunc.definition
    asked = asked_of(test)
    needed = {"time": "dapr_time", "isolation": ISOLATED, "exclusive": TURN}
    if not {needed[each] for each in asked}.issubset(metafunc.fixturenames):
        raise pytest.UsageError(
            f"{test.nodeid}: the marker dapr needs the fixture dapr or dapr_sync"
        )
    return str(asked.get("time", ""))


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
