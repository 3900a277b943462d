"""What apps and sidecars find in their environment."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from harness import App, ConfigError, Process, Sidecar, Topology
from harness.core.endpoint import Endpoint
from harness.core.node import Node
from harness.nodes.tap import TapSidecar
from harness.runtime import own_tools
from harness.runtime.own_tools import path_without_our_tools
from harness.stack.book import AddressBook
from tests.projects import IN_MEMORY
from tests.support import project
from tests.unit.test_secrets_file import Tools

BY_MAKE = "${-*-command-variables-*-}"
"""GNU make's own value of MAKEOVERRIDES."""

READS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: env}
spec: {type: secretstores.local.env, version: v1}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: state}
spec:
  type: state.in-memory
  version: v1
  metadata: [{name: keyPrefix, secretKeyRef: {name: NAME, key: NAME}}]
auth: {secretStore: env}
"""


def program(folder: Path) -> Path:
    """An executable `go` in a folder."""
    folder.mkdir()
    file = folder / "go"
    file.touch(mode=0o755)
    return file


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs in which an extra of ours has put its `go`."""
    # Whether the extra is installed where this runs does not matter.
    monkeypatch.setattr(own_tools, "PROGRAMS", {"go": "harness"})
    return program(tmp_path / "scripts").parent


def test_the_harness_go_does_not_hide_the_users_go(tmp_path: Path, scripts: Path) -> None:
    """An activated environment is first on PATH; `python` and all else is still found there."""
    (scripts / "python").touch(mode=0o755)
    own = program(tmp_path / "own")
    path = os.pathsep.join(map(str, (scripts, own.parent)))

    made = path_without_our_tools(path, tmp_path / "made", scripts)

    assert made.endswith(path)
    assert own == Path(str(shutil.which("go", path=made))).resolve()
    assert str(scripts / "python") == shutil.which("python", path=made)


def test_path_is_unchanged_unless_the_harness_go_hides_another(
    tmp_path: Path, scripts: Path
) -> None:
    """The user's go is first, or ours is the only one, or not there."""
    own = program(tmp_path / "own").parent
    paths = (f"{own}{os.pathsep}{scripts}", f"{scripts}{os.pathsep}/nowhere", "/nowhere")

    for path in paths:
        assert path == path_without_our_tools(path, tmp_path / "made", scripts)
    assert not (tmp_path / "made").exists()


def book_of(folder: Path, *nodes: Node, resources: str = "", gateway: str = "") -> AddressBook:
    """A book of a stack that is started where KEY and OWN are set, and by make."""
    inherited = {"KEY": "inherited", "OWN": "inherited", "MAKEOVERRIDES": BY_MAKE}
    return AddressBook(
        Topology(*nodes, resources=resources or ()),
        Tools(),
        folder,
        folder,
        lambda wanted: Endpoint("127.0.0.1", wanted or 1),
        gateway=gateway or None,
        inherited=inherited,
    )


@pytest.mark.parametrize("name", ["KEY", "OWN", "NOT_SET"])
@pytest.mark.parametrize("hermetic", [False, True])
def test_a_secret_that_a_sidecar_inherits_is_known_when_resources_are_checked(
    tmp_path: Path, name: str, hermetic: bool
) -> None:
    """`secretstores.local.env` reads what daprd inherits, and daprd is the judge."""
    project(tmp_path, r__c_yaml=READS.replace("NAME", name))
    app = App("shop", command="serve", sidecar_env={"OWN": "set"}, hermetic=hermetic)
    book = book_of(tmp_path, app, resources="r")
    book.strict = True
    has = name == "OWN" or (name == "KEY" and not hermetic)

    with nullcontext() if has else pytest.raises(ConfigError, match=f"no variable '{name}'"):
        assert 2 == len(book.resources("shop-daprd"))


@pytest.mark.parametrize("gateway", ["", "172.17.0.1"], ids=["processes", "containers"])
def test_inherited_variables_are_not_filled_as_templates(tmp_path: Path, gateway: str) -> None:
    """`make` exports `MAKEOVERRIDES`, which looks like a placeholder; no node minds it."""
    project(tmp_path, r__c_yaml=READS.replace("NAME", "KEY"), r__d_yaml=IN_MEMORY)
    app = App("shop", command="serve", sidecar_env={"OWN": "${shop.url}"})
    book = book_of(tmp_path, app, Process("worker", command="work"), resources="r", gateway=gateway)
    book.topology = Topology(
        *book.topology.nodes,
        TapSidecar("tap", pubsub="pubsub", find=book.pubsub),
        resources=book.topology.resources,
    )
    planned = {
        name: book.topology[name].plan(book.scope(name)) for name in ("shop", "worker", "tap-daprd")
    }

    # The runtime adds what is inherited, below these.
    assert all(launch.process.inherits for launch in planned.values())
    assert not [each for each in planned.values() if BY_MAKE in str(each)]
    assert re.match(r"http://\S+:1$", planned["tap-daprd"].env["OWN"])


def test_a_hermetic_app_has_a_hermetic_sidecar() -> None:
    """And an ordinary one an ordinary sidecar."""
    for hermetic in (True, False):
        sidecar = Topology(App("shop", command="serve", hermetic=hermetic))["shop-daprd"]

        assert isinstance(sidecar, Sidecar)
        assert hermetic == sidecar.hermetic


def test_a_sidecar_without_tokens_does_not_inherit_any(tmp_path: Path) -> None:
    """It would require an unknown token; tokens in its own env are kept."""
    book = book_of(tmp_path)
    book.topology = Topology(Sidecar("a", token=False, env={"APP_API_TOKEN": "said"}))

    env = book.topology["a-daprd"]._environment(book.scope("a-daprd"))  # type: ignore[attr-defined]  # a Sidecar

    assert ("", "said") == (env["DAPR_API_TOKEN"], env["APP_API_TOKEN"])
