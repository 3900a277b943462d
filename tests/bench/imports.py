"""What a test run pays for having the plugin installed, before any test uses it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness import Settings
from tests.bench.numbers import Figures, alternated, at_most, paired

PAIRS = 20
ROOT = Path(__file__).parent.parent.parent
GATE = at_most(1.1)
COLLECT = ("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
OURS = ("-p", "harness.pytest_plugin")
EVERY_RUN = "import pytest, pytest_asyncio, _pytest.junitxml"
"""What a run of pytest imports without us; the last one is the plugin for JUnit files."""

TESTS = """\
def test_synchronous():
    pass

async def test_asynchronous():
    pass
"""


def imports(_settings: Settings) -> Figures:
    """Interpreters in pairs, one of them with the plugin; no other plugin is loaded.

    pytest-asyncio is among the plugin's requirements. It loads itself wherever it is installed, so
    its own share is shown as well.
    """
    alone = "pytest alone"
    both = "pytest with pytest-asyncio"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "test_both.py").write_text(TESTS)
        (folder / "pytest.ini").write_text("[pytest]\n")
        return {
            **_beside(folder, "import harness", alone, ["-c", "import pytest"],
                      ["-c", "import pytest, harness"]),
            **_beside(folder, "import of the plugin", both, ["-c", EVERY_RUN],
                      ["-c", f"{EVERY_RUN}, harness.pytest_plugin"]),
            **_beside(folder, "pytest --collect-only", both, [*COLLECT, *ASYNCIO],
                      [*COLLECT, *ASYNCIO, *OURS]),
            **_beside(folder, "pytest --collect-only, with pytest-asyncio too", alone, COLLECT,
                      [*COLLECT, *ASYNCIO, *OURS]),
            **_beside(folder, "pytest-asyncio's own share", alone, COLLECT,
                      [*COLLECT, *ASYNCIO], gated=False),
        }  # fmt: skip


def _beside(
    folder: Path, title: str, anchor: str, plain: Sequence[str], ours: Sequence[str],
    *, gated: bool = True,
) -> Figures:  # fmt: skip
    _took(folder, ours)  # writes the bytecode
    pairs = alternated(PAIRS, lambda: _took(folder, plain), lambda: _took(folder, ours))
    ratios = [with_it / without for without, with_it in pairs]
    return {
        title: paired(ratios, anchor, GATE if gated else None),
        f"{title}, difference, ms (median)": 1000
        * statistics.median(with_it - without for without, with_it in pairs),
    }


def _took(folder: Path, arguments: Sequence[str]) -> float:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, *arguments]
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return took
