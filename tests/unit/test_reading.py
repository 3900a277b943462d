"""User files are read, or rejected with one sentence, whatever they contain."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from harness import ConfigError, Settings
from harness.core.reading import LONGEST, read_text
from harness.dapr.lint import check_resources
from harness.dapr.resources import for_app, read_file, read_resources
from harness.render.compose.project import read_env
from harness.runfile.read import read_runfile
from harness.runfile.topology import topology_of
from harness.stack.loading import load_topology
from tests.projects import COMPONENT
from tests.support import project


def folder(path: Path) -> None:
    path.mkdir()


def binary(path: Path) -> None:
    path.write_bytes(b"apiVersion: x\nkind: \xff\xfe\x00\n")


def loop(path: Path) -> None:
    path.symlink_to(path)


def large(path: Path) -> None:
    path.write_bytes(b"a: b\n" * (LONGEST // 5 + 1))


WRONG = {
    "folder": (folder, r"c\.yaml: is a folder"),
    "binary": (binary, r"c\.yaml:2: is not text\n(.|\n)*0xff"),
    "loop": (loop, r"c\.yaml: cannot be read\n(.|\n)*symbolic links"),
    "pipe": (os.mkfifo, r"c\.yaml: is a named pipe"),
    "large": (large, r"c\.yaml: is too large\n(.|\n)*1000 kB"),
    "gone": (lambda path: path.symlink_to("nowhere"), r"c\.yaml: cannot be read"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_not_text_is_one_sentence(tmp_path: Path, make: Any, message: str) -> None:
    """Nothing waits for the other end of a pipe, and nothing reads without an end."""
    make(tmp_path / "c.yaml")

    for read in (read_text, read_env, lambda path: list(read_file(path))):
        with pytest.raises(ConfigError, match=message):
            read(tmp_path / "c.yaml")
    with pytest.raises(ConfigError):
        read_runfile(tmp_path / "c.yaml")


def test_a_folder_named_like_a_component_file_is_skipped(tmp_path: Path) -> None:
    """As daprd does, which also reads suffixes in capitals; a link to a folder it fails at."""
    project(tmp_path, c_YAML=COMPONENT)
    (tmp_path / "d.yaml").mkdir()
    assert ["pubsub"] == [each.name for each in read_resources([tmp_path])]

    (tmp_path / "e.yaml").symlink_to("d.yaml")
    with pytest.raises(ConfigError, match=r"e\.yaml: is a folder"):
        read_resources([tmp_path])


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"c\.yaml:\d+: contains too many values"),
        ("a: &a [*a]\n", "nested too deeply"),
        ("a: &a {b: *a}\n", "nested too deeply"),
        ("a: " + "[" * 150 + "]" * 150, r"c\.yaml:1: is nested too deeply"),
        ("a: " + "[" * 5000 + "]" * 5000, r"c\.yaml: is nested too deeply"),
        ("on: 2026-13-45\n", r"(?s)a value cannot be read.*month"),
        ('a:\n- "b\\0"\n', r"c\.yaml:2: contains a NUL character"),
        ("a: !!int x\n", "a value cannot be read"),
        ("a: !!timestamp x\n", "a value cannot be read"),
        ("a: !!python/object:os.system x\n", r"c\.yaml:1: not valid YAML"),
        ("a: 1\n? [b, {c: d}]\n: e\n", r"c\.yaml:2: not valid YAML"),
        ("a: *nowhere\n", r"c\.yaml:1: not valid YAML"),
        ("just a text\n", r"c\.yaml:1: a resource is a mapping, not str"),
    ],
)
def test_pathological_yaml_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    """A few lines can stand for billions of values, or for an endless one."""
    project(tmp_path, c_yaml=text)

    with pytest.raises(ConfigError, match=message):
        list(read_file(tmp_path / "c.yaml"))


def test_aliases_in_reason_are_values(tmp_path: Path) -> None:
    """They stand for what was named, merged mappings included."""
    project(tmp_path, c_yaml="a: &a {b: 1}\nc: [*a, *a]\nd: {<<: *a, e: 2}\n")

    (found,) = read_file(tmp_path / "c.yaml")

    assert {"a": {"b": 1}, "c": [{"b": 1}] * 2, "d": {"b": 1, "e": 2}} == found.body


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    if path:
        yield path
    rows = dict(enumerate(value)) if isinstance(value, list) else value
    for key, each in rows.items() if isinstance(rows, dict) else ():
        yield from places(each, (*path, key))


def damaged(document: Any, place: tuple[Any, ...], value: Any) -> str:
    """The text of a document with something else at one place."""
    changed = copy.deepcopy(document)
    here = changed
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = value
    return str(yaml.safe_dump(changed))


SCALARS = st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats() | st.text(max_size=5)
PLAIN = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(SCALARS, SCALARS, max_size=2)
ANYTHING: st.SearchStrategy[Any] = PLAIN | st.lists(PLAIN, max_size=2)
RESOURCES = {
    "component": {
        **yaml.safe_load(COMPONENT), "auth": {"secretStore": "s"}, "scopes": ["app"],
    },
    "secret": {
        "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "s"},
        "spec": {"type": "secretstores.local.file", "version": "v1", "metadata": [
            {"name": "secretsFile", "value": "x.json"},
            {"name": "nestedSeparator", "secretKeyRef": {"name": "a", "key": "b"}}]},
    },
    "configuration": {
        "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "c"},
        "spec": {"features": [{"name": "HotReload", "enabled": True}]},
    },
    "subscription": {
        "apiVersion": "dapr.io/v2alpha1", "kind": "Subscription", "metadata": {"name": "x"},
        "spec": {"topic": "t", "pubsubname": "p", "routes": {"default": "/x"}},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RESOURCES)
@examples(max_examples=100, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_no_shape_of_a_resource_is_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """Anything anywhere in it: findings, or a sentence."""
    text = damaged(
        RESOURCES[name], data.draw(st.sampled_from([*places(RESOURCES[name])])), data.draw(ANYTHING)
    )
    root = project(tmp_path_factory.mktemp("r"), c_yaml=text, x_json='["a"]')

    with contextlib.suppress(ConfigError):
        resources = read_resources([root])
        check_resources(resources, ["app"], {}, root)
        for_app(resources, "app")


RUN_FILE = {
    "version": 1,
    "common": {"env": {"A": "b"}, "resourcesPath": "res", "appLogDestination": "file"},
    "apps": [
        {
            "appDirPath": "a", "appID": "x", "appPort": 8000, "daprHTTPPort": 3500,
            "metricsPort": 9090, "profilePort": 7777, "command": ["python3", "a.py"],
            "env": [{"A": 1}], "enableApiLogging": True, "resourcesPaths": ["../res"],
            "configFilePath": "x.yaml", "appMaxConcurrency": 3, "logLevel": "debug",
        }
    ],
}  # fmt: skip


@examples(max_examples=200, deadline=None, derandomize=True, database=None)
@given(place=st.sampled_from([*places(RUN_FILE)]), value=ANYTHING)
def test_no_shape_of_a_run_file_is_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    """Anything anywhere in it: a topology, or a sentence."""
    root = project(tmp_path_factory.mktemp("r"), a__x_yaml="kind: Configuration\n", res__c_txt="")
    project(root, dapr_yaml=damaged(RUN_FILE, place, value))

    with contextlib.suppress(ConfigError):
        topology_of(read_runfile(root / "dapr.yaml"))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("apps", 0, "appPort"), [8000], "a number up to 65535"),
        (("apps", 0, "daprHTTPPort"), 70000, "a number up to 65535"),
        (("apps", 0, "metricsPort"), {"a": 1}, "a number up to 65535"),
        (("apps", 0, "command"), "python3 a.py", "a list of words"),
        (("apps", 0, "env"), ["A=1"], "a mapping of names to texts"),
        (("common", "env"), {"A": {"B": 1}}, "a mapping of names to texts"),
        (("apps", 0, "resourcesPaths"), [["res"]], "a list of paths"),
    ],
)
def test_a_field_of_the_wrong_shape_is_named_with_its_line(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    """In a run file, which daprd never sees."""
    root = project(tmp_path, a__x_yaml="kind: Configuration\n", res__c_txt="")
    project(root, dapr_yaml=damaged(RUN_FILE, place, value))

    with pytest.raises(ConfigError, match=rf"(?s)dapr\.yaml:\d+: .*expected: {message}"):
        read_runfile(root / "dapr.yaml")


def test_ports_0_and_minus_1_and_empty_fields_count_as_unset(tmp_path: Path) -> None:
    """As in the Dapr CLI: 0 and -1 choose a free port; an empty value is not the text None."""
    root = project(tmp_path, a__x_yaml="kind: Configuration\n", res__c_txt="")
    text = damaged(RUN_FILE, ("apps", 0, "daprHTTPPort"), -1).replace(
        "logLevel: debug", "logLevel:"
    )
    project(root, dapr_yaml=text.replace("appPort: 8000", "appPort: 0"))

    (app,) = read_runfile(root / "dapr.yaml").apps

    assert (None, {"metrics": 9090}) == (app.port, app.ports)
    assert "log-level" not in app.flags


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("raises", "raise RuntimeError('no luck')", r"RuntimeError: no luck at .*raises\.py:3"),
        ("looks", "{}['key']", r"KeyError: 'key' at .*looks\.py:3"),
        ("exits", "sys.exit(0)", r"SystemExit: 0 at .*exits\.py:3"),
        ("groups", "raise ExceptionGroup('g', [ValueError()])", "ExceptionGroup: g"),
        ("is_no_python", "def f(:", r"SyntaxError: .*is_no_python\.py, line 3"),
    ],
)
def test_any_exception_of_a_topology_module_is_one_sentence(
    tmp_path: Path, name: str, body: str, message: str
) -> None:
    """With the line of the module."""
    project(tmp_path, **{f"{name}_py": f"import sys\n\n{body}\n"})

    with pytest.raises(ConfigError, match=message):
        load_topology(Settings.load(tmp_path, {}, topology=f"{name}:x"))


def test_the_name_of_a_topology_module_may_contain_a_dash(tmp_path: Path) -> None:
    """It can be imported, though not by an import statement."""
    (tmp_path / "my-topology.py").write_text("from harness import Topology\nx = Topology()\n")

    assert () == load_topology(Settings.load(tmp_path, {}, topology="my-topology:x")).nodes


def test_output_of_a_topology_module_is_not_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--json` stays JSON."""
    text = "from harness import Topology\nprint('hello')\nx = Topology()\n"
    project(tmp_path, printing_py=text)

    load_topology(Settings.load(tmp_path, {}, topology="printing:x"))

    assert ("", "hello\n") == capsys.readouterr()


class Signal(SystemExit):
    """As the CLI's interrupt is one."""


def test_a_signal_during_the_import_is_not_reported_as_a_module_error(tmp_path: Path) -> None:
    """It is passed on to the handler."""
    text = "from tests.unit.test_reading import Signal\nraise Signal(130)\n"
    project(tmp_path, signalled_py=text)

    with pytest.raises(SystemExit) as raised:
        load_topology(Settings.load(tmp_path, {}, topology="signalled:x"))

    assert 130 == raised.value.code
