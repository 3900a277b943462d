"""The plugin is tested from outside: a pytest of its own on a small project."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import Settings
from harness.provision.store import Store
from tests.projects import HELLO_APP
from tests.support import WITHOUT, environment

CACHE = str(Store(Settings.load().cache_dir).root)
"""Looked up at import: pytester gives every test a home of its own, where no cache is."""

CONFTEST = """
import sys
import pytest
from harness import App, Topology

@pytest.fixture(scope="session")
def dapr_topology():
    return Topology(App("hello", command=[sys.executable, "hello.py", "{port}"]))
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in a process of its own on the files of one test."""

    def run(
        test: str, *arguments: str, conftest: str = CONFTEST, app: str = HELLO_APP
    ) -> pytest.RunResult:
        pytester.makeconftest(conftest)
        (pytester.path / "hello.py").write_text(app)
        pytester.makepyfile(test)
        more = environment(pytester.path, DAPR_HARNESS_CACHE_DIR=CACHE)
        for key, value in more.items():
            if os.environ.get(key) != value:
                monkeypatch.setenv(key, value)
        return pytester.runpytest_subprocess(*WITHOUT, *arguments)

    return run


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """Where the inner project lies."""
    return pytester.path
