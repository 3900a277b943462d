"""What the suite's own conftest.py promises: skips, what to run first, a clean environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import engine_obstacle
from tests.support import PYTEST, ROOT

HAND_ON = """
import os
def test_x(): assert [] == [name for name in os.environ if name in {names!r}]
"""


PROVISION = """
from pathlib import Path
from harness.core.errors import Unavailable

def provide(settings, progress, *, helm, kubernetes, images):
    given = f"helm: {helm}, kubernetes: {kubernetes}, images: {sorted(images)}"
    Path("provided.txt").write_text(given)
    if Path("refuse.txt").exists():
        raise Unavailable("no Go")
"""
"""A stand-in for tests/provision.py, which would build for minutes."""

SUITE = """
import pytest
from pathlib import Path

@pytest.fixture
def helm(): pass

@pytest.fixture
def api_server(): pass

@pytest.fixture
def images(): pass

@pytest.fixture
def redpanda(images): pass

def provided(helm, *images, kubernetes=False):
    given = f"helm: {helm}, kubernetes: {kubernetes}, images: {[*images]}"
    return given == Path("provided.txt").read_text()

@pytest.mark.real
def test_chart(helm): assert provided(True)

@pytest.mark.real
def test_cluster(api_server): assert provided(False, kubernetes=True)

@pytest.mark.real
def test_stack(): assert provided(False)

@pytest.mark.real
def test_engine(images): assert provided(False, "app", "kafka")

@pytest.mark.real
@pytest.mark.parametrize("runtime", ["containers"])
def test_runtime(runtime): assert provided(False, "app", "kafka")

@pytest.mark.real
def test_broker(redpanda): assert provided(False, "app", "kafka", "redpanda")

def test_unit(): assert not Path("provided.txt").exists()
"""


def provisioned(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run some of a suite that has this conftest.py."""
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (folder / "tests" / "__init__.py").write_text("")
    (folder / "tests" / "provision.py").write_text(PROVISION)
    (folder / "tests" / "engine.py").write_text('NEEDED = ("app", "kafka")')
    (folder / "test_x.py").write_text(SUITE)
    return subprocess.run(
        [*PYTEST, "-vrA", *arguments],
        cwd=folder, env={"PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "test_chart",
        "test_cluster",
        "test_stack",
        "test_engine",
        "test_runtime",
        "test_broker",
        "test_unit",
    ],
)
def test_what_the_chosen_tests_need_is_provided_before_the_first(tmp_path: Path, name: str) -> None:
    """Helm for a test of the chart, images for one of the engine; nothing for those not real."""
    done = provisioned(tmp_path, f"test_x.py::{name}")

    assert 0 == done.returncode, done.stdout
    assert "1 passed" in done.stdout


def test_what_cannot_be_provided_ends_the_suite_before_the_first_test(tmp_path: Path) -> None:
    """With the reason, and the exit code of a prerequisite."""
    (tmp_path / "refuse.txt").write_text("")

    done = provisioned(tmp_path)

    assert 3 == done.returncode, done.stdout
    assert "what the tests need cannot be installed: no Go" in done.stdout + done.stderr
    assert "passed" not in done.stdout


@pytest.mark.parametrize(
    ("ci", "call", "mark", "code"),
    [
        ("true", "skip", "", 1),
        ("", "skip", "", 0),
        ("true", "xfail", "", 1),
        ("true", "skip", "@pytest.mark.escape", 1),
        ("true", "xfail", "@pytest.mark.escape", 0),
    ],
)
def test_a_skip_that_is_not_named_fails_on_ci(
    tmp_path: Path, ci: str, call: str, mark: str, code: int
) -> None:
    """And passes elsewhere; an escape that fails as it must has run, and is none."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    test = f"import pytest\n{mark}\ndef test_x(): pytest.{call}('no reason')\n"
    (tmp_path / "test_x.py").write_text(test)

    done = subprocess.run(
        [*PYTEST, str(tmp_path)],
        cwd=tmp_path, env={"CI": ci, "PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == code, done.stdout


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("the image redpanda can be had from its registry only", 0),
        ("no container engine answers", 1),
    ],
)
def test_a_skip_that_is_named_passes_on_ci_for_its_reason_only(
    tmp_path: Path, reason: str, code: int
) -> None:
    """The image of Redpanda may be missing there; an engine may not."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    name = "test_the_scenarios_pass_on_redpanda"
    test = f'import pytest\ndef {name}(): pytest.skip("{reason}")\n'
    (tmp_path / "test_x.py").write_text(test)

    done = subprocess.run(
        [*PYTEST, str(tmp_path)],
        cwd=tmp_path, env={"CI": "true", "PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == code, done.stdout


ABSENT = """
import pytest

@pytest.fixture(scope="session")
def engine(): pytest.skip("no engine answers")

@pytest.fixture
def browser(): pytest.skip("no browser")

@pytest.fixture
def contained(engine): pass
"""
NEEDY = """
import pytest

@pytest.mark.parametrize("n", range(10))
def test_engine(engine, n): pass

def test_contained(contained): pass

def test_page(browser): pass

@pytest.mark.skip(reason="marked")
def test_marked(): pass

def test_there(): pass
"""


def test_what_is_absent_is_summed_up_in_a_line_with_the_number_of_its_tests(tmp_path: Path) -> None:
    """An engine, a browser: not a line for each test, of which there are dozens."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(ABSENT)
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / "tests" / name).write_text(NEEDY)

    options = ["--import-mode=importlib", "-rs"]
    done = subprocess.run(
        [*PYTEST, *options],
        cwd=tmp_path, env={"PATH": "/usr/bin", "COLUMNS": "200"}, capture_output=True, text=True,
    )  # fmt: skip

    said = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert {
        "SKIPPED [22] tests/conftest.py:5: no engine answers",
        "SKIPPED [2] tests/conftest.py:8: no browser",
        "SKIPPED [1] tests/test_a.py:11: marked",
        "SKIPPED [1] tests/test_b.py:11: marked",
    } == set(said), done.stdout
    assert "2 passed, 26 skipped" in done.stdout


def test_options_of_this_pytest_do_not_reach_those_that_tests_start(tmp_path: Path) -> None:
    """They have been read. The only option of those is not to shuffle, where that is installed."""
    variables = {
        "PYTEST_ADDOPTS": "-v --color=no", "PYTEST_PLUGINS": "pytester", "PYTEST_THEME": "x",
    }  # fmt: skip
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "test_x.py").write_text(
        HAND_ON.format(names=["PYTEST_PLUGINS", "PYTEST_THEME"])
        + 'def test_y(): assert "-p no:randomly" == os.environ["PYTEST_ADDOPTS"]\n'
    )

    done = subprocess.run(
        [*PYTEST, str(tmp_path)],
        cwd=tmp_path, env={"PATH": "/usr/bin", **variables}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert "test_x.py::test_x PASSED" in done.stdout, "these options did not reach this pytest"


def test_variables_of_make_do_not_reach_those_that_tests_start(tmp_path: Path) -> None:
    """Neither its own nor those of the Makefile: given on its command line, make exports them."""
    own = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    names = sorted({*own, "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES"})
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "test_x.py").write_text(HAND_ON.format(names=names))
    run = f"{sys.executable} -m pytest -p no:cacheprovider {tmp_path}"
    (tmp_path / "Makefile").write_text(f"x:\n\t@{run}\n")

    done = subprocess.run(
        ["make", "x", *(f"{name}=given" for name in own)],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
    )  # fmt: skip

    assert "RUNTIMES" in own
    assert done.returncode == 0, done.stdout


def test_without_its_packages_one_line_says_what_to_run_first(tmp_path: Path) -> None:
    """As after `make demo`, which installs less."""
    text = (ROOT / "conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(text.replace("NEEDED = (", 'NEEDED = ("no_such_one", '))
    (tmp_path / "test_x.py").write_text("def test_x(): pass\n")

    done = subprocess.run(
        [*PYTEST, str(tmp_path)],
        cwd=tmp_path, env={"PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert 4 == done.returncode
    (line,) = [each for each in done.stderr.splitlines() if each]
    assert "run `make unit` or `make test` first" in line
    assert "missing: no_such_one" in line


def test_without_an_engine_the_reason_of_a_skip_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest then reports it once, with the number of tests."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nowhere.sock'}")

    obstacle = engine_obstacle()

    assert "no container engine answers" in obstacle
    assert 1 == len(obstacle.splitlines())


RUNTIMES = """
import pytest

@pytest.mark.any_runtime
def test_service(dapr_runtime): pass

def test_stack(dapr_runtime): pass
"""


@pytest.mark.parametrize(
    ("runtimes", "run"),
    [
        ("processes,containers", {"service[processes]", "stack[processes]", "stack[containers]"}),
        ("containers", {"service", "stack"}),
    ],
)
def test_what_does_not_depend_on_the_runtime_runs_once(
    tmp_path: Path, runtimes: str, run: set[str]
) -> None:
    """On the first one, whichever it is."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = any_runtime: of this suite\n")
    (tmp_path / "test_x.py").write_text(RUNTIMES)

    done = subprocess.run(
        [*PYTEST, "-v", f"--dapr-runtime={runtimes}"],
        cwd=tmp_path, env={"PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert run == {*re.findall(r"test_x\.py::test_(\S+) PASSED", done.stdout)}, done.stdout
