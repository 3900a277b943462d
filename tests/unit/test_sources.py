"""Which processes a changed file belongs to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.core.sources import Sources, affected, sources_of

FILES = {
    "shop/__init__.py": "",
    "shop/app.py": "from . import orders\nfrom lib.shared import tools",
    "shop/orders.py": "import json",
    "shop/unused.py": "",
    "desk/__init__.py": "",
    "desk/app.py": "import lib.other.deep",
    "lib/__init__.py": "",
    "lib/shared/__init__.py": "",
    "lib/shared/tools.py": "from ..cycle import x",
    "lib/cycle.py": "from lib.shared import tools",
    "lib/other.py": "",
    "lib/other/__init__.py": "",
    "lib/other/deep.py": "",
    "tests/test_shop.py": "import shop.app",
    "plain.py": "import helper",
    "helper.py": "",
    "web/server.js": "",
    "web/page.ts": "",
    "notes.txt": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with two packages, a plain module and a program in another language."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def uvicorn(app: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "uvicorn", app, "--port", "8001")


@pytest.mark.parametrize(
    ("changed", "restarted"),
    [
        ("shop/app.py", ["shop"]),
        ("shop/unused.py", ["shop"]),
        ("shop/new.py", ["shop"]),
        ("desk/app.py", ["desk"]),
        ("lib/__init__.py", ["shop", "desk"]),
        ("lib/shared/tools.py", ["shop"]),
        ("lib/cycle.py", ["shop"]),
        ("lib/other/deep.py", ["desk"]),
        ("tests/test_shop.py", []),
        ("plain.py", ["plain"]),
        ("helper.py", ["plain"]),
        ("web/page.ts", ["web"]),
        ("shop/data.json", []),
        ("notes.txt", []),
    ],
)
def test_a_change_affects_the_apps_that_use_the_file(
    root: Path, changed: str, restarted: list[str]
) -> None:
    processes = {
        "shop": sources_of(uvicorn("shop.app:app"), root),
        "desk": sources_of(uvicorn("desk.app:app"), root),
        "plain": sources_of(("python", "plain.py", "--port", "8001"), root),
        "web": sources_of(("node", "web/server.js"), root),
    }

    assert restarted == affected([root / changed], processes)


def test_a_program_that_names_no_file_has_its_working_folder(root: Path) -> None:
    assert Sources(root / "web") == sources_of(("npm", "start"), root / "web")


def test_a_module_that_cannot_be_parsed_belongs_to_its_app(root: Path) -> None:
    """It is being edited: the app is restarted when it can be read, too."""
    (root / "helper.py").write_text("def (")

    found = sources_of(("python", "plain.py"), root)

    assert found.contain(root / "helper.py")
