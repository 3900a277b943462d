"""A start that ends between two of its steps leaves nothing, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import InstanceDied
from harness.runtime import folder as run_folder
from harness.runtime import processes, supervisor_client
from harness.runtime.processes import ProcessRuntime
from harness.runtime.supervisor import program
from harness.runtime.supervisor_client import SupervisorClient
from tests.support import environment, leftovers

STEPS = [
    (supervisor_client, "make_run_folder"),
    (run_folder, "_give"),
    (SupervisorClient, "_introduce"),
    (processes, "path_without_our_tools"),
]
"""Before there is a folder, while it is made, before the first request, and before its links."""

KILLED = """
import os, signal, sys

from tests.contract import test_run_folder as tests

owner, name = tests.STEPS[int(sys.argv[1])]
setattr(owner, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
tests.ProcessRuntime({})
"""

each_step = pytest.mark.parametrize("step", range(len(STEPS)), ids=[name for _, name in STEPS])


@each_step
def test_a_start_that_is_killed_leaves_nothing(tmp_path: Path, step: int) -> None:
    """The supervisor removes the folder, even if it has heard nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(step)], env=environment(tmp_path), capture_output=True
    )

    assert -signal.SIGKILL == done.returncode, done.stderr
    assert [] == leftovers(tmp_path)
    assert [] == list((tmp_path / "tmp" / f"dapr-harness-{os.getuid()}").iterdir())


@each_step
def test_a_start_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the interrupt goes on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(*STEPS[step], interrupt)

    with pytest.raises(KeyboardInterrupt):
        ProcessRuntime({})

    assert [] == list((tmp_path / f"dapr-harness-{os.getuid()}").iterdir())


def test_a_supervisor_that_does_not_start_tells_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no log yet; and its folder is removed by who wanted it."""
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(program, "__file__", str(broken))

    with pytest.raises(InstanceDied, match=r"exit code 1: .*'nothing_of_this_name'"):
        ProcessRuntime({})

    assert [] == list((tmp_path / f"dapr-harness-{os.getuid()}").iterdir())
