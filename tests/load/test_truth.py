"""The generator itself, against servers whose latencies arithmetic knows."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.core.deadline import Deadline, poll
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.ports import free_port
from harness.load.generate.generator import master_words
from harness.load.measure.collector import Collector
from harness.load.measure.figures import figures
from harness.load.model.figures import Figures
from harness.ready.tcp import TcpCheck
from tests.support import ROOT

pytestmark = pytest.mark.real

FILE = ROOT / "tests" / "load" / "truth_locustfile.py"
PERIOD, STALL = 2.0, 0.25
RATE, SECONDS = 200, 10
TRUTH = {"p90": 50.0, "p99": 230.0}
"""Milliseconds: an eighth of all requests meets a stall, and waits for what is left of 250 ms.

Or up to a gap less: where in a stall the first of its requests falls is chance.
"""
GAP = 1000 / RATE


@pytest.fixture
def stalling(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that stands still again and again, and beside it one that does nothing."""
    port, floor = free_port(), free_port()
    monkeypatch.setenv("TRUTH_FLOOR", f"http://{LOOPBACK}:{floor}")
    commands = (
        ["-m", "tests.load.stall_server", f"{LOOPBACK}:{port}", f"{PERIOD}", f"{STALL}"],
        ["-m", "harness.load.generate.null_server", f"{LOOPBACK}:{floor}"],
    )
    with contextlib.ExitStack() as opened:
        for command in commands:
            server = opened.enter_context(subprocess.Popen([sys.executable, *command], cwd=ROOT))
            opened.callback(server.terminate)
        for number in (port, floor):
            assert poll(TcpCheck(Endpoint(LOOPBACK, number)).observe, Deadline(20)).ok
        yield f"http://{LOOPBACK}:{port}"


def locust(host: str, file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Locust without its page."""
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary",
         "--host", host, "--results", str(file), "--exit-code-on-error", "0", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def read(file: Path) -> dict[str, Figures]:
    """What it has measured."""
    collector = Collector()
    collector.absorb(json.loads(file.read_text()))
    return figures(collector, 0)


def printed(stdout: str) -> dict[str, dict[str, Any]]:
    """What Locust says itself; of several processes each prints its own, the master last."""
    return {row["name"]: row for row in json.loads(stdout[stdout.rindex("\n[\n") :])}


def test_a_stall_is_measured_as_calculated(stalling: str, tmp_path: Path) -> None:
    """What waits has waited; a closed loop of Locust's own says a few milliseconds.

    On a machine that has other things to do the server itself answers later than arithmetic has it,
    and says when: that is the truth then, and the generator's floor, measured beside it, is all
    that may be added.
    """
    file, steps = tmp_path / "r.json", json.dumps([[1, SECONDS]])
    done = locust(
        stalling, file, "-u", "2", "-r", "2", "-t", f"{SECONDS + 20}s", "--rate", f"{RATE}",
        "--steps", steps, "--arrivals", "constant", "Get", "Floor",
    )  # fmt: skip
    assert file.is_file(), done.stderr
    found = read(file)

    get, floor, truth = (found[name].intended for name in ("get", "floor", "the server's own"))
    for percentile, milliseconds in TRUTH.items():
        assert milliseconds - GAP <= truth[percentile] <= get[percentile], (truth, get)
    assert get["p99"] <= truth["p99"] * 1.02 + floor["p99"], (truth, get, floor)
    assert (RATE * SECONDS, 0) == (found["get"].offered, found["get"].failed)


def test_a_closed_loop_does_not_see_it(stalling: str, tmp_path: Path) -> None:
    """Locust as it comes: what is not asked while the server stands still has not waited."""
    file = tmp_path / "r.json"
    done = locust(stalling, file, "-u", "1", "-r", "1", "-t", "6s", "--json", "Closed")

    (row,) = json.loads(done.stdout[done.stdout.index("[") :])
    times = {float(each): count for each, count in row["response_times"].items()}
    slow = sum(count for each, count in times.items() if each > STALL * 1000 / 2)
    # A hundredth would have to be slow for the p99 to tell; four stalls are four requests.
    assert slow < row["num_requests"] / 100


def test_totals_are_the_sum_of_the_parts(stalling: str, tmp_path: Path) -> None:
    """Two processes: every request is counted once, by us and by Locust."""
    file, steps = tmp_path / "r.json", json.dumps([[1, 6]])
    done = locust(
        stalling, file, "-u", "4", "-r", "4", "-t", "25s", "--rate", "100", "--lanes", "2",
        "--steps", steps, "--arrivals", "constant", "--processes", "2", *master_words(),
        "--json", "Get", "Floor",
    )  # fmt: skip
    assert file.is_file(), done.stderr
    found, raw = read(file), json.loads(file.read_text())
    rows = printed(done.stdout)

    for name in ("get", "floor"):
        assert 600 == found[name].offered == found[name].ok + found[name].failed
        assert 600 == rows[name]["num_requests"]
        assert found[name].ok == found[name].intended["count"]
    assert raw["master"]
    assert 2 == len(raw["cpu"])


def test_too_much_in_flight_is_refused_and_counted(stalling: str, tmp_path: Path) -> None:
    """What cannot be sent is a failure, and no percentile forgets that it would have waited."""
    file, steps = tmp_path / "r.json", json.dumps([[1, 6]])
    locust(
        stalling, file, "-u", "1", "-r", "1", "-t", "25s", "--rate", "200", "--steps", steps,
        "--arrivals", "constant", "--max-in-flight", "5", "Get",
    )  # fmt: skip
    found = read(file)["get"]

    assert 1200 == found.offered == found.ok + found.failed
    assert ["refused: too many in flight"] == list(found.errors)
    assert 1200 == found.intended["count"]
    assert found.intended["p90"] >= TRUTH["p90"] - GAP


def test_requests_to_a_closed_port_fail(tmp_path: Path) -> None:
    """Every request that was due has failed, and the run ends."""
    file, steps = tmp_path / "r.json", json.dumps([[1, 2]])
    host = f"http://{LOOPBACK}:{free_port()}"
    locust(host, file, "-u", "1", "-r", "1", "-t", "25s", "--rate", "50", "--steps", steps, "Get")
    found = read(file)["get"]

    assert found.offered == found.failed > 50
    assert all("refused" in error.lower() for error in found.errors)


def test_a_run_goes_on_without_a_worker_that_was_killed(stalling: str, tmp_path: Path) -> None:
    """What it had told is kept; the run ends in its time."""
    file = tmp_path / "r.json"
    words = [
        "-u", "2", "-r", "2", "-t", "9s", "--rate", "50", "--lanes", "2", "--processes", "2",
        *master_words(), "--arrivals", "constant", "Get",
    ]  # fmt: skip
    command = [
        sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary",
        "--host", stalling, "--results", str(file), "--exit-code-on-error", "0", *words,
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as master:
        running = psutil.Process(master.pid)
        assert poll(lambda: _seen(len(_asking(running, stalling)) == 2), Deadline(60)).ok
        poll(lambda: _seen(False), Deadline(4))  # they work for a while
        running.children()[0].kill()
        code = master.wait(60)
    found = read(file)["get"]

    assert 0 == code
    assert 100 < found.offered < 9 * 50
    assert found.offered == found.ok + found.failed == found.intended["count"]


def test_workers_do_not_outlive_a_master_that_is_killed(stalling: str, tmp_path: Path) -> None:
    """They would wait for it for ever, and send load."""
    command = [
        sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary",
        "--host", stalling, "-u", "2", "-r", "2", "-t", "120s", "--rate", "20", "--lanes", "2",
        "--processes", "2", *master_words(), "Get",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as master:
        try:
            found = psutil.Process(master.pid)
            assert poll(lambda: _seen(len(found.children()) == 2), Deadline(60)).ok
            workers = found.children()
        finally:
            master.kill()

    try:
        assert poll(lambda: _seen(not any(map(_lives, workers))), Deadline(60)).ok
    finally:
        for each in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def _asking(master: psutil.Process, host: str) -> list[psutil.Process]:
    """The workers that have a connection to the server."""
    port = int(host.rpartition(":")[2])
    return [
        worker
        for worker in master.children()
        if any(each.raddr and each.raddr.port == port for each in worker.net_connections())
    ]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _seen(ok: bool) -> Any:
    from harness.core.deadline import Observation

    return Observation(ok)


def test_a_target_on_another_machine_is_refused(tmp_path: Path) -> None:
    """Before a byte is sent."""
    file = tmp_path / "r.json"
    done = locust("http://192.0.2.1:80", file, "-u", "1", "-t", "2s", "--steps", "[[1, 1]]", "Get")

    assert "load for 192.0.2.1 is refused" in done.stderr
