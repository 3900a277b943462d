"""A million events: what is seen of them is bounded, and says that it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.stack.account import MOST
from tests.projects import PYPROJECT
from tests.support import CLI, cli, environment, leftovers, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

EVENTS = 1_000_000

MEMORY = 1_500_000_000
"""Bytes of the command's memory, at most; a hundred thousand observations take about half of it."""

MEASURING = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:])
print(1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command, and prints how many bytes of memory it has used at most."""

TOPOLOGY = """
from harness import Kafka, Topology

mini = Topology(Kafka(topics=["many"]))
"""


def produce(address: str) -> None:
    """A million events on one partition, by a client that is not Dapr's."""
    from confluent_kafka import Producer

    producer = Producer(
        {"bootstrap.servers": address, "linger.ms": 50, "compression.type": "lz4",
         "queue.buffering.max.messages": 200_000}
    )  # fmt: skip
    event = {"specversion": "1.0", "source": "test", "type": "counted"}
    for number in range(EVENTS):
        value = json.dumps({**event, "id": f"e-{number}", "data": number})
        producer.produce("many", value)
        if number % 100_000 == 99_999:
            assert 0 == producer.flush(120)


def test_of_a_million_events_the_newest_are_seen_with_bounded_memory(tmp_path: Path) -> None:
    """The command says how many it knows, which are not all; the newest is the last one."""
    folder = project(tmp_path, pyproject_toml=PYPROJECT, topology_py=TOPOLOGY)
    assert 0 == cli(folder, "up", "--runtime", "processes", timeout=120).returncode
    try:
        (row,) = json.loads(cli(folder, "status", "--json").stdout)
        produce(next(each["endpoints"]["main"] for each in row["nodes"] if each["name"] == "kafka"))
        measured = subprocess.run(
            [sys.executable, "-c", MEASURING, *CLI, "ledger", "--limit", "3"],
            cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=200,
        )  # fmt: skip
    finally:
        down = cli(folder, "down")

    assert 0 == down.returncode
    assert [] == leftovers(folder)
    *lines, memory = measured.stdout.splitlines()
    assert [f"e-{EVENTS - back}" for back in (3, 2, 1)] == [each.split()[-1] for each in lines]
    told = re.search(r"the last 3 of (\d+) events", measured.stderr)
    assert told, measured.stderr
    assert MOST // 2 <= int(told[1]) <= MOST
    assert int(memory) < MEMORY
