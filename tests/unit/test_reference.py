"""The tables of docs/reference.md: what they name is there, and has its test."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import pytest
import typer
import yaml

from harness.cli.commands import app as cli
from harness.dapr.client import DaprClient
from scenarios.topology import TOPICS, todo
from tests.services.routes import APPS, operations
from tests.support import ROOT

PAGE = (ROOT / "docs" / "reference.md").read_text()
PART = PAGE.partition("## The names of the design documents")[2].partition("\n## ")[0]
TABLES = {
    title: [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| document |")
    ]
    for title, text in re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", PART, re.DOTALL | re.MULTILINE)
}
ROWS = [row for rows in TABLES.values() for row in rows]
ENDPOINT = re.compile(r"`(GET|POST|PUT|DELETE) (/[^`]*)`( \(sidecar\))?")
NAMES: list[Mapping[str, Any]] = yaml.safe_load(
    (ROOT / "tests" / "unit" / "design_names.yaml").read_text()
)
"""All that the documents name: document, line, kind, name."""

TABLE_OF = {
    "service": "Services and topics", "topic": "Services and topics",
    "event": "Types of events",
    "endpoint": "Endpoints",
    "call": "Calls of Dapr's API",
    "component": "Components, jobs and state", "binding": "Components, jobs and state",
    "resource": "Components, jobs and state", "setting": "Components, jobs and state",
    "job": "Components, jobs and state", "key": "Components, jobs and state",
    "tool": "Components, jobs and state",
    "secret": "Secrets and variables", "variable": "Secrets and variables",
    "annotation": "Annotations",
    "command": "Commands",
    "workflow": "Workflows",
}  # fmt: skip
"""The title of the table that lists a kind of name."""

GROUP = re.compile(r"(?P<names>[^()]+) \((?P<documents>S\d(?: S\d)*)\)(?:, |$)")
"""Names, and the documents that have them; a cell has one or more of these."""


def named_in(cell: str) -> set[tuple[str, str]]:
    """Document and name, of each name in the first cell of a row; without backquotes, it is one."""
    found = list(GROUP.finditer(cell))
    assert cell == "".join(each[0] for each in found), cell
    return {
        (document, name)
        for each in found
        for name in re.findall(r"`([^`]+)`", each["names"]) or [each["names"]]
        for document in each["documents"].split()
    }


def functions_in(file: str) -> set[str]:
    """The names of a module's test functions."""
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_the_test_of_a_row_exists(row: list[str]) -> None:
    """One test for each, by file and name."""
    assert 4 == len(row)
    cited = re.fullmatch(r"`((?:scenarios|tests)/\S+\.py)::(test_\w+)`", row[3])

    assert cited is not None
    assert cited[2] in functions_in(cited[1])


@pytest.mark.parametrize("title", TABLES)
def test_a_table_has_the_names_of_the_documents_and_no_others(title: str) -> None:
    """Each with every document that has it, as one of the list."""
    listed = {(each["document"], each["name"]) for each in NAMES if TABLE_OF[each["kind"]] == title}
    rows = [named_in(row[0]) for row in TABLES[title]]

    assert listed
    assert listed == set().union(*rows)


def test_the_list_has_each_name_once_with_its_line() -> None:
    """All five documents are in it, and every kind that is told apart."""
    keys = [(each["document"], each["kind"], each["name"]) for each in NAMES]

    assert len(keys) == len(set(keys))
    assert {f"S{number}" for number in range(5)} == {each["document"] for each in NAMES}
    assert set(TABLE_OF) == {each["kind"] for each in NAMES}
    assert set(TABLE_OF.values()) == set(TABLES)
    lines = [each["line"] for each in NAMES]
    assert all(isinstance(line, int) and 0 < line < 1716 for line in lines)


def test_a_difference_has_its_reason() -> None:
    """Unless a name of the documents is the name here."""
    assert [] == [row[0] for row in ROWS if not row[2] and not names(row[0]) & names(row[1])]


def names(cell: str) -> set[str]:
    """What a cell has between backquotes."""
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_endpoint_is_in_the_openapi_document_or_for_the_sidecar_only() -> None:
    """As the table says."""
    described = {
        (verb.upper(), path)
        for app in APPS.values()
        for path, item in app.openapi()["paths"].items()
        for verb in item
    }
    hidden = {
        (verb, each.path)
        for app in APPS
        for each in operations(app)
        for verb in each.methods or ()
        if not each.include_in_schema
    }
    found = [match for row in TABLES["Endpoints"] for match in ENDPOINT.findall(row[1])]

    without = [row for row in TABLES["Endpoints"] if not ENDPOINT.findall(row[1])]
    assert ["nothing"] == [row[1] for row in without]
    assert [] == [
        (verb, path) for verb, path, sidecar in found
        if (verb, path) not in (hidden if sidecar else described)
    ]  # fmt: skip


def test_every_topic_component_app_and_type_exists() -> None:
    """By the word before its name; a type by its prefix."""
    here = "\n".join(row[1] for row in ROWS)
    files = [yaml.safe_load(each.read_text()) for each in (ROOT / "components").glob("*.yaml")]
    source = "".join(each.read_text() for each in (ROOT / "services").rglob("*.py"))
    types = set(re.findall(r"`(com\.taskmanager\.[\w.]+)`", here))

    topics = {each.partition(":")[0] for each in TOPICS}
    assert {"task-events", "reminders"} < set(re.findall(r"topic `([\w-]+)`", here)) <= topics
    assert set(re.findall(r"app `([\w-]+)`", here)) == set(APPS)
    components = {each["metadata"]["name"] for each in files if each["kind"] == "Component"}
    assert {"pubsub", "mail"} < set(re.findall(r"component `([\w-]+)`", here)) <= components
    assert "com.taskmanager.reminder.scheduled" in types
    changes = ("created", "updated", "completed", "deleted")
    known = {f"com.taskmanager.task.{change}" for change in changes}
    assert [] == [each for each in types if each not in known and f'"{each}"' not in source]
    paths = re.findall(r"`((?:components|services)/[\w./-]+)`", here)
    assert [] == [each for each in paths if not (ROOT / each).exists()]


def test_every_node_call_command_and_variable_exists() -> None:
    """By the word before its name, or its first word."""
    here = "\n".join(row[1] for row in ROWS)
    nodes = {each.name for each in todo(redis=True, mtls=True).nodes}
    files = [*ROOT.glob("components/**/*.yaml"), ROOT / "dapr.yaml", ROOT / "scenarios/topology.py"]
    files += [*ROOT.glob("scenarios/assistant/*.yaml"), *ROOT.glob("harness/nodes/*.py")]
    text = "".join(each.read_text() for each in files)
    program: Any = typer.main.get_command(cli)

    named = set(re.findall(r"node `([\w-]+)`", here))
    assert {"broker", "placement", "sentry"} < named <= nodes
    calls = re.findall(r"`sidecar\.(\w+)`", here)
    assert len(calls) > 10
    assert [] == [each for each in calls if not hasattr(DaprClient, each)]
    used = set(re.findall(r"`dapr-harness ([\w-]+)", here))
    assert {"up", "publish"} < used <= set(program.commands)
    variables = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", here)
    assert [] == [each for each in variables if each not in text]
