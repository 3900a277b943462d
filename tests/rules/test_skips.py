"""On CI a skip is a failure unless it is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.real


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_skip_that_is_not_named_fails_on_ci(tmp_path: Path, ci: str, code: int) -> None:
    """And passes elsewhere."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "test_x.py").write_text("import pytest\ndef test_x(): pytest.skip('no reason')\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, env={"CI": ci, "PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == code, done.stdout
