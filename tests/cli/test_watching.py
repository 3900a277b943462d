"""``up --watch``: an edit restarts the apps that use the file, and no others."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from harness.core.deadline import Deadline, Observation, poll
from tests.support import CLI, cli, environment, project

pytestmark = pytest.mark.real

TOPOLOGY = """
from harness import App, Topology

system = Topology(App("shop", asgi="shop.app:app"), App("desk", asgi="desk.app:app"))
"""

APP = """
from lib.shared import VALUE

OWN = {own}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        return
    found = scope["path"] == "/value"
    await send({{"type": "http.response.start", "status": 200 if found else 404, "headers": []}})
    await send({{"type": "http.response.body", "body": f"{{OWN}} {{VALUE}}".encode()}})
"""


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A project of two apps that share a module."""
    folder = project(tmp_path, topology_py=TOPOLOGY)
    for name in ("shop", "desk", "lib"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")
    for name in ("shop", "desk"):
        (folder / name / "app.py").write_text(APP.format(own=1))
    (folder / "lib" / "shared.py").write_text("VALUE = 1")
    (folder / "pyproject.toml").write_text('[tool.dapr-harness]\ntopology = "topology:system"\n')
    return folder


class Watched:
    """A stack that is up with ``--watch``."""

    def __init__(self, folder: Path, said: Path) -> None:
        self.folder = folder
        self._said = said
        (row,) = json.loads(cli(folder, "status", "--json").stdout)
        self._at = {each["name"]: each["endpoints"].get("main", "") for each in row["nodes"]}

    @property
    def said(self) -> str:
        """What the command has printed so far, on one line."""
        return " ".join(self._said.read_text().split())

    def says(self, pattern: str) -> bool:
        """Wait for a line."""
        look = lambda: Observation(re.search(pattern, self.said) is not None)  # noqa: E731
        return poll(look, Deadline(60)).ok

    def values(self) -> tuple[str, str]:
        """What the two apps answer."""
        shop, desk = (
            httpx.get(f"http://{self._at[name]}/value", timeout=60).text
            for name in ("shop", "desk")
        )
        return shop, desk

    def restarts(self, name: str) -> int:
        """How often an app was restarted."""
        return self.said.count(f"changed: {name} restarts")


@contextmanager
def watching(folder: Path) -> Iterator[tuple[Watched, subprocess.Popen[str]]]:
    said = folder / "said.txt"
    with said.open("w") as out, subprocess.Popen(
        [*CLI, "up", "--watch"], cwd=folder, env=environment(folder), stdout=out, stderr=out,
        text=True,
    ) as up:  # fmt: skip
        try:
            assert poll(lambda: _is_watching(said, up), Deadline(120)).ok, said.read_text()
            yield Watched(folder, said), up
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(60)


def _is_watching(said: Path, up: subprocess.Popen[str]) -> Observation:
    return Observation("attached; Ctrl-C" in said.read_text() or up.poll() is not None)


def test_only_the_apps_that_use_an_edited_file_restart(edited: Path) -> None:
    with watching(edited) as (watched, up):
        assert ("1 1", "1 1") == watched.values()

        (edited / "shop" / "app.py").write_text(APP.format(own=2))
        assert watched.says(r"shop is ready again after [\d.]+ s")
        assert ("2 1", "1 1") == watched.values()
        assert (1, 0) == (watched.restarts("shop"), watched.restarts("desk"))

        (edited / "lib" / "shared.py").write_text("VALUE = 5")
        assert watched.says("desk is ready again after")
        assert ("2 5", "1 5") == watched.values()
        assert (2, 1) == (watched.restarts("shop"), watched.restarts("desk"))

        (edited / "desk" / "notes.txt").write_text("no source")
        (edited / "desk" / "app.py").write_text("broken = (")
        assert watched.says("desk restarts at the next change"), watched.said
        (edited / "shop" / "app.py").write_text(APP.format(own=4))
        assert watched.says("shop is ready again after .* at the next .* shop is ready again after")
        (edited / "desk" / "app.py").write_text(APP.format(own=3))
        assert watched.says("desk is ready again after .* desk is ready again after")
        assert ("4 5", "3 5") == watched.values()
        assert (3, 3) == (watched.restarts("shop"), watched.restarts("desk"))

    assert 130 == up.returncode
    assert "SyntaxError" in watched.said
    assert re.search(r"\d+\.\d\d s shop: port", watched.said)
    assert [] == json.loads(cli(edited, "status", "--json").stdout)


def test_without_watchfiles_nothing_starts(edited: Path) -> None:
    (edited / "watchfiles.py").write_text("")
    code = "import sys; sys.modules['watchfiles'] = None; from harness.cli.main import main; main()"
    done = subprocess.run(
        [*CLI[:1], "-c", code, "up", "--watch"], cwd=edited, env=environment(edited),
        capture_output=True, text=True,
    )  # fmt: skip

    assert 0 != done.returncode
    assert "pip install 'dapr-harness[watch]'" in done.stderr
    assert [] == json.loads(cli(edited, "status", "--json").stdout)
