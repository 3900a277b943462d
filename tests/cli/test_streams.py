"""What becomes of output that cannot be written, and of state that cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import Unavailable
from harness.runtime.proc import born
from harness.stack.registry import Registry, UpNode, UpStack, since_boot
from tests.support import CLI, cli, environment, project

pytestmark = pytest.mark.real

ADDRESS = "an-address-that-is-longer-than-the-terminal-is-wide:8080"


def up(name: str = "default") -> UpStack:
    """A stack whose supervisor is this very process: it is there, and ends with the tests."""
    node = UpNode("grüße", os.getpid(), {"main": ADDRESS}, "/nowhere")
    return UpStack(name, os.getpid(), born(os.getpid()), time.time(), "/nowhere", "t", [node],
                   booted=since_boot())  # fmt: skip


def written(folder: Path, stack: UpStack) -> Path:
    """Its state file."""
    file = folder / "state" / f"{stack.name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(asdict(stack)))
    return file


def run(folder: Path, *arguments: str, stdout: Any, **env: str) -> subprocess.CompletedProcess[str]:
    """A command with its standard output wherever."""
    return subprocess.run(
        [*CLI, *arguments], cwd=folder, env=environment(folder, **env),
        stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"]], ids=" ".join)
def test_output_that_cannot_be_written_is_reported_once(
    tmp_path: Path, arguments: list[str], unbuffered: str
) -> None:
    """A full disk: one sentence and an exit code, by whichever way it was printed."""
    written(tmp_path, up())

    with Path("/dev/full").open("w") as full:
        done = run(tmp_path, *arguments, stdout=full, PYTHONUNBUFFERED=unbuffered)

    said = "error: standard output cannot be written: No space left on device\n"
    assert (4, said) == (done.returncode, done.stderr)


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"]], ids=" ".join)
def test_a_closed_pipe_is_not_reported(tmp_path: Path, arguments: list[str]) -> None:
    """As with `| head`: the exit code of a broken pipe, and no message."""
    reader, writer = os.pipe()
    os.close(reader)

    done = run(tmp_path, *arguments, stdout=writer)
    os.close(writer)

    assert (141, "") == (done.returncode, done.stderr)


def test_closed_standard_output_does_not_change_the_command(tmp_path: Path) -> None:
    """`>&-`: the command still does its work."""
    command = " ".join([*CLI, "status --json >&-"])
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE
    )

    assert (0, b"") == (done.returncode, done.stderr)


def test_a_narrow_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    """No character is an error, and no part of an address is left out."""
    written(tmp_path, up())
    plain = {"PYTHONIOENCODING": "ascii", "COLUMNS": "50"}

    done = run(tmp_path, "status", stdout=subprocess.PIPE, **plain)

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.isascii()
    kept = "".join(c for c in done.stdout if c not in " \n|")
    assert ADDRESS in "".join(row.rpartition("|")[0].rpartition("|")[2].strip() for row in
                              done.stdout.splitlines()) or ADDRESS in kept  # fmt: skip


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text('{"name": "cu'),
    "list": lambda path: path.write_text("[]"),
    "fields": lambda path: path.write_text('{"name": "fields", "nodes": []}'),
    "types": lambda path: path.write_text(
        json.dumps(asdict(replace(up(), name="types")) | {"since": "yesterday"})
    ),
    "binary": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "loop": lambda path: path.symlink_to(path),
}


def test_damaged_state_files_are_reported_and_skipped(tmp_path: Path) -> None:
    """Each file is named; the stack that is up is seen, and none of them is removed."""
    good = written(tmp_path, up())
    for name, damage in DAMAGES.items():
        damage(good.with_name(f"{name}.json"))

    status = cli(tmp_path, "status")
    stale = cli(tmp_path, "down", "--stale")
    doctor = cli(tmp_path, "doctor", "--json")
    start = cli(tmp_path, "up")

    assert (0, 0, 2) == (status.returncode, stale.returncode, start.returncode)
    (state,) = [each for each in json.loads(doctor.stdout) if each["subject"] == "state"]
    assert "stack 'default' on processes" in status.stdout
    assert "warning" == state["verdict"]
    for name in DAMAGES:
        file = good.with_name(f"{name}.json")
        for told in (status.stderr, stale.stderr, start.stderr):
            assert 1 == told.count(f"warning: the state file {file} is damaged")
        assert str(file) in state["fact"]
        assert os.path.lexists(file)


def test_a_state_folder_that_cannot_be_used(mini: Path) -> None:
    """A prerequisite: exit code 3 before anything is started."""
    (mini / "state").write_text("a file")

    done = cli(mini, "up")

    assert 3 == done.returncode
    assert f"the state folder {mini / 'state'} cannot be used" in done.stderr
    assert "DAPR_HARNESS_STATE_DIR" in done.stderr
    (mini / "state").unlink()


def test_a_state_file_that_cannot_be_written_leaves_none(tmp_path: Path) -> None:
    """Neither a half one, nor what was written aside."""
    registry = Registry(tmp_path / "state")
    registry.file("x").mkdir(parents=True)

    with pytest.raises(Unavailable, match="cannot be used"):
        registry._write(up("x"))

    assert ["x.json"] == [each.name for each in registry.folder.iterdir()]


def test_uptime_is_right_after_the_clock_was_set_back(tmp_path: Path) -> None:
    """Time since the start is what passed, and never negative."""
    stack = replace(up(), since=time.time() + 7196, booted=since_boot() - 5)
    old = replace(stack, booted=0.0)
    written(tmp_path, stack)

    (row,) = json.loads(cli(tmp_path, "status", "--json").stdout)

    assert 5 <= row["up_for"] < 3600
    assert 0 == old.up_for


def test_a_reused_pid_is_not_taken_for_the_supervisor(tmp_path: Path) -> None:
    """Its supervisor started at another time: it is gone, and its file with it."""
    file = written(tmp_path, replace(up(), born="1"))

    assert [] == json.loads(cli(tmp_path, "status", "--json").stdout)
    done = cli(tmp_path, "down")

    assert (2, True) == (done.returncode, "no stack named 'default' is up" in done.stderr)
    assert not file.exists()


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    """A sentence, with the way out."""
    script = f"cd {project(tmp_path / 'gone', a_txt='')} && rm -r ../gone && {' '.join(CLI)} status"
    done = subprocess.run(
        ["sh", "-c", script], env=environment(tmp_path), capture_output=True, text=True
    )

    assert 2 == done.returncode
    assert "the working folder no longer exists" in done.stderr


def test_a_bug_in_the_harness_keeps_its_traceback(tmp_path: Path) -> None:
    """What the machine refuses is a sentence; what we did wrong is to be found."""
    script = (
        "import sys; from harness.cli import commands\n"
        "def fail(*_, **__): raise OSError(int(sys.argv[1]), 'why', 'file')\n"
        "commands.program = lambda _: fail; sys.exit(commands.run())"
    )
    refused, ours = (
        subprocess.run([sys.executable, "-c", script, number], capture_output=True, text=True)
        for number in ("28", "22")
    )

    assert (3, "error: file cannot be used: why\n") == (refused.returncode, refused.stderr)
    assert "Traceback" in ours.stderr
