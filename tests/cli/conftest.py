"""Command line tests run on a small project of their own and leave nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.runtime.proc import wait_gone
from harness.stack.registry import Registry
from tests.projects import MINI_FILES
from tests.support import leftovers, project


@pytest.fixture
def mini(tmp_path: Path) -> Iterator[Path]:
    """A project with one app of the standard library; whatever it leaves running is a failure."""
    yield project(tmp_path, **MINI_FILES)
    for each in Registry(tmp_path / "state"):
        if each.alive:
            os.kill(each.supervisor, signal.SIGTERM)
            wait_gone(each.supervisor, 10)
    assert [] == leftovers(tmp_path)
