"""The rules of the repository, checked by machines."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import harness
from tests.support import ROOT

DRAWN = 58
"""The column at which the drawings of ARCHITECTURE.md begin to explain."""

SOURCES = sorted((ROOT / "harness").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
@pytest.mark.real
def test_linters_and_type_checkers_pass(command: list[str]) -> None:
    """Formatting, style, types, layers."""
    program = Path(sys.executable).parent / command[0]

    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_drawings_of_the_architecture_are_the_layers_that_are_checked() -> None:
    """Level by level, and nothing is left out: the layers are exhaustive."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    checked = [each for each in settings["contracts"] if each["type"] == "layers"]
    layers = [[set(re.split(" [|:] ", row)) for row in each["layers"]] for each in checked]
    drawings = (ROOT / "ARCHITECTURE.md").read_text().split("```\n")[1:6:2]
    drawn = [
        [set(re.findall(r"(\w+)(?:/|\.py)", row[:DRAWN])) for row in drawing.splitlines()]
        for drawing in drawings
    ]

    assert layers == drawn
    assert all(each["exhaustive"] for each in checked)


def test_the_public_names_are_those_that_are_typed() -> None:
    """The lazy table and the imports for type checkers agree, and every name can be had."""
    tree = ast.parse((ROOT / "harness" / "__init__.py").read_text())
    typed = {
        (alias.name, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness.")
        for alias in node.names
    }

    assert typed == {(name, f"harness.{home}") for name, home in harness._HOMES.items()}
    assert harness.__all__ == sorted(harness.__all__)
    assert all(getattr(harness, name) for name in harness.__all__)


def test_importing_the_package_and_the_plugin_loads_nothing_heavy() -> None:
    """`pytest --collect-only` stays fast."""
    script = "import sys, harness, harness.pytest_plugin; print(*sys.modules)"

    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    heavy = {"confluent_kafka", "psycopg", "httpx", "typer", "rich", "yaml", "docker", "locust",
             "pydantic", "psutil", "packaging", "dotenv", "jsonschema"}  # fmt: skip
    assert heavy & set(seen.stdout.split()) == set()


def test_every_public_name_can_be_imported_without_the_extras() -> None:
    """An extra is missed when it is used, not when a topology is written or a command is run."""
    script = """
import sys, importlib, harness
class Refused:
    def find_spec(self, name, *_):
        if name in absent:
            raise ModuleNotFoundError(f"No module named {name!r}")
absent = set(sys.argv[1:])
sys.meta_path.insert(0, Refused())
for module in ("harness.cli.commands", "harness.pytest_plugin", "harness.pytest_attach"):
    importlib.import_module(module)
for name in harness.__all__:
    getattr(harness, name)
"""
    optional = sorted(set(packages_distributions()) - _packages_of_an_installation_without_extras())
    assert {"grpc", "docker", "locust", "testcontainers"} <= {*optional}

    seen = subprocess.run(
        [sys.executable, "-c", script, *optional, "google.protobuf"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert (0, "") == (seen.returncode, seen.stderr)


def _packages_of_an_installation_without_extras() -> set[str]:
    """What can be imported, by the dependencies of the package and theirs."""
    wanted, found = ["dapr-harness"], set[str]()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return {
        package
        for package, names in packages_distributions().items()
        if found & {canonicalize_name(name) for name in names}
    }


def test_modules_have_at_most_350_lines() -> None:
    """350 lines is where a module is split."""
    long = [(path.name, n) for path in SOURCES if (n := len(path.read_text().splitlines())) > 350]

    assert long == []


def test_only_one_module_sleeps() -> None:
    """harness/core/deadline.py; services and scenarios do not sleep at all."""
    calls = re.compile(r"(?<!def )\b(time|asyncio)\.sleep\(")
    places = {
        str(path.relative_to(ROOT))
        for room in ("harness", "services", "scenarios", "tests")
        for path in (ROOT / room).rglob("*.py")
        if calls.search(path.read_text())
    }

    assert places == {"harness/core/deadline.py"}


NOT_NODES = {
    "config",
    "error",
    "errors",
    "import_module(f'harness.{_HOMES[name]}')",
    "module",
    "request",
    "time",
}
"""What modules that know nodes may ask for an attribute that is perhaps missing."""


def test_what_a_node_can_do_is_typed() -> None:
    """Modules that know nodes ask none of them for an attribute that it may not have."""
    knows = re.compile(r"^\s*from harness\.(nodes|core\.(node|roles|topology))\b", re.MULTILINE)
    asked = {
        ast.unparse(call.args[0])
        for path in SOURCES
        if knows.search(text := path.read_text())
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("getattr", "hasattr")
    }

    assert asked == NOT_NODES


@pytest.mark.parametrize("suffix", ["-daprd", "-inbox", "-calls"])
def test_one_module_spells_the_names_of_sidecars_and_recorders(suffix: str) -> None:
    """Everybody else asks the topology, or harness/core/names.py."""
    places = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for part in ast.walk(ast.parse(path.read_text()))
        if isinstance(part, ast.Constant) and str(part.value).startswith(suffix)
    }

    assert places == {"harness/core/names.py"}


def test_every_command_and_exit_code_is_in_the_docs() -> None:
    """What a newcomer can type."""
    from harness.cli.commands import app

    page = (ROOT / "docs" / "cli.md").read_text()
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]

    assert [] == [name for name in names if not re.search(rf"`(dapr-harness )?{name}\b", page)]
    assert all(f"{code} " in page for code in (0, 1, 2, 3, 4, 130))


def test_every_ignored_finding_has_its_reason() -> None:
    """A bare `type: ignore` or `noqa` explains nothing."""
    bare = re.compile(r"# (type: ignore(\[[\w, -]+\])?|noqa(: [A-Z0-9, ]+)?)\s*$", re.MULTILINE)
    places = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for room in ("harness", "services", "scenarios")
        for path in (ROOT / room).rglob("*.py")
        for match in bare.finditer(path.read_text())
    ]

    assert places == []


AMONG, RANGE = (ast.In, ast.NotIn), (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.NotEq)
STATUS = re.compile(r"([\w.()]+\.)?status(_code)?")
ANY_DESCRIBED = (
    "scenarios/test_schemathesis.py: answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR"
)
"""Requests by chance: the description of the operation says which statuses are right."""


def loose(source: str) -> list[str]:
    """The assertions that more than one status passes."""
    return [
        ast.unparse(each.test)
        for each in ast.walk(ast.parse(source))
        if isinstance(each, ast.Assert)
        and isinstance(each.test, ast.Compare)
        and _is_loose(each.test)
    ]


def _is_loose(test: ast.Compare) -> bool:
    if isinstance(test.ops[0], AMONG):
        compared = [test.left]
    else:
        compared = [test.left, *test.comparators] * isinstance(test.ops[0], RANGE)
    return any(STATUS.fullmatch(ast.unparse(each)) for each in compared)


def test_an_assertion_of_a_status_names_the_one_that_is_right() -> None:
    """A collection or a range also passes when the right status becomes a wrong one."""
    places = [
        f"{path.relative_to(ROOT)}: {text}"
        for room in ("scenarios", "tests")
        for path in sorted((ROOT / room).rglob("*.py"))
        for text in loose(path.read_text())
    ]

    assert [ANY_DESCRIBED] == places


@pytest.mark.parametrize(
    ("assertion", "is_loose"),
    [
        ("status in (404, 422)", True),
        ("answer.status_code in {200, 201}", True),
        ("500 <= status", True),
        ("answer.status_code != 200", True),
        ("404 == answer.status_code", False),
        ("[403, 401] == [each.status_code for each in answers]", False),
        ("count in (1, 2)", False),
    ],
)
def test_the_rule_of_statuses_knows_a_loose_assertion(assertion: str, is_loose: bool) -> None:
    """Inside a test, with a message or without."""
    assert [assertion] * is_loose == loose(f"def test_x():\n    assert {assertion}, 'why'\n")


def test_the_wheel_has_the_modules_that_the_reference_topology_imports() -> None:
    """The demo plays on it wherever the wheel is installed, without this repository."""
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    files = packed["targets"]["wheel"]["force-include"]
    tree = ast.parse((ROOT / "scenarios" / "topology.py").read_text())
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported = {f"{each.replace('.', '/')}.py" for each in names if each.startswith("scenarios.")}

    assert imported
    assert imported <= set(files)
