"""What lint says of 200 generated components, and what daprd does with the same files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings

from harness.dapr.lint import check_resources
from harness.dapr.resources import read_file
from harness.runtime.processes import ProcessRuntime
from tests.claims.alone import outcome, start
from tests.claims.generating import SLOW, SOUND, Sample, samples

pytestmark = pytest.mark.real

NO_SERVER = re.compile(
    r"connection refused|failed to establish connection|error connecting to redis"
    r"|run out of available brokers|deadline exceeded",
    re.IGNORECASE,
)
"""What a component says that has read its metadata, and then looked for its server."""


def generated(count: int, sound: Mapping[str, Mapping[str, str]]) -> list[Sample]:
    """So many components; always the same ones on CI."""
    found: list[Sample] = []

    @settings(
        max_examples=count, derandomize="CI" in os.environ, database=None,
        phases=[Phase.generate],
    )  # fmt: skip
    @given(samples(sound))
    def keep(sample: Sample) -> None:
        found.append(sample)

    keep()
    return found


@pytest.fixture(scope="module")
def runtime() -> Iterator[ProcessRuntime]:
    with ProcessRuntime({"PATH": os.environ["PATH"]}) as opened:
        yield opened


def judged(folder: Path, name: str) -> str:
    """The worst that lint says of a component."""
    found = check_resources(list(read_file(folder / "r" / f"{name}.yaml")), ["app"], {}, folder)
    severities = {each.severity for each in found}
    return next((each for each in ("error", "warning") if each in severities), "fine")


def test_what_lint_refuses_daprd_refuses_and_what_it_finds_nothing_in_daprd_takes(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    """Two hundred files, one daprd that goes on after each error."""
    found = [*generated(180, SOUND), *generated(20, SLOW)]
    (tmp_path / "r").mkdir()
    (tmp_path / "secrets.json").write_text('{"a": "b"}')
    files = {f"c{number:03}": sample for number, sample in enumerate(found)}
    for name, sample in files.items():
        (tmp_path / "r" / f"{name}.yaml").write_text(sample.text(name))
    daprd, client = start(runtime, 0, tmp_path, {"log-as-json": "true"})
    client.close()

    told = outcome(daprd, len(files))
    refused = {name: "" if NO_SERVER.search(why) else why for name, why in told.items()}
    lint = {name: judged(tmp_path, name) for name in files}
    # A sample of one kind only would prove nothing.
    assert {"error", "warning", "fine"} == set(lint.values())
    assert len([name for name in files if refused[name]]) > 20
    assert {} == {
        f"{files[name]}": (lint[name], refused[name][:200])
        for name in files
        if (lint[name] == "error" and not refused[name]) or (lint[name] == "fine" and refused[name])
    }
