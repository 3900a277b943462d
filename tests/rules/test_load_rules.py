"""harness/load works for any project: it names nothing of the reference system."""

from __future__ import annotations

import ast
import re

from harness import App
from scenarios.topology import TOPICS, reference
from tests.support import ROOT


def own_names() -> set[str]:
    """The apps, topics and tables of the reference system, and the names in its load tests."""
    tables = {
        found
        for file in (ROOT / "services").rglob("*.py")
        for found in re.findall(r'__tablename__ = "(\w+)"', file.read_text())
    }
    apps = {node.name for node in reference.nodes if isinstance(node, App)}
    return apps | {topic.partition(":")[0] for topic in TOPICS} | tables | load_names()


def load_names() -> set[str]:
    """Every text that a user class of loadtests/ assigns to an attribute, but for plain words."""
    tree = ast.parse((ROOT / "loadtests" / "locustfile.py").read_text())
    texts = {
        each.value
        for user in ast.walk(tree)
        if isinstance(user, ast.ClassDef)
        for line in user.body
        if isinstance(line, ast.Assign)
        for each in ast.walk(line.value)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }
    return {each for each in texts if "-" in each or " " in each} | {"loadtests", "load-raw"}


def test_load_knows_no_application() -> None:
    """Neither an app, a topic, a table nor a request of the reference system is named."""
    names = own_names()
    assert {"backend-service", "task-events", "notifications", "page creates a task"} < names

    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in (ROOT / "harness" / "load").rglob("*.*")
        if file.suffix in (".py", ".j2")
        for name in names
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", file.read_text())
    }

    assert found == set()
