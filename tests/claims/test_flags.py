"""Claims about command lines, asked of the programs themselves."""

from __future__ import annotations

import re
import subprocess

import pytest

from harness import Settings
from harness.provision.toolbox import Provisioner

pytestmark = pytest.mark.real


def ask(tool: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Dapr that ends by itself."""
    program = Provisioner(Settings.load()).path(tool)
    return subprocess.run([str(program), *words], capture_output=True, text=True, timeout=20)


def default(tool: str, flag: str) -> str:
    """What a program says of a flag's default."""
    said = ask(tool, "--help")
    found = re.search(rf"--{flag} .*\(default ([^)]+)\)", said.stdout + said.stderr)
    assert found, said.stdout + said.stderr
    return found.group(1).strip('"')


@pytest.mark.parametrize(
    ("tool", "flag", "port"),
    [
        ("daprd", "dapr-http-port", "3500"),
        ("daprd", "dapr-grpc-port", "50001"),
        ("daprd", "metrics-port", "9090"),
        ("placement", "port", "50005"),
        ("scheduler", "port", "50006"),
    ],
)
def test_default_ports(tool: str, flag: str, port: str) -> None:
    """As the programs say themselves."""
    assert port == default(tool, flag)


@pytest.mark.parametrize(
    ("tool", "works"),
    [("daprd", True), ("placement", True), ("sentry", True), ("scheduler", False)],
)
def test_one_dash(tool: str, works: bool) -> None:
    """Three of them make two of it; the scheduler takes its letters for flags."""
    done = ask(tool, "-log-level=info", "--help")

    assert works == ("unknown shorthand" not in done.stderr)


def test_an_old_flag_is_taken() -> None:
    """--components-path is --resources-path; a flag that never was is refused."""
    old = ask("daprd", "--components-path", "somewhere", "--version")
    unknown = ask("daprd", "--component-folder", "somewhere", "--version")

    assert 0 == old.returncode
    assert "unknown flag" in unknown.stderr
