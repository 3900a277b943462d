"""A daprd without an app and without a control plane, on a folder of resources."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from harness import Settings
from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import InProcess, Launch
from harness.dapr.client import DaprClient
from harness.provision.toolbox import Provisioner
from harness.runtime.base import Instance, State
from harness.runtime.processes import ProcessRuntime
from tests.support import whole_lines

LONG = 120.0
"""Seconds for a daprd to answer or to end, on a machine that is busy."""


SAID = re.compile(
    r"(?P<loaded>Component loaded: (?P<name>\S+) )"
    r"|(Failed to init component |Ignoring error processing component: process component )"
    r"(?P<refused>\S+) (?P<why>.*)",
    re.DOTALL,
)


def start(
    runtime: ProcessRuntime,
    number: int,
    folder: Path,
    more: Mapping[str, object] | None = None,
) -> tuple[Instance, DaprClient]:
    """A daprd alone, with a folder of resources as it is.

    Args:
        folder: its working folder, which has the resources in ``r``.
        more: flags, by name.
    """
    ports = {name: runtime.reserve() for name in ("http", "grpc", "internal", "metrics")}
    flags: dict[str, object] = {
        "app-id": "app",
        "resources-path": str(folder / "r"),
        "dapr-http-port": ports["http"].port,
        "dapr-grpc-port": ports["grpc"].port,
        "dapr-internal-grpc-port": ports["internal"].port,
        "metrics-port": ports["metrics"].port,
        "dapr-listen-addresses": "127.0.0.1",
        "dapr-graceful-shutdown-seconds": 1,
        **(more or {}),
    }
    program = str(Provisioner(Settings.load()).path("daprd"))
    argv = (program, *(f"--{key}={value}" for key, value in flags.items()))
    held = {name: each.port for name, each in ports.items()}
    launch = Launch(f"daprd-{number}", argv, ports=held, process=InProcess(folder))
    return runtime.start(launch), DaprClient(ports["http"])


def alive(daprd: Instance, seen: Observation) -> Observation:
    """What was seen, unless daprd has ended."""
    assert daprd.state is not State.EXITED, daprd.log.read_text()
    return seen


def outcome(daprd: Instance, count: int) -> dict[str, str]:
    """By component, as soon as there are so many: "" if it was loaded, otherwise why it was not.

    The log is JSON, and no component ends daprd.
    """

    def decided() -> Observation:
        found = _verdicts(daprd)
        return alive(daprd, Observation(len(found) == count, f"{len(found)} of {count}: {found}"))

    seen = poll(decided, Deadline(LONG))
    assert seen.ok, seen.fact
    return _verdicts(daprd)


def _verdicts(daprd: Instance) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in whole_lines(daprd.log):
        match = SAID.match(json.loads(line)["msg"]) if line.startswith("{") else None
        if match and match["loaded"]:
            found[match["name"]] = ""
        elif match:
            found.setdefault(match["refused"], match["why"])
    return found
