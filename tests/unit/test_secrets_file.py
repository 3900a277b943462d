"""A relative secrets file is where daprd would look for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import ConfigError, Sidecar, Topology
from harness.core.endpoint import Endpoint
from harness.core.node import Node
from harness.runfile.topology import multi_app
from harness.stack.book import AddressBook
from tests.support import project

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec:
  type: secretstores.local.file
  version: v1
  metadata: [{name: secretsFile, value: keys.json}]
"""


class Tools:
    """Every program is at one place."""

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Nothing to do."""

    def version(self, tool: str) -> str:
        return ""

    def path(self, tool: str) -> Path:
        return Path("/bin") / tool

    def daprd(self, types: object) -> Path:
        return self.path("daprd")


def book_of(folder: Path, topology: Topology) -> AddressBook:
    """A book of a stack of that project."""
    ports = iter(range(20000, 30000))

    def reserve(wanted: int | None) -> Endpoint:
        return Endpoint("127.0.0.1", wanted or next(ports))

    return AddressBook(topology, Tools(), folder, folder / "run", reserve)


def test_a_relative_secrets_file_is_in_the_projects_root(tmp_path: Path) -> None:
    """Where daprd runs, and not beside the component; with its placeholders filled."""
    project(tmp_path, c__store_yaml=STORE, keys_json="mine", c__keys_json="another")
    book = book_of(tmp_path, Topology(Sidecar("a"), resources="c"))

    launch = book.topology["a-daprd"].plan(book.scope("a-daprd"))

    assert tmp_path == launch.process.cwd
    assert "mine" == launch.files["secrets/keys.json"]


def test_a_relative_secrets_file_is_in_the_apps_folder_of_a_run_file(tmp_path: Path) -> None:
    """Where `dapr run -f` starts daprd; two apps of one folder of resources have one each."""
    text = "version: 1\ncommon: {resourcesPath: c}\napps: [{appDirPath: a}, {appDirPath: b}]\n"
    project(tmp_path, dapr_yaml=text, c__store_yaml=STORE, a__keys_json="1", b__keys_json="2")
    book = book_of(tmp_path, multi_app(tmp_path / "dapr.yaml"))

    found = {
        name: book.topology[f"{name}-daprd"].plan(book.scope(f"{name}-daprd")) for name in "ab"
    }

    assert {"a": tmp_path / "a", "b": tmp_path / "b"} == {
        n: each.process.cwd for n, each in found.items()
    }
    assert ["1", "2"] == [each.files["secrets/keys.json"] for each in found.values()]


def test_a_secrets_file_in_another_folder_is_named(tmp_path: Path) -> None:
    """The folder that counts, and the file that may be meant."""
    project(tmp_path, c__store_yaml=STORE, c__keys_json="{}")
    book = book_of(tmp_path, Topology(Sidecar("a"), resources="c"))

    with pytest.raises(ConfigError, match=r"keys.json of 'store' does not exist") as caught:
        book.topology["a-daprd"].plan(book.scope("a-daprd"))

    assert f"working folder, {tmp_path}; there is {tmp_path}/c/keys.json" in caught.value.hint
