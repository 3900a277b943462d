"""What the README and the docs show can be used as it stands there."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

import harness
from harness.cli.commands import app
from tests.support import ROOT

DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PAGES = [page for page in DOCS if page.name != "CHANGELOG.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    text
    for name in ("apps.md", "kubernetes.md", "topology.md")
    for language, text in BLOCK.findall((ROOT / "docs" / name).read_text())
    if language == "python"
]


def name_of(page: Path) -> str:
    """The name of a page, for a test's id."""
    return page.stem


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in one of these languages; "" is a block without one."""
    return [text for language, text in BLOCK.findall(page.read_text()) if language in languages]


def command_lines(page: Path) -> list[str]:
    """The arguments of every `dapr-harness` command in the blocks of a page."""
    shell = "\n".join(blocks(page, "sh", ""))
    runs = re.findall(r"^\s+run: (.+)$", "\n".join(blocks(page, "yaml")), re.MULTILINE)
    lines = [*shell.splitlines(), *runs]
    return [line.removeprefix("dapr-harness ") for line in lines if line[:13] == "dapr-harness "]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_docs_is_a_valid_description(text: str) -> None:
    """Every argument is there, and the nodes make a topology."""
    made = eval(text, {name: getattr(harness, name) for name in harness.__all__})

    assert isinstance(made if isinstance(made, harness.Topology) else harness.Topology(made),
                      harness.Topology)  # fmt: skip


COMMANDS = sorted({line for page in PAGES for line in command_lines(page)})


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_docs_is_accepted(line: str) -> None:
    """The command is there, with these arguments and options."""
    words = shlex.split(line, comments=True)
    # A usage line: `restart|kill NODE` stands for one command each.
    for first in words[0].split("|"):
        _accept([first, *words[1:]])


def _accept(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    name = "dapr-harness"
    while isinstance(command, TyperGroup):
        name, *words = words
        assert name in command.commands
        command = command.commands[name]
    assert command.make_context(name, list(words)).params


def test_there_are_commands_in_the_docs() -> None:
    """The pages are found and read; otherwise the test above would check nothing."""
    assert {"up", "lint", "doctor", "render", "provision"} <= {line.split()[0] for line in COMMANDS}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_in_a_sentence_exists(page: Path) -> None:
    """`dapr-harness NAME` between backquotes."""
    command: Any = typer.main.get_command(app)
    named = set(re.findall(r"`dapr-harness ([a-z0-9]+)", page.read_text()))

    assert set() == named - set(command.commands)


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_every_link_leads_to_a_file(page: Path) -> None:
    """Relative links only; addresses on the network are not fetched."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [each for each in targets if "://" not in each and not (page.parent / each).exists()]

    assert [] == missing


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    """By one link."""
    text = (ROOT / "README.md").read_text()

    assert [] == [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in text]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_in_the_docs_can_be_parsed(page: Path) -> None:
    """Python (with await at the top level), YAML and TOML."""
    for text in blocks(page, "python"):
        compile(text, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for text in blocks(page, "yaml"):
        assert yaml.safe_load(text)
    for text in blocks(page, "toml"):
        assert tomllib.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_an_option_of_the_plugin_in_the_docs_exists(page: Path) -> None:
    """`--dapr-NAME` is one of pytest's, or of a command."""
    source = "".join(
        file.read_text()
        for file in [*(ROOT / "harness").glob("pytest_*.py"), *(ROOT / "harness/cli").glob("*.py")]
    )
    named = set(re.findall(r"--dapr-(?!http|grpc)[a-z]+(?:-[a-z]+)*", page.read_text()))

    assert set() == {each for each in named if f'"{each}"' not in source}


def test_the_sections_of_the_readme_are_in_order() -> None:
    """What it does and a proof, installation, CI, a failing test, matching, time, where to go."""
    titles = re.findall(r"^## (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert [
        "See it work in 60 seconds",
        "Install it in your own project",
        "Run it in CI",
        "What a failing test prints",
        "How probes match",
        "How to test next month",
        "Where to go next",
        "Known limits",
    ] == titles


def test_the_steps_of_the_troubleshooting_page_are_the_harness_own() -> None:
    """What `doctor` proposes is shown in its words."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    source = "".join(file.read_text() for file in (ROOT / "harness").rglob("*.py"))
    shown = [each.split("`")[0].strip() for each in re.findall(r"fix: (.+)", page)]

    assert len(shown) >= 4
    assert [] == [each for each in shown if each not in source]


def test_the_docs_have_an_example_of_each() -> None:
    """Processes, protocols, health, order, reload, debugging."""
    shown = "\n".join(EXAMPLES)
    wanted = ("Process(", "app-protocol", "health=", "after_sidecar=", "--reload", "debugpy")

    assert [] == [word for word in wanted if word not in shown]
