"""What is said where a Kubernetes node cannot run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import cluster
from harness.cli.commands import app
from harness.core.errors import ConfigError, Unavailable
from harness.kubernetes.obstacles import Machine, require_node, try_node
from harness.provision.toolbox import Provisioner


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One on which a node runs."""
    folders = {"DAPR_HARNESS_CACHE_DIR": tmp_path / "cache", "TMPDIR": tmp_path}
    return Machine("linux", 0, tmp_path, True, folders)


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """As much as there must be."""
    free = SimpleNamespace(free=10.1e9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    return free


def test_nothing_is_said_where_it_can_run(machine: Machine) -> None:
    require_node(machine)


@pytest.mark.parametrize(
    ("change", "said", "last"),
    [
        ({"system": "darwin"}, "needs Linux", "this is darwin"),
        ({"user": 1000}, "needs root", "the user id is 1000"),
        ({"groups": Path("/nowhere")}, "needs cgroups", "/nowhere is not a folder"),
        ({"writable": False}, "needs cgroups that it can change", "is read-only"),
        (
            {"folders": {"TMPDIR": Path("/var/lib/ci")}},
            "cannot use /var/lib/ci",
            "",
        ),
    ],
)
def test_what_is_missing_is_one_sentence_that_offers_the_api_server_alone(
    machine: Machine, change: Mapping[str, Any], said: str, last: str
) -> None:
    with pytest.raises(Unavailable) as raised:
        require_node(replace(machine, **change))

    error = raised.value
    assert said in error.subject
    assert last in error.last
    assert "dapr-harness validate k8s" in error.hint
    assert 3 == error.exit_code


def test_too_little_disk_is_said_with_both_figures(machine: Machine, disk: SimpleNamespace) -> None:
    disk.free = 9.9e9

    with pytest.raises(Unavailable) as raised:
        require_node(machine)

    assert "10.0 GB free" == raised.value.expected
    assert "9.9 GB free" == raised.value.last
    assert "dapr-harness validate k8s" in raised.value.hint


@pytest.mark.real
def test_what_the_kernel_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(
        "#!/bin/sh\necho 'overlayfs cannot be mounted: invalid argument' >&2\nexit 1"
    )
    program.chmod(0o755)

    with pytest.raises(Unavailable) as raised:
        try_node(program, {"TMPDIR": str(tmp_path)}, "group")

    assert "overlayfs cannot be mounted: invalid argument" == raised.value.last
    assert "dapr-harness validate k8s" in raised.value.hint


def test_it_is_said_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    """Minutes of building would be in vain."""
    monkeypatch.setattr(cluster, "this_machine", lambda *_: replace(machine, user=1000))
    monkeypatch.setattr(Provisioner, "path", pytest.fail)

    done = CliRunner().invoke(app, ["cluster", "up"])

    assert isinstance(done.exception, Unavailable)
    assert "needs root" in done.exception.subject


@pytest.mark.parametrize(("text", "said"), [("no tar", "of another kind"), (None, "no such file")])
def test_a_file_that_is_not_an_archive_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, said: str
) -> None:
    monkeypatch.setattr(Provisioner, "path", pytest.fail)
    file = tmp_path / "image.tar"
    if text:
        file.write_text(text)

    done = CliRunner().invoke(app, ["cluster", "up", "--image", str(file)])

    assert isinstance(done.exception, ConfigError)
    assert said in done.exception.last
