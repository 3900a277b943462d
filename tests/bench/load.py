"""B7 to B10, B12 and B13: what the load runner says, beside its anchors of the same seconds."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import Settings, running
from harness.core.deadline import Deadline, poll
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.ports import free_port
from harness.load.model.profile import read_profile
from harness.load.model.result import Result
from harness.load.runner import LoadRun
from harness.ready.tcp import TcpCheck
from loadtests.topology import load
from tests.bench.numbers import Bound, Figures, Measure, around, at_least, at_most
from tests.load.test_truth import FILE, read

ROOT = Path(__file__).parent.parent.parent
PERIOD, STALL, RATE, SECONDS = 4.0, 0.5, 1000, 24
TRUTH = {
    "p90": (100.0, at_least(1), at_least(1)),
    "p99": (460.0, around(1, 0.02), around(1, 0.01)),
}
"""Milliseconds: an eighth of all requests meets a stall, and waits for what is left of 500 ms.

All that waited are answered at once, one after the other: a p90 may be above, and never below.
"""
GATES: Mapping[tuple[str, str, str], tuple[str, Bound, Bound]] = {
    ("publish", "raw Kafka acknowledged", "p50"): ("B7", at_most(3), at_most(1.8)),
    ("publish by gRPC", "raw Kafka acknowledged", "p50"): ("B7", at_most(3), at_most(1.8)),
    ("publish to handler", "raw Kafka to consumer", "p50"): ("B8", at_most(3), at_most(1.8)),
    ("publish to handler", "raw Kafka to consumer", "p99"): ("B8", at_most(3), at_most(2)),
}
DAPR_INVOKE = 3.67
"""Dapr's own report of 1.18: the mean by two sidecars, of the mean without."""


def latency(settings: Settings) -> Figures:
    """A minute of the profile `latency`."""
    result = _run(settings, "latency")
    found = validity_of(result)
    for each in result.overheads:
        for figure in ("p50", "p99"):
            key = (each.name, each.beside, figure)
            if key in GATES:
                name, gate, moonshot = GATES[key]
                anchor, ratio = each.beside, each.ratios[figure]
                found[f"{name} {each.name}, {figure}"] = Measure(
                    **vars(ratio), anchor=anchor, gate=gate, moonshot=moonshot
                )
    found |= _jobs(result)
    for name in ("publish", "publish to handler", "page creates a task", "floor"):
        for figure in ("p50", "p99"):
            found[f"{name}, {figure}, ms"] = result.names[name].intended[figure]
    return found


def invoke(settings: Settings) -> Figures:
    """B9: calls at a rate that two cores hold, by 16 connections."""
    result = _run(settings, "invoke")
    each = next(e for e in result.overheads if e.name.startswith("invoke"))
    rate = result.profile.rates["Invoke"]
    found = validity_of(result)
    found["calls a second, both ways together"] = rate
    found["B9 mean"] = Measure(
        **vars(each.ratios["mean"]), anchor=f"directly; Dapr's report: {DAPR_INVOKE:g}",
        gate=around(DAPR_INVOKE, 0.15),
    )  # fmt: skip
    for figure, gate, moonshot in (("p50", 0.05, 0.02), ("p90", 0.05, 0.02), ("p99", 0.1, 0.1)):
        ratio = each.ratios[figure]
        found[f"{figure} / directly"] = ratio.value
        found[f"B9 {figure}, half-width of its interval"] = Measure(
            ratio.half_width, f"{ratio}", at_most(gate), at_most(moonshot)
        )
    for end in ("low", "value", "high"):
        found[f"two sidecars add, mean, ms, {end}"] = getattr(each.mean, end)
    return found


def _run(settings: Settings, name: str) -> Result:
    profile = read_profile(ROOT / "loadtests" / "profiles", name)
    with running(load, settings) as stack:
        return LoadRun(stack, profile, ROOT / "loadtests" / "locustfile.py").run()


def validity_of(result: Result) -> Figures:
    before, after = result.noise
    busiest = max(
        statistics.fmean(percent for _, percent in rows) for rows in result.generator.values()
    )
    return {
        "valid (1 yes)": float(result.valid),
        "noise probe before, us": before,
        "noise probe after, us": after,
        "slots late, p99, ms": result.late,
        "generator CPU, percent of a core": busiest,
        "CPU of the stack, percent of all cores": _cpu(result),
    }


def _cpu(result: Result) -> float:
    """What the processes of the stack have used on average, of the whole machine."""
    used = [
        statistics.fmean(percent for _, percent, _ in each.samples[1:])
        for each in result.processes.values()
    ]
    return sum(used) / (os.cpu_count() or 1)


def _jobs(result: Result) -> Figures:
    fired = result.names["job due-time error"].intended
    ledger = result.ledgers["job due-time error"]
    timer = result.names["asyncio timer"].intended
    wrong = ledger.early + ledger.lost
    late = "Dapr's tests allow 500 ms"
    return {
        "jobs": ledger.acknowledged,
        "B10 early or never": Measure(wrong, "none may be", at_most(0), at_most(0)),
        "B10 late, p99, ms": Measure(fired["p99"], late, at_most(100), at_most(25)),
        "late, p50, ms": fired["p50"],
        "asyncio timer late, p99, ms": timer["p99"],
        "schedule acknowledged, p50, ms": result.names["job schedule"].intended["p50"],
    }


def generator(_settings: Settings) -> Figures:
    """B12: a server that does nothing; B13: one that stands still."""
    port, idle = free_port(), free_port()
    commands = (
        ["-m", "tests.load.stall_server", f"127.0.0.1:{port}", f"{PERIOD}", f"{STALL}"],
        ["-m", "harness.load.generate.null_server", f"127.0.0.1:{idle}"],
    )
    servers = [subprocess.Popen([sys.executable, *each], cwd=ROOT) for each in commands]
    try:
        for number in (port, idle):
            poll(TcpCheck(Endpoint(LOOPBACK, number)).observe, Deadline(10))
        host = f"http://127.0.0.1:{port}"
        # One after the other: requests that a stall has kept are answered all at once, and what is
        # asked then waits for the generator.
        measured = {**_locust(f"http://127.0.0.1:{idle}", "Floor"), **_locust(host, "Get")}
        floor = measured["floor"].service["p50"]
        found: Figures = {"generator's floor, service, p50, ms": floor}
        if wrk := shutil.which("wrk"):
            theirs = _wrk(wrk, f"http://127.0.0.1:{idle}/")
            found["wrk, one connection, p50, ms"] = theirs
            found["B12 floor, p50"] = Measure(
                floor / theirs, "wrk, one connection", at_most(2.5), at_most(1.5)
            )
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    for percentile, (truth, gate, moonshot) in TRUTH.items():
        theirs, ours = (measured[n].intended[percentile] for n in ("the server's own", "get"))
        found[f"B13 {percentile} with stalls"] = Measure(
            ours / truth, f"arithmetic: {truth:g} ms", gate, moonshot
        )
        found[f"{percentile} / the server's own"] = ours / theirs
    return found


def _locust(host: str, *users: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "r.json"
        subprocess.run(
            [sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary",
             "--host", host, "--results", str(file), "-u", "2", "-r", "2", "-t", "60s",
             "--rate", f"{RATE}", "--steps", f"[[1, {SECONDS}]]", "--max-in-flight", "1000",
             "--arrivals", "constant", *users],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        return read(file)


def _wrk(program: str, url: str) -> float:
    """Its median of one connection, in milliseconds."""
    done = subprocess.run(
        [program, "-t1", "-c1", "-d5s", "--latency", url], capture_output=True, text=True
    )
    found = re.search(r"50%\s+([\d.]+)(us|ms)", done.stdout)
    assert found, done.stdout
    return float(found.group(1)) / (1000 if found.group(2) == "us" else 1)
