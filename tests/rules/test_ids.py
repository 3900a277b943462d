"""The names of tests are the same in every process, as pytest-xdist and a seed demand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT


def test_tests_have_the_same_names_in_another_process(request: pytest.FixtureRequest) -> None:
    """With another hash seed, and some seconds later: a compressed body once had its time in it."""
    runtimes = ",".join(filter(None, request.config.getoption("--dapr-runtime")))
    chosen = [f"--dapr-runtime={runtimes}"] if runtimes else []
    own = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    collecting = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *chosen],
        cwd=ROOT, env={**own, "PYTHONHASHSEED": "4711"}, capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == collecting.returncode, collecting.stdout[-2000:] + collecting.stderr
    here = {each.nodeid for each in request.session.items}
    assert set() == here - {*collecting.stdout.splitlines()}
