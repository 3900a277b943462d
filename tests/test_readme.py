"""The wheel is built, installed into a fresh environment, and the README's example runs there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

from harness.core.settings import Settings
from harness.provision.store import Store
from tests.support import ROOT, environment, leftovers

pytestmark = pytest.mark.real

README = (ROOT / "README.md").read_text()
SHOWN = re.compile(r"```\w+\n# file: (\S+)\n(.*?)```", re.DOTALL)
FILES = dict(SHOWN.findall(README))
WORKFLOW = ".github/workflows/test.yml"
ON_CI = dict(SHOWN.findall((ROOT / "docs" / "ci.md").read_text()))
VARYING = re.compile(r"order-[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")
"""What differs from run to run: names, ids, ports, times, numbers of repetitions."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the built wheel in it.

    The wheel's dependencies are lent by a path file from the environment of this test, so that
    the suite runs without a network; dapr-harness itself comes from the wheel, which comes first.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    # By this environment's pip: a Python without ensurepip makes environments without one.
    venv.create(folder / "venv")
    binaries = folder / "venv" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(binaries / "python")]
    install = [*pip, "install", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    """Not the working copy."""
    where = "import harness; print(harness.__file__)"

    seen = subprocess.run(
        [str(installed / "python"), "-c", where], cwd=tmp_path, capture_output=True, text=True
    )

    assert seen.stdout.startswith(str(installed.parent))


def written(folder: Path) -> None:
    """Every file of the README, in an empty folder."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the README, with the wheel's environment first on the path."""
    env = {**environment(folder), "PYTHONPATH": "", "COLUMNS": "80"}
    first = {
        "pytest": [str(installed / "python"), "-m", "pytest"],
        "dapr-harness": [str(installed / "dapr-harness")],
    }[words[0]]
    return subprocess.run([*first, *words[1:]], cwd=folder, env=env, capture_output=True, text=True)


def test_the_readmes_example_passes_as_it_stands(installed: Path, tmp_path: Path) -> None:
    """Every file of it, in an empty folder, with plain `pytest`."""
    written(tmp_path)

    done = run(installed, tmp_path, "pytest", "-v")

    example = {"shop.py", "components/pubsub.yaml", "topology.py", "test_orders.py"}
    assert example | {"pyproject.toml", WORKFLOW} == set(FILES)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    assert [] == leftovers(tmp_path)


def test_the_steps_of_the_readmes_workflow_pass(installed: Path, tmp_path: Path) -> None:
    """All of them but the installation of packages, one after the other, as CI runs them."""
    written(tmp_path)
    steps = yaml.safe_load(FILES[WORKFLOW])["jobs"]["test"]["steps"]
    (install, *commands) = [shlex.split(each["run"]) for each in steps if "run" in each]

    done = [run(installed, tmp_path, *each) for each in commands]

    assert ["pip", "install"] == install[:2]
    assert [(0, each) for each in commands] == [
        (each.returncode, words) for each, words in zip(done, commands, strict=True)
    ], [each.stdout + each.stderr for each in done]
    assert 'tests="1"' in (tmp_path / "report.xml").read_text()
    assert [] == leftovers(tmp_path)


def carried_out(
    installed: Path, folder: Path, script: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """A step by the shell that CI uses, with the wheel's environment first on the path."""
    path = f"{installed}:{os.environ['PATH']}"
    env = {**environment(folder), "PYTHONPATH": "", "PATH": path, "COLUMNS": "80", **more}
    # Its packages are lent, and pytest's own script is not among them.
    pytest_ = f'pytest() {{ {installed / "python"} -m pytest "$@"; }}'
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", f"{pytest_}\n{script}"],
        cwd=folder, env=env, capture_output=True, text=True,
    )  # fmt: skip


def test_the_steps_of_the_docs_workflow_pass(installed: Path, tmp_path: Path) -> None:
    """With those that are for a failure, which keep what the stack did."""
    written(tmp_path)
    job = yaml.safe_load(ON_CI[".github/workflows/system.yml"])["jobs"]["test"]
    (install, *steps) = [each["run"] for each in job["steps"] if "run" in each]
    (kept,) = [each["with"]["path"] for each in job["steps"] if "upload" in each.get("uses", "")]

    done = [carried_out(installed, tmp_path, each) for each in steps]

    assert "pip install " == install[:12]
    assert [0] * len(steps) == [each.returncode for each in done], [
        each.stdout + each.stderr for each in done
    ]
    files = {each.name: each.read_text() for each in (tmp_path / kept).iterdir()}
    assert {"report.xml", "status.txt", "nodes.log", "doctor.txt"} == files.keys()
    assert 'tests="1"' in files["report.xml"]
    assert "POST /ship" in files["nodes.log"]
    for name in ("shop", "shop-daprd", "kafka"):
        assert name in files["status.txt"]
    assert re.search(r"^ok +shop-daprd", files["doctor.txt"], re.MULTILINE)
    assert [] == leftovers(tmp_path)


def test_the_script_of_the_docs_gitlab_job_passes(installed: Path, tmp_path: Path) -> None:
    """With its variables, but for where the folders are; each worker starts a stack."""
    written(tmp_path)
    job = yaml.safe_load(ON_CI[".gitlab-ci.yml"])["test"]
    (install, *script) = job["script"]
    assert {"DAPR_HARNESS_CACHE_DIR", "PIP_CACHE_DIR"} == job["variables"].keys()
    variables = {"DAPR_HARNESS_CACHE_DIR": str(Store(Settings.load().cache_dir).root)}

    done = carried_out(installed, tmp_path, "\n".join(script), **variables)

    assert "pip install " == install[:12]
    assert 0 == done.returncode, done.stdout + done.stderr
    assert 'tests="1"' in (tmp_path / job["artifacts"]["reports"]["junit"]).read_text()
    assert [] == leftovers(tmp_path)


def test_a_failing_test_prints_what_the_readme_shows(installed: Path, tmp_path: Path) -> None:
    """The mistake that it describes is made; each shown line is printed, but for what varies."""
    written(tmp_path)
    right, wrong = '(await request.json())["data"]["id"]', '(await request.json())["id"]'
    assert right in FILES["shop.py"]
    assert wrong in README
    (tmp_path / "shop.py").write_text(FILES["shop.py"].replace(right, wrong))
    (sample,) = re.findall(r"<!-- failing -->\n```\n(.*?)```", README, re.DOTALL)

    done = run(installed, tmp_path, "pytest", "--color=no")

    printed = [VARYING.sub("_", line.rstrip()) for line in done.stdout.splitlines()]
    # pytest cuts its summary to the width of the terminal, but not in CI.
    lines = [re.sub(r"( - .*)?\.\.\.$", "", line) for line in sample.splitlines()]
    shown = [VARYING.sub("_", line) for line in lines]
    missing = [line for line in shown if not any(each.startswith(line) for each in printed)]
    assert 1 == done.returncode, done.stdout + done.stderr
    assert [] == missing, done.stdout
    assert [] == leftovers(tmp_path)


def test_the_demo_plays_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The reference system is inside; its three stories pass and leave nothing."""
    env = {**environment(tmp_path), "PYTHONPATH": ""}

    done = subprocess.run(
        [str(installed / "dapr-harness"), "demo"],
        cwd=tmp_path, env=env, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 3
    assert [] == leftovers(tmp_path)
