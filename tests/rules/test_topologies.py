"""The scenarios' systems fit the settings with which the jobs of CI run them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.rules import resolving
from tests.rules.test_workflow import JOBS
from tests.support import ROOT, environment

Found = tuple[str, list[Any]]


def jobs() -> Iterator[tuple[str, str, str]]:
    """Each job that runs scenarios: its name, its broker, and where they run."""
    for name, job in JOBS.items():
        for step in job["steps"]:
            if step.get("run", "").startswith("make test"):
                runtimes = re.search(r"RUNTIMES=(\S+)", step["run"])
                broker = job.get("env", {}).get("DAPR_HARNESS_BROKER", "auto")
                yield name, broker, runtimes[1] if runtimes else "processes"


def not_started(folder: Path, broker: str, runtimes: str) -> Found:
    """Set up every scenario without starting anything.

    Returns:
        What pytest printed; and of each system its runtime, its setting, and its brokers, each with
        its class, its name and its mechanism.
    """
    notes = folder / "notes"
    # On CI, a skip would be an error.
    variables = {"CI": "", "DAPR_HARNESS_BROKER": broker, resolving.NOTES: str(notes)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", resolving.__name__, "-p", "no:cacheprovider",
         "--setup-only", f"--dapr-runtime={runtimes}", "scenarios"],
        cwd=ROOT, env=environment(folder, **variables), capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout, [json.loads(line) for line in notes.read_text().splitlines()]


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Found]:
    """What `not_started` returns: jobs with the same settings start the same systems."""

    @cache
    def look(broker: str, runtimes: str) -> Found:
        return not_started(tmp_path_factory.mktemp("job"), broker, runtimes)

    return look


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("job", "broker", "runtimes"), [*jobs()])
def test_every_system_that_the_scenarios_start_fits_the_settings_of_a_job(
    resolved: Callable[[str, str], Found], job: str, broker: str, runtimes: str
) -> None:
    """None is refused; those with credentials are Kafka, whatever `Broker` is."""
    printed, seen = resolved(broker, runtimes)

    assert [] == re.findall("^ERROR .*", printed, re.MULTILINE), f"{job}: {printed[-3000:]}"
    expected = "Redpanda" if broker == "redpanda" else "Kafka"
    brokers = [each for _, _, found in seen for each in found]
    assert [expected, "broker", ""] in brokers
    assert ["Kafka", "broker", "PLAIN"] in brokers
    assert ["Kafka", "broker", "SCRAM-SHA-512"] in brokers
    assert {broker} == {setting for _, setting, _ in seen}


def test_the_scenarios_run_in_a_job_with_redpanda_and_in_one_on_processes() -> None:
    assert {("redpanda", "containers"), ("auto", "processes")} == {each[1:] for each in jobs()}
