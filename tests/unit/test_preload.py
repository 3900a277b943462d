"""Which apps are forked of one process, and what that process imports."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from harness import App
from harness.core.launch import InProcess, Launch
from harness.probe import inbox_server
from harness.runtime.preload import program
from harness.runtime.preload.scan import hidden_by, imports_of
from harness.runtime.sharing import shared
from harness.runtime.supervisor import sources
from harness.runtime.supervisor.nodes import Nodes
from harness.runtime.supervisor.sources import Source
from tests.unit.test_environment import book_of

FILES = {
    "shop/app.py": """
import json, xml.dom
from . import prices
from .rates.table import RATES as rates
from shop import orders
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import decimal
else:
    import fractions
try:
    import tomllib
except ImportError:
    import toml
class Settings:
    import zoneinfo
def later():
    import sqlite3
async def much_later():
    import csv
""",
    "shop/__init__.py": "import logging.handlers\n",
    "shop/prices.py": "from email import message\n",
    "shop/orders.py": "import wave\nfrom . import app\nimport data.files\n",
    "shop/rates/__init__.py": "",
    "shop/rates/table.py": "from .. import discounts\n",
    "shop/discounts.py": "import ipaddress\n",
    "shop/unused.py": "import turtle\n",
    "data/readme.txt": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_imports_are_those_of_all_of_an_apps_modules_when_they_are_imported(folder: Path) -> None:
    """Not of functions, for a type checker, or for when another one is missing; nor its own."""
    plain = {"json", "xml.dom", "tomllib", "fractions", "zoneinfo", "logging.handlers"}
    taken = {("email", "message"), ("typing", "TYPE_CHECKING")}
    expected = {(name, "") for name in plain | {"wave", "ipaddress"}} | taken

    assert expected == imports_of("shop.app", folder)


@pytest.mark.parametrize("text", ["import json\ndef", "import json\0"])
def test_a_module_that_cannot_be_parsed_imports_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.py").write_text(text)

    assert set() == imports_of("shop", tmp_path)
    assert set() == imports_of("missing", tmp_path)


def test_modules_are_hidden_by_files_and_packages_but_not_by_plain_folders(folder: Path) -> None:
    (folder / "json.py").touch()
    (folder / "zlib.cpython-311.so").touch()
    modules = {"json.decoder", "zlib", "shop", "data", "tomllib"}

    assert ["json", "shop", "zlib"] == hidden_by(folder, modules)


def launch(name: str, *, imports: str = "app", program: str = "python", **env: str) -> Launch:
    process = InProcess(Path("/shop"), imports=imports)
    return Launch(name, (program, "-m", "uvicorn", "app:app"), env=env, process=process)


def groups(*launches: Launch) -> list[tuple[str, Mapping[str, str]]]:
    inherited = {"PATH": "/bin", "HOME": "/root", "LANG": "C"}
    found = shared(launches, lambda each: each.environment(inherited))
    return [("".join(each.name for each in group.launches), group.environment) for group in found]


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux has subreapers")
def test_launches_with_one_interpreter_share_the_variables_that_all_of_them_have() -> None:
    launches = [
        launch("a", OWN="1", PORT="1"),
        launch("b", OWN="1", PORT="2"),
        launch("c", OWN="1", HOME="/other"),
    ]

    assert [("abc", {"PATH": "/bin", "LANG": "C", "OWN": "1"})] == groups(*launches)


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux has subreapers")
@pytest.mark.parametrize(
    "other",
    [
        launch("b", PYTHONPATH="/lib"),
        launch("b", LD_PRELOAD="/lib/some.so"),
        launch("b", LANG="de_DE.UTF-8"),
        launch("b", TZ="Asia/Tokyo"),
        launch("b", program="python3.12"),
        launch("b", imports=""),
    ],
)
def test_launches_whose_interpreters_differ_share_nothing(other: Launch) -> None:
    """And one alone has nothing to share."""
    assert [] == groups(launch("a"), other)


def imports_in_plan(folder: Path, app: App) -> str:
    book = book_of(folder, app)
    return app.plan(book.scope(app.name)).process.imports


def test_an_asgi_app_shares_its_imports_unless_it_is_told_not_to(tmp_path: Path) -> None:
    assert "shop.app" == imports_in_plan(tmp_path, App("shop", asgi="shop.app:app"))
    assert "" == imports_in_plan(tmp_path, App("shop", asgi="shop.app:app", preload=False))
    assert "" == imports_in_plan(tmp_path, App("shop", command="python -m shop {port}"))


class Telling:
    """A source that has been asked for an app."""

    forking = True

    def hear(self) -> None:
        """It has said nothing."""


def test_nothing_unknown_is_collected_while_it_may_be_an_app_of_a_source() -> None:
    """Its exit code would be lost; afterwards, it is collected."""
    nodes = Nodes(lambda _: None, lambda *_, **__: None, lambda *_: None)
    source = Telling()
    nodes._sources["imports"] = cast("Source", source)
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    nodes.reap()
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)

    source.forking = False
    nodes.hear()
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """A source that never says anything."""
    request = {"argv": ["sleep", "100"], "env": {"PATH": os.environ["PATH"]}, "cwd": "/"}
    found = Source({**request, "output": str(tmp_path / "log"), "apps": []}, subprocess.Popen)
    monkeypatch.setattr(sources, "PATIENCE", 0)
    yield found
    found.line.close()
    found.process.kill()
    found.process.wait()


def require_given_up(source: Source) -> None:
    assert source.gone
    assert -signal.SIGKILL == source.process.wait(10)


def test_a_process_whose_imports_do_not_end_is_given_up(silent: Source) -> None:
    assert [] == list(silent.loaded())

    require_given_up(silent)


def test_a_process_that_does_not_fork_is_given_up(silent: Source) -> None:
    steps = silent.fork(dict.fromkeys(("argv", "env", "cwd", "log", "module"), ""))

    with pytest.raises(StopIteration) as end:
        next(steps)

    assert {"refused": "the process with the imports has ended"} == end.value.value
    assert not silent.forking
    require_given_up(silent)


def test_only_apps_need_a_web_server() -> None:
    """A process of which recorders are forked imports what they import."""
    folder = str(Path(inbox_server.__file__).parent)
    recorder = {"server": "inbox_server", "module": "inbox_server", "folder": folder}
    app = {"server": "uvicorn", "module": "a", "folder": folder}

    recorders = {name for name, _ in program._shared([recorder, recorder])}
    apps = {name for name, _ in program._shared([app, app])}

    assert {"asyncio", "h11"} <= recorders
    assert "uvicorn.main" not in recorders
    assert "uvicorn.main" in apps
