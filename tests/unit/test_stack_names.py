"""Names of stacks: where they are taken, and where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import ConfigError, Settings
from harness.cli.commands import app
from harness.pytest_plugin import _not_a_file
from harness.registry import Registry, UpStack, since_boot
from harness.runtime.proc import born


def test_status_takes_the_short_name_of_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `run`, `up`, `logs` and `down` do."""
    monkeypatch.setenv("DAPR_HARNESS_STATE_DIR", str(tmp_path))

    done = CliRunner().invoke(app, ["status", "-n", "nobody"])

    assert "no stack named 'nobody' is up" in str(done.exception)


@pytest.mark.parametrize("extra", ["here", "missing"])
def test_a_name_is_answered_with_the_next_step(tmp_path: Path, extra: str) -> None:
    """A stack that is up, which is this process; and a name that means nothing."""
    settings = Settings.load(tmp_path, {}, state_dir=str(tmp_path))
    pid = os.getpid()
    up = UpStack("mine", pid, born(pid), 0.0, "", "", [], "processes", since_boot())
    Registry(settings.state_dir)._write(up)
    given, hint = {
        "here": ("mine", "'mine' is a stack of `dapr-harness up`"),
        "missing": ("other", "`dapr-harness render compose` writes one"),
    }[extra]

    error = _not_a_file(given, settings)

    assert isinstance(error, ConfigError)
    assert f"--dapr-attach {given}: {given} is not there" == error.subject
    assert hint in error.hint
