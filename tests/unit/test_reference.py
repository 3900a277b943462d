"""The tables of docs/reference.md: what they name is there, and has its test."""

from __future__ import annotations

import ast
import re

import pytest
import yaml

from scenarios.topology import TOPICS
from tests.services.routes import APPS, operations
from tests.support import ROOT

PAGE = (ROOT / "docs" / "reference.md").read_text()
PART = PAGE.partition("## The names of the design documents")[2].partition("\n## ")[0]
TABLES = {
    title: [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| document |")
    ]
    for title, text in re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", PART, re.DOTALL | re.MULTILINE)
}
ROWS = [row for rows in TABLES.values() for row in rows]
ENDPOINT = re.compile(r"`(GET|POST|PUT|DELETE) (/[^`]*)`( \(sidecar\))?")
NAMED = {
    "Services and topics": (
        "backend-service backend task-service notification-service recurring-task-service "
        "recurring-service user-service task-events reminders reminder-events task-updates "
        "notification-events"
    ),
    "Types of events": "reminder.due reminder.triggered reminder.scheduled task.created",
    "Endpoints": (
        "/dapr/subscribe /task-events /events/task /reminders /events/reminder/triggered "
        "/events/reminder/scheduled /events/reminder /events/notification /api/jobs/trigger "
        "/reminder-cron /reminder-scheduler /daily-cleanup /send-notification api/notifications "
        "/process-completion /health get_current_user"
    ),
    "Components, jobs and state": (
        "kafka-pubsub pubsub statestore reminder-cron reminder-scheduler daily-cleanup "
        "external-api sendgrid email-smtp kubernetes-secrets env-secrets local-secrets scheduler "
        "dapr-config BETTER_AUTH_SECRET"
    ),
    "Commands": "init run stop list logs invoke publish dashboard",
}
"""The documents' own names: none of them may be missing from the tables."""


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


@pytest.mark.parametrize("title", NAMED)
def test_every_name_of_the_documents_is_in_a_row(title: str) -> None:
    """As a name of a document, not only as ours."""
    said = " ".join(row[0] for row in TABLES[title])
    words = set(re.findall(r"[\w./{}-]+", said))

    assert [] == [name for name in NAMED[title].split() if name not in words]


def test_a_difference_has_its_reason() -> None:
    """Unless a name of the documents is the name here, or it is a command of another program."""
    rows = [row for title in TABLES if title != "Commands" for row in TABLES[title]]

    assert [] == [row[0] for row in rows if not row[2] and not names(row[0]) & names(row[1])]


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
    found = [match for row in ROWS for match in ENDPOINT.findall(row[1])]

    assert len(found) >= len(TABLES["Endpoints"])
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
