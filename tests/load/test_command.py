"""The command `load`: a whole run on each runtime, and what it says when something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import Settings, running
from harness.load.arrivals import Step
from harness.load.profile import Profile
from harness.load.report import write_all
from harness.load.runner import LoadRun
from loadtests.topology import load
from tests.engine import engine_obstacle
from tests.support import CLI, ROOT, environment, leftovers

pytestmark = pytest.mark.real

NAMES = {
    "publish", "publish by gRPC", "publish to handler", "publish to row", "publish a notification",
    "invoke by two sidecars", "invoke directly", "state save", "state get", "state transaction",
    "job schedule", "job due-time error", "page creates a task", "floor",
    "raw Kafka acknowledged", "raw Kafka to consumer", "asyncio timer",
}  # fmt: skip


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, in the repository."""
    return subprocess.run(
        [*CLI, "load", *words], cwd=ROOT, env=environment(folder), capture_output=True, text=True
    )


@pytest.mark.timeout(170)
@pytest.mark.parametrize("runtime", ["processes", "containers"])
def test_the_smoke_profile_ends_with_a_whole_report(tmp_path: Path, runtime: str) -> None:
    """Every name was measured, nothing failed, nothing was lost; and nothing is left running.

    Whether the machine was quiet enough is in the report, and decides the exit code.
    """
    if runtime == "containers" and (obstacle := engine_obstacle()):
        pytest.skip(obstacle)
    out = tmp_path / "out"
    done = run(tmp_path, "smoke", "--runtime", runtime, "--broker", "kafka", "--out", str(out))

    result = json.loads((out / "smoke.json").read_text())
    assert set(result["names"]) == NAMES, done.stderr
    assert {} == {name: row["errors"] for name, row in result["names"].items() if row["errors"]}
    assert {0} == {each["lost"] for each in result["ledgers"].values()}
    assert all(each["acknowledged"] for each in result["ledgers"].values())
    assert 8 == len(result["overheads"])
    assert 4 == len(result["validity"])
    assert {"load-sink", "notification-service"} <= result["consumer_lag"].keys()
    # Its work is done by processes below its own.
    assert any(percent > 0 for _, percent, _ in result["processes"]["postgres"]["samples"])
    kept = all(each["met"] for each in result["thresholds"])
    assert done.returncode == (1 if not kept else 0 if result["valid"] else 4)
    assert runtime == result["environment"]["runtime"]
    assert re.search(r"floor +\d+", done.stdout)
    assert {"smoke.html", "smoke.json", "smoke.xml", "smoke.hlog"} == {
        p.name for p in out.iterdir()
    }
    assert [] == leftovers(tmp_path)


OWN = {
    "own.py": """
        from harness import Receiver, Topology
        tiny = Topology(Receiver(mail=False))
    """,
    "loadtests/locustfile.py": """
        from harness.load import dapr_users
        class Floor(dapr_users.Floor): pass
    """,
    "loadtests/profiles/mine.toml": "warmup = 1\nsteps = [[1, 5]]\n[rates]\nFloor = 50\n",
    "loadtests/profiles/more.toml": "warmup = 1\nsteps = [[1, 5]]\n[rates]\nFloor = 60\n",
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A project of somebody else's: a topology, users, two profiles, no budgets."""
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def in_own(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, there."""
    environment_ = {**environment(folder), "PYTHONPATH": str(folder)}
    command = [*CLI, "load", *words, "--topology", "own:tiny", "--runtime", "processes"]
    return subprocess.run(command, cwd=folder, env=environment_, capture_output=True, text=True)


def test_a_run_is_compared_with_an_earlier_one(own: Path) -> None:
    """In a project of one's own; what cannot be compared is told before anything starts."""
    first = in_own(own, "mine")
    file = own / "artefacts" / "load" / "mine.json"
    earlier = json.loads(file.read_text())
    # However busy this machine is: it is to be compared.
    (own / "earlier.json").write_text(json.dumps({**earlier, "valid": True}))

    again = in_own(own, "mine", "--compare", "earlier.json")
    other = in_own(own, "more", "--compare", "earlier.json")

    assert "floor" in first.stdout, first.stderr
    valid = json.loads(file.read_text())["valid"]
    said = "of 2 figures have not changed" if valid else "not compared: this run is void"
    assert said in again.stdout
    assert again.returncode == (0 if valid else 4)
    assert (2, True) == (other.returncode, "differ in rates" in other.stderr)
    assert not (own / "artefacts" / "load" / "more.json").exists()


def test_a_stack_that_dies_on_the_way_is_told_with_what_was_measured(tmp_path: Path) -> None:
    """The broker is killed while events are published: a partial report, and nothing is left."""
    profile = Profile(
        name="death", rates={"Publish": 20.0, "Floor": 20.0}, steps=(Step(1, 60),), warmup=1,
    )  # fmt: skip
    settings = Settings.load(runtime="processes", broker="kafka")
    with running(load, settings) as stack:

        def kill(_elapsed: float, names: Mapping[str, Mapping[str, float]]) -> None:
            # Far more than the warm-up's, which no result counts; however long that takes here.
            if names.get("floor", {}).get("ok", 0) >= 60 and not killed.is_set():
                killed.set()
                stack.instances["broker"].kill()  # type: ignore[attr-defined]  # of processes

        killed = threading.Event()
        result = LoadRun(stack, profile, ROOT / "loadtests" / "locustfile.py", progress=kill).run()

    assert "broker exited" in result["died"]
    assert not result["valid"]
    assert result["names"]["floor"]["ok"] > 0
    written = write_all(result, tmp_path)
    assert "broker exited" in written[0].read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["smok"], 2, "did you mean 'smoke'"),
        (["smoke", "--compare", "nothing.json"], 2, r"nothing\.json cannot be read"),
        (["smoke", "--out", "/proc/nowhere"], 2, "cannot be written to /proc/nowhere"),
        (["smoke", "--folder", "nowhere"], 2, "no load profile is named 'smoke'"),
        (["smoke", "--topology", "loadtests.topology:lod"], 2, "did you mean 'load'"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    """One clear sentence, and no report."""
    done = run(tmp_path, "--out", str(tmp_path / "out"), *words)

    assert code == done.returncode
    assert re.search(message, done.stderr)
    assert not (tmp_path / "out").exists()
    assert [] == leftovers(tmp_path)


def test_users_that_cannot_be_run_are_told(tmp_path: Path) -> None:
    """A locustfile with an error in it: Locust's own words."""
    (tmp_path / "locustfile.py").write_text("import nothing_of_the_kind\n")
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(tmp_path / "locustfile.py")],
        cwd=ROOT, capture_output=True, text=True, env=environment(tmp_path),
    )  # fmt: skip

    assert "could not be run" in done.stderr
    assert "nothing_of_the_kind" in done.stderr


BROKEN = """
import sys
from pathlib import Path
from harness import Receiver, Settings, Topology, running
from harness.load.arrivals import Step
from harness.load.profile import Profile
from harness.load.runner import LoadRun

profile = Profile(name="x", rates={"A": 1.0}, steps=(Step(1, 3),))
with running(Topology(Receiver(mail=False)), Settings.load(runtime="processes")) as stack:
    LoadRun(stack, profile, Path(sys.argv[1])).run()
"""
