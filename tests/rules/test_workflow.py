"""The repository's own workflow, and those of the docs: valid, and their commands work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs
import platformdirs.macos
import pytest
import yaml

from tests.mutants.__main__ import copied
from tests.provision import REQUIRED_IMAGES
from tests.support import ROOT, environment

OWN = ROOT / ".github" / "workflows" / "ci.yml"
WORKFLOW: Mapping[str, Any] = yaml.safe_load(OWN.read_text())
JOBS: Mapping[str, Any] = WORKFLOW["jobs"]
STEPS = {
    step["name"]: step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step
}

SKIPPED = {
    # step: why it does not run inside the suite
    "Install packages": "downloads everything that runs this test",
    "Install a browser": "installs a package of the machine, as root",
    "Install RabbitMQ": "likewise; tests/rules/test_tools.py runs its script",
}
PYTEST = ".venv/bin/python -m pytest --durations=10 --durations-min=1"

BY_COMMAND_LINE = {
    # step: what make runs; the suite does so itself, and must not do it twice
    "Check the style and the types": [
        ".venv/bin/ruff format --check .", ".venv/bin/ruff check .", ".venv/bin/mypy",
        ".venv/bin/lint-imports", ".venv/bin/python tools/unasync.py --check",
    ],
    "Run the unit tests": ['.venv/bin/python -m pytest -m "not real" tests'],
    "Run the suite": [
        ".venv/bin/python -m tests.provision",
        f"{PYTEST} --dapr-runtime=processes",
    ],
    "Run the scenarios": [
        ".venv/bin/python -m tests.provision", ".venv/bin/dapr-harness images build --pull",
        f"{PYTEST} --dapr-runtime=containers scenarios",
    ],
    "Run the tests of Redpanda": [
        ".venv/bin/python -m tests.provision", ".venv/bin/dapr-harness images build --pull",
        f"{PYTEST} --dapr-runtime=containers tests/contract/test_redpanda.py",
    ],
    "Run the demo": [".venv/bin/dapr-harness demo"],
}  # fmt: skip
NEED_AN_ENGINE = {"List the images"}

MAKE = 'make() { command make -o .venv/.installed -o .venv/.installed-demo "$@"; }'
"""The packages are here: the environment of this test is lent to the clone."""


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A clone of this repository as it is now, with this environment's packages."""
    with copied(ROOT) as folder:
        (folder / ".venv").symlink_to(sys.prefix)
        yield folder


def carried_out(clone: Path, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """A step, as the runner of GitHub carries it out; the clone's own modules are used."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", f"{MAKE}\n{script}"], cwd=clone,
        env=environment(folder, PYTHONPATH=str(clone)), capture_output=True, text=True,
    )  # fmt: skip


def validated(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    """A file, by a schema that comes with check-jsonschema; any request would fail."""
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)],
        env={**os.environ, **nowhere}, capture_output=True, text=True,
    )  # fmt: skip


def shown(page: str) -> Mapping[str, str]:
    """The files that a page shows, by name."""
    text = (ROOT / page).read_text()
    return dict(re.findall(r"```\w+\n# file: (\S+)\n(.*?)```", text, re.DOTALL))


GITHUB, TIMED = "vendor.github-workflows", "custom.github-workflows-require-timeout"
FILES = [
    ("ci.yml", OWN.read_text(), GITHUB),
    ("ci.yml", OWN.read_text(), TIMED),
    ("README", shown("README.md")[".github/workflows/test.yml"], GITHUB),
    ("README", shown("README.md")[".github/workflows/test.yml"], TIMED),
    ("docs", shown("docs/ci.md")[".github/workflows/system.yml"], GITHUB),
    ("docs", shown("docs/ci.md")[".github/workflows/system.yml"], TIMED),
    ("docs", shown("docs/ci.md")[".gitlab-ci.yml"], "vendor.gitlab-ci"),
]


@pytest.mark.parametrize(
    ("text", "schema"),
    [pytest.param(text, schema, id=f"{name}-{schema}") for name, text, schema in FILES],
)
def test_a_workflow_matches_the_schema_of_its_system(
    tmp_path: Path, text: str, schema: str
) -> None:
    """Without a network; each job has a time limit."""
    (tmp_path / "file.yml").write_text(text)

    done = validated(tmp_path / "file.yml", schema)

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("before", "after", "schema"),
    [
        ("runs-on:", "runs_on:", GITHUB),
        ("timeout-minutes:", "timeout:", GITHUB),
        ("    timeout-minutes: 45\n", "", TIMED),
    ],
)
def test_a_mistake_in_the_workflow_is_found(
    tmp_path: Path, before: str, after: str, schema: str
) -> None:
    """The schemas are those of workflows, and are applied."""
    assert before in OWN.read_text()
    (tmp_path / "file.yml").write_text(OWN.read_text().replace(before, after))

    done = validated(tmp_path / "file.yml", schema)

    assert 1 == done.returncode
    assert "Schema validation errors" in done.stdout


def test_every_step_is_accounted_for() -> None:
    """Steps of one name are the same in every job; the lists above name no step that is gone."""
    runs = [step for job in JOBS.values() for step in job["steps"] if "run" in step]
    known = {*SKIPPED, *BY_COMMAND_LINE, *NEED_AN_ENGINE}

    assert [] == [step for step in runs if STEPS[step["name"]] != step["run"]]
    assert set() == known - set(STEPS)
    assert {"Install the tools", "Look at the machine"} < set(STEPS) - known


RUN_HERE = sorted(set(STEPS) - {*SKIPPED, *BY_COMMAND_LINE, *NEED_AN_ENGINE})


@pytest.mark.real
@pytest.mark.parametrize("name", RUN_HERE)
def test_a_step_of_the_workflow_passes_in_a_fresh_clone(
    tmp_path: Path, clone: Path, name: str
) -> None:
    """Its script, by the shell that GitHub uses; git tracks everything that it needs."""
    done = carried_out(clone, tmp_path, STEPS[name])

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.real
@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("name", sorted(NEED_AN_ENGINE))
def test_a_step_that_needs_an_engine_passes_in_a_fresh_clone(
    tmp_path: Path, clone: Path, name: str
) -> None:
    """The same, where there is one."""
    done = carried_out(clone, tmp_path, STEPS[name])

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(BY_COMMAND_LINE))
def test_a_long_step_of_the_workflow_runs_these_commands(
    tmp_path: Path, clone: Path, name: str
) -> None:
    """What make would run is what the suite runs or tests elsewhere."""
    (first, *words) = shlex.split(STEPS[name])

    done = carried_out(clone, tmp_path, shlex.join([first, "--dry-run", *words]))

    assert "make" == first
    assert BY_COMMAND_LINE[name] == [line.strip() for line in done.stdout.splitlines()]


def with_environment(name: str) -> Sequence[str]:
    """The options that a job gives pytest by a variable."""
    variables = {**WORKFLOW["env"], **JOBS[name].get("env", {})}
    return shlex.split(variables["PYTEST_ADDOPTS"])


@pytest.mark.parametrize("name", sorted(JOBS))
def test_what_a_job_keeps_is_what_pytest_writes(name: str) -> None:
    """The report, if a step has failed; and what is left out by name is there."""
    options = dict(each.split("=") for each in with_environment(name))
    kept = [
        step for step in JOBS[name]["steps"]
        if step.get("uses", "").startswith("actions/upload-artifact@")
    ]  # fmt: skip

    assert {"--junitxml"} <= {*options} <= {"--junitxml", "--deselect"}
    assert all("failure()" == step["if"] for step in kept)
    assert [options["--junitxml"]] * len(kept) == [step["with"]["path"] for step in kept]
    assert (ROOT / options.get("--deselect", ".")).exists()
    assert len(kept) == (0 if name == "quick" else 1)


def test_what_one_job_leaves_out_another_one_runs_and_cannot_skip() -> None:
    """The tests of Redpanda: their job names the image that they need as one that it requires."""
    left_out = {
        option.partition("=")[2]
        for name in JOBS for option in with_environment(name) if option.startswith("--deselect=")
    }  # fmt: skip
    runs = {
        word.removeprefix("TESTS=")
        for name, job in JOBS.items() if "redpanda" in job.get("env", {}).get(REQUIRED_IMAGES, "")
        for step in job["steps"] for word in shlex.split(step.get("run", ""))
    }  # fmt: skip

    assert {"tests/contract/test_redpanda.py"} == left_out
    assert left_out <= runs


def test_the_report_that_a_job_keeps_is_written(tmp_path: Path) -> None:
    """By the variable alone, as `make` passes it on."""
    (tmp_path / "test_x.py").write_text("def test_x(): pass\n")
    env = environment(tmp_path, PYTEST_ADDOPTS=WORKFLOW["env"]["PYTEST_ADDOPTS"])

    subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, env=env, check=True,
        capture_output=True,
    )  # fmt: skip

    assert 'tests="1"' in (tmp_path / "report.xml").read_text()


def cached(workflow: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each cache of a workflow, with the machine that has it."""
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/cache@"):
                yield job["runs-on"], step["with"]


@pytest.mark.parametrize(
    "text",
    [text for _, text, schema in FILES if schema == GITHUB],
    ids=[name for name, _, schema in FILES if schema == GITHUB],
)
def test_the_folder_that_a_workflow_keeps_is_that_of_the_tools(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """On Linux and macOS; its key changes with files that are there."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    homes = {
        "ubuntu-latest": platformdirs.user_cache_path("dapr-harness", appauthor=False),
        "macos-latest": platformdirs.macos.MacOS("dapr-harness", appauthor=False).user_cache_path,
    }
    kept = list(cached(yaml.safe_load(text)))

    assert kept
    assert [] == [
        each["path"] for runner, each in kept
        if Path(each["path"].replace("~", "/home/me")) != homes[runner]
    ]  # fmt: skip
    named = {name for _, each in kept for name in re.findall(r"'([^']+)'", each["key"])}
    assert [] == [name for name in named if not list(ROOT.glob(name))]
