"""Names of stacks: where they are taken, and where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import ConfigError, Settings, Topology
from harness.cli.commands import app
from harness.pytest_attach import attached, name_the_default
from harness.runtime.proc import born
from harness.stack.registry import Registry, UpStack, since_boot


def test_status_takes_the_short_name_of_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `run`, `up`, `logs` and `down` do."""
    monkeypatch.setenv("DAPR_HARNESS_STATE_DIR", str(tmp_path))

    done = CliRunner().invoke(app, ["status", "-n", "nobody"])

    assert "no stack named 'nobody' is up" in str(done.exception)


def test_attaching_to_a_name_that_is_not_up_suggests_one_that_is(tmp_path: Path) -> None:
    """The stack that is up is this process."""
    settings = Settings.load(tmp_path, {}, state_dir=str(tmp_path))
    pid = os.getpid()
    up = UpStack("mine", pid, born(pid), 0.0, "", "", [], "processes", since_boot())
    Registry(settings.state_dir)._write(up)

    with pytest.raises(ConfigError, match="no stack named 'mein' is up") as caught:
        attached("mein", Topology(), settings, tmp_path, force=False, watch=lambda _: None)

    assert "did you mean 'mine'?" in caught.value.hint


def test_attaching_to_a_compose_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    """A file's name is not taken for a stack's."""
    settings = Settings.load(tmp_path, {}, state_dir=str(tmp_path))

    with pytest.raises(ConfigError, match=r"none\.yaml does not exist") as caught:
        attached("none.yaml", Topology(), settings, tmp_path, force=False, watch=lambda _: None)

    assert "`dapr-harness render compose` writes one" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "parsed"),
    [
        (["--dapr-attach", "todo", "-q"], ["--dapr-attach", "todo", "-q"]),
        (["-q", "--dapr-attach"], ["-q", "--dapr-attach"]),
        (["--dapr-attach", "tests"], ["--dapr-attach=default", "tests"]),
        (["--dapr-attach", "test_a.py"], ["--dapr-attach=default", "test_a.py"]),
        (["--dapr-attach", "test_a.py::test_b"], ["--dapr-attach=default", "test_a.py::test_b"]),
        (["--dapr-attach", "compose.yaml"], ["--dapr-attach", "compose.yaml"]),
    ],
)
def test_a_test_is_not_taken_for_the_name_of_a_stack(
    tmp_path: Path, words: list[str], parsed: list[str]
) -> None:
    """argparse would take whatever follows an option whose value may be missing."""
    (tmp_path / "tests").mkdir()

    name_the_default(words, tmp_path)

    assert parsed == words
