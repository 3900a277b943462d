"""Synchronous code is generated from asynchronous code; no scenario uses what is not public."""

from __future__ import annotations

import ast
import importlib.util
import re
from types import ModuleType

import pytest

from tests.support import ROOT


@pytest.fixture(scope="module")
def unasync() -> ModuleType:
    """The generator."""
    spec = importlib.util.spec_from_file_location("unasync_tool", ROOT / "tools" / "unasync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_module_is_what_the_generator_writes(unasync: ModuleType) -> None:
    """Otherwise run ``python tools/unasync.py``; what is changed by hand in a twin is lost then."""
    assert [] == unasync.outdated()


def test_a_twin_that_was_changed_by_hand_is_reported(
    unasync: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name."""
    source, target = "harness/probe/atable.py", "harness/probe/table.py"
    monkeypatch.setattr(unasync, "TWINS", {source: target})
    monkeypatch.setattr(unasync, "twin_of", lambda _: "something else")

    assert [target] == unasync.outdated()


def test_no_generated_module_awaits_anything(unasync: ModuleType) -> None:
    """Every asynchronous name has its counterpart."""
    kinds = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    wrong = [
        target
        for target in unasync.TWINS.values()
        if any(isinstance(node, kinds) for node in ast.walk(ast.parse((ROOT / target).read_text())))
        or re.search(r"\b(Async[A-Z]\w+|asyncio)\b", (ROOT / target).read_text())
    ]

    assert [] == wrong


def test_one_module_runs_blocking_calls_in_other_threads() -> None:
    """harness/core/blocking.py."""
    calls = re.compile(r"\bto_thread\(|\brun_in_executor\(")
    places = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "harness").rglob("*.py")
        if calls.search(path.read_text())
    }

    assert {"harness/core/blocking.py"} == places


def test_no_scenario_reaches_into_a_stack() -> None:
    """What a test needs has a public, typed name: no book, no instances, no ignored types."""
    inner = re.compile(r"\.(book|instances)\b|# type: ignore")
    places = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in sorted((ROOT / "scenarios").rglob("*.py"))
        for match in inner.finditer(path.read_text())
    ]

    assert [] == places
