"""What commands import: each its own part, because every second of a start is felt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.commands import COMMANDS, GROUPS, app, program
from tests.support import environment

IMPORTED = """
import sys
from harness.cli.commands import run
code = run()
print(code, *sys.modules)
"""


def imported(folder: Path, *words: str) -> tuple[int, set[str]]:
    """The exit code of a command and the modules that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    code, *modules = done.stdout.splitlines()[-1].split()
    return int(code), {*modules}


HEAVY = {"asyncio", "confluent_kafka", "httpx", "psycopg", "prometheus_client", "yaml"}
STARTING = {"harness.stack.stack", "harness.cli.watching", "harness.stack.world"}


LEFT_OUT = {
    "status": HEAVY | STARTING,
    "down --stale": HEAVY | STARTING,
    "up --help": HEAVY | STARTING,
    "logs --help": HEAVY | STARTING,
    "ledger --help": HEAVY | STARTING,
    "restart --help": {"confluent_kafka", "httpx", "harness.stack.world"},
}


@pytest.mark.parametrize("words", LEFT_OUT)
def test_a_command_does_not_import_what_only_others_need(tmp_path: Path, words: str) -> None:
    code, modules = imported(tmp_path, *words.split())

    assert 0 == code
    assert "harness.cli.commands" in modules
    assert LEFT_OUT[words] & modules == set()


def test_only_the_module_of_the_given_command_is_imported(tmp_path: Path) -> None:
    _, modules = imported(tmp_path, "lint", "--help")

    others = {f"harness.cli.{each}" for each in {*COMMANDS.values(), *GROUPS} - {"lint"}}
    assert "harness.cli.lint" in modules
    assert others & modules == set()


@pytest.mark.parametrize("words", [[], ["--help"], ["stats"]], ids=["none", "help", "unknown"])
def test_all_commands_are_there_for_help_and_for_suggestions(
    tmp_path: Path, words: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *words],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = done.stdout + done.stderr

    expected = ["status", "state", "restart"] if words == ["stats"] else [*COMMANDS, *GROUPS]
    assert [] == [name for name in expected if name not in said]


def test_every_command_is_a_function_of_its_module() -> None:
    """Under its own name, in the order of the table."""
    names = [each.callback.__name__ for each in app.registered_commands]
    groups = [each.typer_instance.info.name for each in app.registered_groups]

    assert ([*COMMANDS], [*GROUPS]) == (names, groups)


def test_a_program_with_one_command_is_still_called_by_its_name(tmp_path: Path) -> None:
    """typer would make it the program itself."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "status", "more"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert 2 == done.returncode
    assert "status [OPTIONS]" in done.stderr
    assert 1 == len(program(["status"]).registered_commands)
