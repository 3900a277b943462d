"""What a client is told about a stack that is not of its topology."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path

from harness.core.launch import InContainer, InProcess, Launch
from harness.stack.run_record import RunRecord, described


def test_a_difference_is_named_where_it_is() -> None:
    """Also in what only a process or a container has; texts that may be secret are not shown."""
    planned = Launch(
        "shop",
        ("serve",),
        env={"KEY": "secret"},
        process=InProcess(Path("/here")),
        container=InContainer("shop:1", files={"a.txt": "secret"}),
    )
    runs = Launch(
        "shop",
        ("serve",),
        env={"KEY": "other"},
        process=InProcess(Path("/there")),
        container=InContainer("shop:2", files={"a.txt": "other"}),
    )
    record = RunRecord("1", "containers", "auto", {}, {}, {}, {"shop": described(runs)})

    found = list(record.differences([planned]))

    assert [
        "shop: env KEY",
        "shop: process cwd is '/here' instead of '/there'",
        "shop: container image is 'shop:1' instead of 'shop:2'",
        "shop: container files a.txt",
    ] == found
    assert [] == list(record.differences([runs]))


def test_a_launch_is_described_by_all_that_it_consists_of() -> None:
    """Nested ones are on the same level, and what JSON does not have is text."""
    launch = Launch(
        "shop",
        ("serve", "8080"),
        env={"KEY": "value"},
        ports={"main": 8080},
        folders={"data": Path("/prepared")},
        stop_signal=signal.SIGINT,
        process=InProcess(Path("/here"), inherits=True),
        container=InContainer("shop:1", "pod", ("internal",), {"/names": "/there"}),
    )
    whole = json.loads(json.dumps(asdict(launch), default=str))
    parts = {name: whole.pop(name) for name in ("process", "container")}
    whole.pop("in_pod")

    found = described(launch)

    nested = {f"{name} {key}": each for name, part in parts.items() for key, each in part.items()}
    assert whole | nested == found
    assert {"data": "/prepared"} == found["folders"]
    assert ["internal"] in found.values()
