"""What ``doctor`` looks at depends on what the project's topology needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import Settings, Unavailable
from harness.cli.diagnosis import Diagnosis
from harness.cli.tools import _extras
from harness.provision.toolbox import Provisioner
from tests.support import project

TOPOLOGY = "from harness import Redis, Topology\nplain, redis = Topology(), Topology(Redis())\n"


class NoRedis(Provisioner):
    """Where none is installed."""

    def path(self, tool: str) -> Path:
        raise Unavailable(f"{tool} is not installed", last="none on PATH", hint="pip install it")


def seen(folder: Path, monkeypatch: pytest.MonkeyPatch, attribute: str) -> list[Diagnosis]:
    """The diagnoses of a project whose topology has that name."""
    project(folder, doctored_py=TOPOLOGY)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.delitem(sys.modules, "doctored", raising=False)
    settings = Settings.load(folder, {}, topology=f"doctored:{attribute}")
    return list(_extras(settings, NoRedis(settings)))


def test_redis_is_looked_for_where_the_topology_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nowhere else; with the way to get it."""
    assert [] == seen(tmp_path, monkeypatch, "plain")
    (found,) = seen(tmp_path, monkeypatch, "redis")
    assert ("redis", "missing", "pip install it") == (found.subject, found.verdict, found.fix)


def test_a_topology_that_cannot_be_loaded_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is examined all the same."""
    (found,) = seen(tmp_path, monkeypatch, "none")

    assert ("topology", "warning") == (found.subject, found.verdict)
