"""What apps and sidecars find in their environment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness import App, Sidecar, Topology
from harness.book import StackBook
from harness.endpoint import Endpoint
from harness.runtime import own_tools
from harness.runtime.own_tools import path_without_our_tools
from tests.unit.test_stack import NoTools


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


def test_a_go_of_ours_does_not_hide_the_users(tmp_path: Path, scripts: Path) -> None:
    """An activated environment is first on PATH; `python` and all else is still found there."""
    (scripts / "python").touch(mode=0o755)
    own = program(tmp_path / "own")
    path = os.pathsep.join(map(str, (scripts, own.parent)))

    made = path_without_our_tools(path, tmp_path / "made", scripts)

    assert made.endswith(path)
    assert own == Path(str(shutil.which("go", path=made))).resolve()
    assert str(scripts / "python") == shutil.which("python", path=made)


def test_a_path_on_which_nothing_of_ours_is_first_stays_as_it_is(
    tmp_path: Path, scripts: Path
) -> None:
    """The user's go is first, or ours is the only one, or not there."""
    own = program(tmp_path / "own").parent
    paths = (f"{own}{os.pathsep}{scripts}", f"{scripts}{os.pathsep}/nowhere", "/nowhere")

    for path in paths:
        assert path == path_without_our_tools(path, tmp_path / "made", scripts)
    assert not (tmp_path / "made").exists()


def book_of(folder: Path, *apps: App) -> StackBook:
    """A book of a stack that is started where KEY and OWN are set."""
    inherited = {"KEY": "inherited", "OWN": "inherited"}
    return StackBook(
        Topology(*apps),
        NoTools(),
        folder,
        folder,
        lambda wanted: Endpoint("127.0.0.1", wanted or 1),
        inherited=inherited,
    )


def test_a_secret_of_the_environment_is_known_when_resources_are_checked(tmp_path: Path) -> None:
    """`secretstores.local.env` reads what daprd inherits, and daprd is the judge."""
    app = App("shop", command="serve", sidecar_env={"OWN": "set"})
    closed = App("shop", command="serve", sidecar_env={"OWN": "set"}, hermetic=True)

    assert {"KEY": "inherited", "OWN": "set"} == book_of(tmp_path, app).variables()
    assert {"OWN": "set"} == book_of(tmp_path, closed).variables()


def test_a_hermetic_app_has_a_hermetic_sidecar() -> None:
    """And an ordinary one an ordinary sidecar."""
    for hermetic in (True, False):
        sidecar = Topology(App("shop", command="serve", hermetic=hermetic))["shop-daprd"]

        assert isinstance(sidecar, Sidecar)
        assert hermetic == sidecar.hermetic


def test_a_sidecar_without_tokens_does_not_inherit_any(tmp_path: Path) -> None:
    """It would ask for one that nobody here knows; what its env says is another matter."""
    book = book_of(tmp_path)
    book.topology = Topology(Sidecar("a", token=False, env={"APP_API_TOKEN": "said"}))

    env = book.topology["a-daprd"]._environment(book)  # type: ignore[attr-defined]  # a Sidecar

    assert ("", "said") == (env["DAPR_API_TOKEN"], env["APP_API_TOKEN"])
