"""The command `load`: a whole run on each runtime, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from harness import Broker, Receiver, Settings, Topology, running
from harness.core.deadline import Deadline, Observation, poll
from harness.load.judge.criteria import verdict
from harness.load.model.profile import Profile, RawKafka, Step
from harness.load.model.result import read_result
from harness.load.render.report import write_all
from harness.load.runner import LoadRun
from loadtests.topology import load
from tests.engine import engine_obstacle
from tests.support import CLI, ROOT, environment, leftovers, survivors

pytestmark = pytest.mark.real

NAMES = {
    "publish", "publish by gRPC", "publish to handler", "publish to row", "publish a notification",
    "invoke by two sidecars", "invoke directly", "state save", "state get", "state transaction",
    "job schedule", "job due-time error", "page creates a task", "floor",
    "raw Kafka acknowledged", "raw Kafka to consumer", "asyncio timer",
}  # fmt: skip


def with_ours(folder: Path) -> str:
    """Where a project's modules are found, and this project itself: not as it is installed."""
    return os.pathsep.join([str(ROOT), str(folder)])


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, in the repository."""
    return subprocess.run(
        [*CLI, "load", *words], cwd=ROOT, env=environment(folder), capture_output=True, text=True
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", ["processes", "containers"])
def test_the_smoke_profile_ends_with_a_whole_report(tmp_path: Path, runtime: str) -> None:
    """Every name was measured, nothing failed, nothing was lost; and nothing is left running.

    Whether the machine was quiet enough is in the report, and decides the exit code.
    """
    if runtime == "containers" and (obstacle := engine_obstacle()):
        pytest.skip(obstacle)
    out = tmp_path / "out"
    done = run(tmp_path, "smoke", "--runtime", runtime, "--broker", "kafka", "--out", str(out))

    assert (out / "smoke.json").is_file(), done.stderr
    result = read_result(out / "smoke.json")
    assert {*result.names} == NAMES, done.stderr
    assert {} == {name: row.errors for name, row in result.names.items() if row.errors}
    assert {0} == {each.lost for each in result.ledgers.values()}
    assert all(each.acknowledged for each in result.ledgers.values())
    shown = {f"{each.name} / {each.beside}" for each in result.overheads}
    assert {
        "publish / raw Kafka acknowledged",
        "publish to handler / raw Kafka to consumer",
    } < shown
    seen = {"publish to handler", "job due-time error", "publish to row"}
    checked = {
        "generator CPU", "scheduler lag", "achieved", "noise", "users", "references", "pairs",
    }  # fmt: skip
    assert checked | {f"seen: {name}" for name in seen} == {each.name for each in result.validity}
    assert seen == result.ledgers.keys()
    requests = [row for row in result.names.values() if row.kind == "request"]
    for row in result.names.values():
        assert row.ok == row.intended["count"]
        assert row.kind != "request" or row.offered == row.ok
    (mark,) = [each for each in result.thresholds if each.name == "errors"]
    assert mark.fact.startswith(f"0 of {sum(row.offered for row in requests)} requests")
    assert {"load-sink", "notification-service"} <= result.consumer_lag.keys()
    # Its work is done by processes below its own.
    assert any(each.percent > 0 for each in result.processes["postgres"].samples)
    code, _ = verdict(result)
    assert (done.returncode, True) == (code, code in (0, 1, 4))
    assert runtime == result.environment.runtime
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
        class Publish(dapr_users.Floor):
            name = "asked"
    """,
    "loadtests/profiles/mine.toml": "warmup = 1\nsteps = [[1, 5]]\n[rates]\nFloor = 50\n",
    "loadtests/profiles/long.toml": "warmup = 1\nsteps = [[1, 60]]\n[rates]\nPublish = 50\n",
    "loadtests/profiles/named.toml": "warmup = 1\nsteps = [[1, 4]]\n[rates]\nPublish = 50\n",
    "loadtests/profiles/raw.toml": """
        steps = [[1, 5]]
        rates = {Floor = 5}
        raw_kafka = {topic = "load-raw", rate = 5}
    """,
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
    environment_ = {**environment(folder), "PYTHONPATH": with_ours(folder)}
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
    said = "of 2 figures have not changed" if valid else "not compared: this run is invalid"
    assert said in again.stdout
    found = json.loads(file.read_text())
    assert again.returncode == verdict(read_result(file))[0]
    assert found["comparison"]["earlier"] == earlier["began"]
    assert (2, True) == (other.returncode, "differ in rates" in other.stderr)
    raw = in_own(own, "raw")
    assert (2, True) == (raw.returncode, "raw Kafka on the topic 'load-raw'" in raw.stderr)
    assert not (own / "artefacts" / "load" / "more.json").exists()


def test_a_class_named_publish_is_a_class_like_any_other(own: Path) -> None:
    """It begins nothing that this project does not have; the run ends with a whole report."""
    done = in_own(own, "named", "--bundle")

    out = own / "artefacts" / "load"
    result = read_result(out / "named.json")
    assert {"load-named.html", "load-named.zip"} < {each.name for each in out.iterdir()}
    assert ({"asked"}, verdict(result)[0]) == ({*result.names}, done.returncode), done.stderr
    assert result.names["asked"].ok > 0
    assert "Traceback" not in done.stderr
    assert [] == leftovers(own)


@pytest.mark.timeout(300)
def test_nothing_outlives_a_load_that_is_killed(own: Path) -> None:
    """Locust with its workers, the null server, the stack: all end with it."""
    command = [*CLI, "load", "long", "--processes", "2", "--topology", "own:tiny"]
    variables = {**environment(own), "PYTHONPATH": with_ours(own)}
    with subprocess.Popen(command, cwd=own, env=variables, stderr=subprocess.DEVNULL) as load:

        def begun() -> Observation:
            alive = survivors(own)
            locusts = sum("locust" in line for line in alive)
            return Observation(locusts >= 3 and any("null_server" in line for line in alive))

        try:
            assert poll(begun, Deadline(180), interval=0.2).ok, survivors(own)
        finally:
            load.kill()
    poll(lambda: Observation(not survivors(own)), Deadline(60), interval=0.2)
    assert ([], []) == (survivors(own), leftovers(own))


HANGS = """
import signal, time
from gevent.monkey import get_original
from locust import events
from harness.load import dapr_users

@events.quitting.add_listener
def hang(**_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    get_original("threading", "Event")().wait()

class Floor(dapr_users.Floor): pass
"""


@pytest.mark.timeout(300)
def test_a_locust_that_hangs_is_killed_and_reported(tmp_path: Path) -> None:
    """By a limit; what it had not written down is lost, and the run is invalid."""
    (tmp_path / "locustfile.py").write_text(HANGS)
    profile = Profile(name="hangs", rates={"Floor": 20.0}, steps=(Step(1, 2),), warmup=0)
    settings = Settings.load(runtime="processes")
    with running(Topology(Receiver(mail=False)), settings) as stack:
        result = LoadRun(stack, profile, tmp_path / "locustfile.py", grace=8).run()

    assert "Locust did not end" in result.died
    assert (4, False) == (verdict(result)[0], result.valid)
    assert all(path.is_file() for path in write_all(result, tmp_path / "out"))


@pytest.mark.timeout(300)
def test_a_stack_that_dies_is_reported_with_what_was_measured(tmp_path: Path) -> None:
    """The broker is killed while events are published: a partial report, and nothing is left."""
    profile = Profile(
        name="death", rates={"Publish": 20.0, "Floor": 20.0}, steps=(Step(1, 60),), warmup=1,
    )  # fmt: skip
    settings = Settings.load(runtime="processes", broker="kafka")
    with running(load, settings) as stack:
        killed = threading.Event()

        def kill(_elapsed: float, names: Mapping[str, Mapping[str, float]]) -> None:
            # Far more than the warm-up's, which no result counts; however long that takes here.
            begun = all(names.get(each, {}).get("ok", 0) >= 60 for each in ("publish", "floor"))
            if begun and not killed.is_set():
                killed.set()
                stack.instances["broker"].kill()  # type: ignore[attr-defined]  # of processes

        result = LoadRun(stack, profile, ROOT / "loadtests" / "locustfile.py", progress=kill).run()

    assert "broker exited" in result.died
    assert not result.valid
    assert result.names["floor"].ok > 0
    ledger = result.ledgers["publish to handler"]
    assert ledger.acknowledged > 0
    assert (ledger.lost, True) == (len(ledger.lost_ids), ledger.lost <= 20) or (
        ledger.lost > len(ledger.lost_ids) == 20
    )
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
def test_mistakes_are_reported_before_anything_starts(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    """One clear sentence, and no report."""
    done = run(tmp_path, "--out", str(tmp_path / "out"), *words)

    assert code == done.returncode
    assert re.search(message, done.stderr)
    assert not (tmp_path / "out").exists()
    assert [] == leftovers(tmp_path)


def test_users_that_cannot_be_run_are_reported(tmp_path: Path) -> None:
    """A locustfile with an error in it: Locust's own words."""
    (tmp_path / "locustfile.py").write_text("import nothing_of_the_kind\n")
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(tmp_path / "locustfile.py")],
        cwd=ROOT, capture_output=True, text=True, env=environment(tmp_path),
    )  # fmt: skip

    assert "could not be run" in done.stderr
    assert "nothing_of_the_kind" in done.stderr


REFERENCES = "harness.load.generate.references"


@pytest.mark.timeout(300)
def test_a_reference_that_is_killed_breaks_the_budgets_of_what_it_measured(tmp_path: Path) -> None:
    """Raw Kafka measured some seconds; the floor beside it was measured to the end."""
    (tmp_path / "locustfile.py").write_text(
        "from harness.load import dapr_users\nclass Floor(dapr_users.Floor): pass\n"
    )
    pair = ("floor", "raw Kafka acknowledged")
    profile = Profile(
        name="killed", rates={"Floor": 20.0}, steps=(Step(1, 8),), warmup=1, pairs=(pair,),
        raw_kafka=RawKafka("raw", 20), budgets={" / ".join(pair): {"p50": 1e6}},
    )  # fmt: skip
    killed: list[int] = []

    def kill(_elapsed: float, names: Mapping[str, Mapping[str, float]]) -> None:
        if names.get("floor", {}).get("ok", 0) >= 60 and not killed:
            for each in psutil.process_iter(["cmdline"]):
                words = each.info["cmdline"] or []
                if REFERENCES in words and any(str(stack.folder) in word for word in words):
                    killed.append(each.pid)
                    each.kill()

    settings = Settings.load(runtime="processes", broker="kafka")
    with running(Topology(Broker(topics=["raw:1"])), settings) as stack:
        result = LoadRun(stack, profile, tmp_path / "locustfile.py", progress=kill).run()

    assert killed
    (reference,) = [each for each in result.validity if each.name == "references"]
    assert not reference.met
    (budget,) = [each for each in result.thresholds if " / " in each.name]
    assert (False, True) == (budget.met, "not measured to the end" in budget.fact), budget
    assert 1 == verdict(result)[0]


BROKEN = """
import sys
from pathlib import Path
from harness import Receiver, Settings, Topology, running
from harness.load.model.profile import Step
from harness.load.judge.criteria import verdict
from harness.load.model.profile import Profile
from harness.load.runner import LoadRun

profile = Profile(name="x", rates={"A": 1.0}, steps=(Step(1, 3),))
with running(Topology(Receiver(mail=False)), Settings.load(runtime="processes")) as stack:
    LoadRun(stack, profile, Path(sys.argv[1])).run()
"""
