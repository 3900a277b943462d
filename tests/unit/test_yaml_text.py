"""YAML is read and written by libyaml with the results of PyYAML's own code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.dapr import yaml_text
from harness.dapr.resources import read_file

ROOT = Path(__file__).parents[2]
COMPONENTS = sorted((ROOT / "components").rglob("*.yaml"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=100),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)
DEEP = """
import sys, yaml
from harness.dapr import yaml_text
try:
    next(yaml_text.documents(sys.argv[1] * 100_000), None)
except (RecursionError, yaml.YAMLError):
    print("refused")
"""


def parts(node: yaml.Node | None) -> Iterator[tuple[Any, ...]]:
    """Every part of a document, with its line and column."""
    if node is not None:
        yield node.tag, node.start_mark.line, node.start_mark.column, str(node.value)[:0]
        for each in node.value if isinstance(node.value, list) else []:
            for below in each if isinstance(each, tuple) else [each]:
                yield from parts(below)
        if isinstance(node.value, str):
            yield (node.value,)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_committed_resources_are_read_as_by_pyyaml_alone() -> None:
    """Their lines too, which messages quote; by libyaml."""
    assert yaml_text._QUICK_LOADER is not yaml.SafeLoader
    for file in COMPONENTS:
        text = file.read_text()
        plain = [[*parts(each)] for each in yaml.compose_all(text, Loader=yaml.SafeLoader)]

        assert plain == [[*parts(each)] for each in yaml_text.documents(text)], file
        assert [each.text for each in read_file(file)] == [
            yaml.safe_dump(each.body, sort_keys=False) for each in read_file(file)
        ], file
    assert len(COMPONENTS) > 5


@given(VALUES)
def test_what_is_written_is_read_by_either_parser(value: Any) -> None:
    """Whatever the value is, as long as it is JSON."""
    text = yaml_text.dump(value)

    assert value == yaml_text.load(text) == yaml.safe_load(text)


def test_an_error_is_that_of_pyyaml_itself() -> None:
    """libyaml names the same mistake in other words, and at another place."""
    text = "a: [1, 2\nb: 3\n"
    with pytest.raises(yaml.YAMLError) as plain:
        list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    with pytest.raises(yaml.YAMLError) as own:
        list(yaml_text.documents(text))

    assert str(plain.value) == str(own.value)


@pytest.mark.parametrize("level", ["[", "{", "- ", "? ", "a: {"])
def test_too_many_levels_do_not_end_the_process(level: str) -> None:
    """libyaml's binding would, with SIGSEGV."""
    code = [sys.executable, "-c", DEEP, level]
    done = subprocess.run(code, capture_output=True, text=True, cwd=ROOT)

    assert (0, "refused") == (done.returncode, done.stdout.strip()), done.stderr[-500:]


def test_an_empty_text_has_no_document() -> None:
    """And no value."""
    assert [] == list(yaml_text.documents(""))
    assert yaml_text.load("") is None
