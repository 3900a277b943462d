"""When bundles are written, by whom, and what becomes of a test whose bundle cannot be."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.plugin.conftest import CONFTEST, Run

pytestmark = pytest.mark.real

WATCHED = f"""
{CONFTEST}
import signal
import harness.bundle.page as page

write = page.write

def watched(*given, **more):
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left == 0, f"pytest-timeout ends this in {{left}} s"
    return write(*given, **more)

page.write = watched
"""
"""With a check of the time limit while a bundle is written."""

TESTS = """
import asyncio
import signal
import threading

import pytest


def soon():
    "pytest-timeout's own timer, which it has set to 600 s, as if they were over."
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    signal.setitimer(signal.ITIMER_REAL, 0.1)


@pytest.mark.parametrize("way", ["a/b", "a-b"])
def test_fails(dapr_sync, way):
    assert way == "neither"


def test_hangs(dapr_sync):
    soon()
    threading.Event().wait(60)


async def test_waits(dapr):
    soon()
    await asyncio.Event().wait()


@pytest.fixture
def broken(dapr_sync):
    raise ValueError("the fixture is broken")


def test_is_not_set_up(broken):
    pass


@pytest.fixture
def stuck(dapr_sync):
    soon()
    threading.Event().wait(60)


def test_is_stuck_in_its_set_up(stuck):
    pass
"""

FAILURES = {
    "test_fails[a-b]": ("call", "assert 'a-b' == 'neither'"),
    "test_fails[a/b]": ("call", "assert 'a/b' == 'neither'"),
    "test_hangs": ("call", "Failed: Timeout"),
    "test_waits": ("call", "Failed: Timeout"),
    "test_is_not_set_up": ("setup", "ValueError: the fixture is broken"),
    "test_is_stuck_in_its_set_up": ("setup", "Failed: Timeout"),
}


def bundle_in(archive: Path) -> dict[str, Any]:
    """The bundle as JSON."""
    with zipfile.ZipFile(archive) as opened:
        found: dict[str, Any] = json.loads(opened.read("bundle.json"))
    return found


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_every_failure_leaves_a_bundle_and_its_page_is_named_once(
    inner: Run, folder: Path, workers: tuple[str, ...]
) -> None:
    """Also of a set-up, and of a test that a time limit has ended; nor does it end the bundle."""
    options = ("--timeout=600", "--timeout-method=signal", "--junitxml=junit.xml")
    done = inner(TESTS, *options, *workers, conftest=WATCHED)

    output = done.stdout.str()
    assert "no bundle" not in output
    bundles = [bundle_in(each) for each in (folder / "artefacts").glob("*.zip")]
    pages = {str(each) for each in (folder / "artefacts").glob("*.html")}
    properties = ElementTree.parse(folder / "junit.xml").iter("property")
    named = [each.get("value") for each in properties if each.get("name") == "dapr-bundle"]
    found = {each["test"].partition("::")[2]: each for each in bundles}
    assert {*FAILURES} == {*found}
    for test, (phase, summary) in FAILURES.items():
        assert phase == found[test]["phase"]
        assert summary in found[test]["summary"]
        assert {"hello", "hello-daprd"} <= {each["name"] for each in found[test]["nodes"]}
    assert len(FAILURES) == len(pages)
    assert pages == {*named}
    assert [1] * len(pages) == [output.count(f"dapr-harness:   {each}\n") for each in pages]


def test_the_failure_of_a_start_leaves_a_bundle(inner: Run, folder: Path) -> None:
    """With the error and the logs, although there is nothing that runs."""
    app = "raise SystemExit('ValueError: the shop has no name')"
    done = inner("def test_never_begins(dapr_sync):\n    pass\n", app=app)

    done.assert_outcomes(failed=1)
    (archive,) = (folder / "artefacts").glob("*.zip")
    bundle = bundle_in(archive)
    assert "setup" == bundle["phase"]
    assert "hello exited with code 1" in bundle["causes"][0]["sentence"]
    assert "the shop has no name" in bundle["logs"]["hello"]


WITH_ROWS = CONFTEST.replace("Topology(", "Topology(Postgres(), ", 1).replace(
    "import App, Topology", "import App, Postgres, Topology"
)
"""With a database, and rows in it."""

UNWRITABLE = """
import resource
from pathlib import Path

import psycopg

NONE = resource.RLIM_INFINITY


def test_where_a_file_has_the_name_of_the_folder(dapr_sync):
    dsn = dapr_sync.stack.book.exports("postgres")["dsn"]
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute("CREATE TABLE notes AS SELECT repeat('x', 1000000) AS text")
    Path("artefacts").write_text("")
    assert 1 == 2


def test_on_a_disk_without_room(dapr_sync):
    Path("artefacts").unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, NONE))
    assert 3 == 4


def test_after_some_room_was_made(dapr_sync):
    resource.setrlimit(resource.RLIMIT_FSIZE, (NONE, NONE))
    assert 5 == 6


def test_passes(dapr_sync):
    pass
"""


def test_the_results_of_tests_survive_bundles_that_cannot_be_written(
    inner: Run, folder: Path
) -> None:
    """One sentence says so, and no half of a bundle is left."""
    done = inner(UNWRITABLE, conftest=WITH_ROWS)

    output = done.stdout.str()
    done.assert_outcomes(failed=3, passed=1)
    assert all(f"E       assert {each}" in output for each in ("1 == 2", "3 == 4", "5 == 6"))
    told = [line for line in output.splitlines() if line.startswith("no bundle: ")]
    assert 2 == len(told)
    assert "a_file_has_the_name_of_the_folder cannot be written: [Errno 17]" in told[0]
    assert "on_a_disk_without_room cannot be written: [Errno 27]" in told[1]
    assert ["after_some_room_was_made"] == [
        each.stem.partition("--test_")[2] for each in (folder / "artefacts").glob("*.html")
    ]
    assert 2 == len([*(folder / "artefacts").iterdir()])
    (archive,) = (folder / "artefacts").glob("*.zip")
    (notes,) = (each for each in bundle_in(archive)["tables"] if each["name"] == "notes")
    assert [{"text": 1_000_000}] == [each["cut"] for each in notes["rows"]]
