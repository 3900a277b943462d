"""The lists of mutants are sound, and so is what runs them."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.__main__ import CAUGHT, DID_NOT_RUN, SURVIVED, _judged, copied
from tests.mutants.catalog import Mutant, chosen, read
from tests.support import ROOT

MUTANTS = read()
ADD = Mutant("x", "adds", "sums.py", "a + b", "a - b", ("test_sums.py::test_sum",))


def test_names_are_unique() -> None:
    """A name on the command line means one mutant."""
    counts = Counter(each.name for each in MUTANTS)

    assert [] == [name for name, count in counts.items() if count > 1]


def test_each_mutant_changes_one_place_that_exists() -> None:
    """Its text occurs exactly once in its file, and what replaces it is something else."""
    wrong = []
    for each in MUTANTS:
        try:
            same = each.applied((ROOT / each.file).read_text()) == (ROOT / each.file).read_text()
        except (OSError, ValueError) as error:
            wrong.append(f"{each.area}: {error}")
        else:
            wrong += [f"{each.area}: {each.name} changes nothing"] if same else []

    assert [] == wrong


def test_each_mutant_of_a_python_file_compiles() -> None:
    """What cannot be read turns every test red, and proves nothing."""
    wrong = []
    for each in (each for each in MUTANTS if each.file.endswith(".py")):
        try:
            ast.parse(each.applied((ROOT / each.file).read_text()))
        except SyntaxError as error:
            wrong.append(f"{each.area}: {each.name}: {error}")

    assert [] == wrong


def test_each_mutant_is_caught_or_equivalent() -> None:
    """One of both, not neither and not both."""
    assert [] == [each.name for each in MUTANTS if bool(each.caught_by) == bool(each.equivalent)]


def test_each_test_that_catches_a_mutant_exists() -> None:
    """In the file that its id names, as a function or as a method of a class."""
    wrong = []
    for each in MUTANTS:
        for test in each.caught_by:
            path, _, name = test.partition("[")[0].partition("::")
            if not (ROOT / path).is_file() or name not in _tests_of(ROOT / path):
                wrong.append(f"{each.area}: {each.name}: {test}")

    assert [] == wrong


@cache
def _tests_of(path: Path) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if _is_function(each)}  # type: ignore[attr-defined]  # looked at by _is_function
        elif _is_function(node):
            found.add(node.name)  # type: ignore[attr-defined]  # looked at by _is_function
    return found


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        ("def test_sum():\n    assert add(1, 1) == 2", CAUGHT),
        ("def test_sum():\n    assert add(1, 0) == 1", SURVIVED),
        ("def test_other():\n    pass", DID_NOT_RUN),
        ("def test_sum():\n    import pytest; pytest.skip('not here')", DID_NOT_RUN),
        ("import nothing_of_this_name\ndef test_sum():\n    assert not add(1, 1)", DID_NOT_RUN),
    ],
    ids=["caught", "survived", "missing", "skipped", "not-importable"],
)
def test_a_test_is_judged_by_whether_it_turned_red(tmp_path: Path, test: str, verdict: str) -> None:
    """A test that did not run has not caught anything."""
    project = _project(tmp_path, test)

    assert [verdict] == list(_judged(project, ADD, baseline=False))
    assert "a + b" in (project / "sums.py").read_text()


def test_a_fixture_that_is_cut_off_catches_nothing(tmp_path: Path) -> None:
    """By the time limit of its test, which covers its fixtures too."""
    test = """import pytest, threading

@pytest.fixture
def stack():
    threading.Event().wait()

@pytest.mark.timeout(0.5)
def test_sum(stack):
    assert add(1, 1) == 2
"""

    assert [DID_NOT_RUN] == list(_judged(_project(tmp_path, test), ADD, baseline=False))


@pytest.mark.parametrize("error", ["AppFailed", "NotReady"])
def test_a_test_whose_stack_is_not_ready_catches_nothing(tmp_path: Path, error: str) -> None:
    """The system's fault or the harness's: a busy machine does it without a mutant."""
    fixture = f"""import pytest
from harness.core.errors import {error}

@pytest.fixture
def stack():
    raise {error}("app did not pass the readiness check 'port'", last="refused")

def test_sum(stack):
    assert add(1, 1) == 2
"""

    assert [DID_NOT_RUN] == list(_judged(_project(tmp_path, fixture), ADD, baseline=False))


def test_a_test_that_is_red_anyway_catches_nothing(tmp_path: Path) -> None:
    """The baseline says so."""
    project = _project(tmp_path, "def test_sum():\n    assert add(1, 1) == 3")

    assert [DID_NOT_RUN] == list(_judged(project, ADD, baseline=True))


def _project(folder: Path, test: str) -> Path:
    project = folder / "project"
    project.mkdir()
    (project / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    (project / "test_sums.py").write_text(f"from sums import add\n\n\n{test}\n")
    return project


def test_the_copy_has_what_git_knows_and_nothing_else() -> None:
    """Files that are new count, ignored ones do not, and the original is not touched."""
    before = (ROOT / "pyproject.toml").read_bytes()
    with copied(ROOT) as copy:
        (copy / "pyproject.toml").write_text("changed")

        assert (copy / "harness" / "__init__.py").is_file()
        assert not (copy / ".venv").exists()
    assert not copy.exists()
    assert before == (ROOT / "pyproject.toml").read_bytes()


def test_a_text_that_occurs_twice_is_refused() -> None:
    """Which of the two is meant would be a guess."""
    with pytest.raises(ValueError, match="occurs 2 times"):
        ADD.applied("a + b, a + b")


def test_a_name_that_no_mutant_has_is_refused() -> None:
    """A typing error must not run nothing and say that all is well."""
    with pytest.raises(ValueError, match="no such mutant or area: adss"):
        chosen([ADD], ["adss"], [])
