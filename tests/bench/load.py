"""B7 to B10, B12 and B13: what the load runner says, beside its anchors of the same seconds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import Settings, running
from harness.deadline import Deadline, poll
from harness.endpoint import LOOPBACK, Endpoint
from harness.load.collector import Collector
from harness.load.profile import read_profile
from harness.load.result import figures
from harness.load.runner import LoadRun
from harness.ready.tcp import TcpCheck
from loadtests.topology import load
from tests.bench.numbers import Figures
from tests.load.test_truth import FILE, PERIOD, STALL, TRUTH, two_ports

ROOT = Path(__file__).parent.parent.parent
GATES: Mapping[tuple[str, str, str], tuple[str, float, float]] = {
    ("publish", "raw Kafka acknowledged", "p50"): ("B7", 3.0, 1.8),
    ("publish by gRPC", "raw Kafka acknowledged", "p50"): ("B7 gRPC", 3.0, 1.8),
    ("publish to handler", "raw Kafka to consumer", "p50"): ("B8", 3.0, 1.8),
    ("publish to handler", "raw Kafka to consumer", "p99"): ("B8", 3.0, 2.0),
}


def latency(settings: Settings) -> Figures:
    """A minute of the profile `latency`."""
    profile = read_profile(ROOT / "loadtests" / "profiles", "latency")
    with running(load, settings) as stack:
        result = LoadRun(stack, profile, ROOT / "loadtests" / "locustfile.py").run()
    found: Figures = {"valid (1 yes)": float(result["valid"])}
    for mark in result["validity"]:
        found[f"{mark['name']}: {mark['fact']} (1 met)"] = float(mark["met"])
    for each in result["overheads"]:
        for figure in ("p50", "p99"):
            key = (each["name"], each["beside"], figure)
            if key in GATES:
                name, gate, moonshot = GATES[key]
                title = f"{name} {each['name']} / {each['beside']}, {figure}"
                found[f"{title} (gate {gate:g}, moonshot {moonshot:g})"] = each[figure]
    invoke = next(e for e in result["overheads"] if e["name"].startswith("invoke"))
    found["B9 two sidecars add, mean, ms"] = invoke["mean"]
    found["B9 two sidecars add, low, ms"] = invoke["low"]
    found["B9 two sidecars add, high, ms"] = invoke["high"]
    found |= _jobs(result)
    found["publish to handler, p50, ms"] = result["names"]["publish to handler"]["intended"]["p50"]
    found["publish to handler, p99, ms"] = result["names"]["publish to handler"]["intended"]["p99"]
    found["floor, p50, ms"] = result["names"]["floor"]["intended"]["p50"]
    return found


def _jobs(result: Mapping[str, Any]) -> Figures:
    fired = result["names"]["job due-time error"]["intended"]
    ledger = result["ledgers"]["job due-time error"]
    return {
        "B10 jobs": ledger["acknowledged"],
        "B10 jobs that fired early (gate 0)": ledger["early"],
        "B10 jobs that did not fire": ledger["lost"],
        "B10 due-time error, p99, ms (gate 100, moonshot 25)": fired["p99"],
        "B10 asyncio timer, p99, ms": result["names"]["asyncio timer"]["intended"]["p99"],
        "B11 schedule acknowledged, p50, ms": result["names"]["job schedule"]["intended"]["p50"],
    }


def generator(_settings: Settings) -> Figures:
    """B12: a server that does nothing; B13: one that stands still."""
    port = two_ports()
    commands = (
        ["-m", "tests.load.stall_server", f"127.0.0.1:{port}", f"{PERIOD}", f"{STALL}"],
        ["-m", "harness.load.null_server", f"127.0.0.1:{port + 1}"],
    )
    servers = [subprocess.Popen([sys.executable, *each], cwd=ROOT) for each in commands]
    try:
        for number in (port, port + 1):
            poll(TcpCheck(Endpoint(LOOPBACK, number)).observe, Deadline(10))
        measured = _locust(f"http://127.0.0.1:{port}")
        floor = measured["floor"]["service"]["p50"]
        found: Figures = {"B12 generator's floor, service, p50, ms": floor}
        if wrk := shutil.which("wrk"):
            theirs = _wrk(wrk, f"http://127.0.0.1:{port + 1}/")
            found["B12 wrk, one connection, p50, ms"] = theirs
            found["B12 floor / wrk (gate 2.5, moonshot 1.5)"] = floor / theirs
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    for percentile, truth in TRUTH.items():
        share = measured["get"]["intended"][percentile] / truth
        found[f"B13 {percentile} / arithmetic (gate 0.98 to 1.02)"] = share
    return found


def _locust(host: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "r.json"
        subprocess.run(
            [sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary",
             "--host", host, "--results", str(file), "-u", "2", "-r", "2", "-t", "40s",
             "--rate", "200", "--steps", "[[1, 20]]", "--arrivals", "constant", "Get", "Floor"],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        collector = Collector()
        collector.absorb(json.loads(file.read_text()))
    return figures(collector, 0)


def _wrk(program: str, url: str) -> float:
    """Its median of one connection, in milliseconds."""
    done = subprocess.run(
        [program, "-t1", "-c1", "-d5s", "--latency", url], capture_output=True, text=True
    )
    found = re.search(r"50%\s+([\d.]+)(us|ms)", done.stdout)
    assert found, done.stdout
    return float(found.group(1)) / (1000 if found.group(2) == "us" else 1)
