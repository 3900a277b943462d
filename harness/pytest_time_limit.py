"""pytest-timeout's limit for a test, which does not apply to what may take minutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

LIMIT: pytest.StashKey[TimeLimit] = pytest.StashKey()


class TimeLimit:
    """Knows the test for which pytest-timeout has started its timer."""

    def __init__(self) -> None:
        self._timed: tuple[pytest.Item, object] | None = None

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: object) -> None:
        """Remember the test and the settings."""
        self._timed = (item, settings)

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self) -> None:
        """Remember that the timer is stopped."""
        self._timed = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the timer of the current test; restart it afterwards, with its whole time."""
        if self._timed is None:
            yield
            return
        item, limit = self._timed
        item.config.hook.pytest_timeout_cancel_timer(item=item)
        try:
            yield
        finally:
            item.config.hook.pytest_timeout_set_timer(item=item, settings=limit)


def follow_time_limit(config: pytest.Config) -> None:
    """Follow pytest-timeout, if it is installed."""
    config.stash[LIMIT] = TimeLimit()
    config.pluginmanager.register(config.stash[LIMIT], "dapr-harness-time-limit")


@contextmanager
def without_time_limit(config: pytest.Config) -> Iterator[None]:
    """Stop the timer of the current test; restart it afterwards, with its whole time."""
    with config.stash[LIMIT].stopped():
        yield
