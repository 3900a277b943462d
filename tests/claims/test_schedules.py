"""What lint says of a cron binding's schedule, and what daprd does with it."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.dapr.lint import check_resources
from harness.dapr.resources import read_file
from harness.runtime.base import State
from harness.runtime.processes import ProcessRuntime
from tests.claims.alone import LONG, alive, outcome, start

pytestmark = pytest.mark.real

FIRE = (
    "* * * * *", "*/5 * * * *", "0 2 * * *", "* * * * * *", "*/5 * * * * *", "0 0 2 * * *",
    "15,45 9-17/2 * jan,MAR mon-fri", "0 0 ? * ?", "0 0 29 2 *", "5/10 * * * *", "0 0 31 2 1",
    "@every 1h", "@every 1h30m", "@daily", "@hourly", "@annually",
    "CRON_TZ=UTC 0 2 * * *", "TZ=Europe/Berlin  @daily", "0 0 */40 * *",
    "+5 * * * *", "*-7 * * * *", "0 0 * 2,4 sat,",
)  # fmt: skip
NEVER = ("0 0 31 2 *", "0 0 30 2 *", "0 0 0 31 4,6,9,11 *", "0 0 30,31 feb ?", ", * * * *")
REFUSED = (
    "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
    "* * * * 7", "* * * * sun-sat-mon", "*/0 * * * *", "*/2/3 * * * *", "5-1 * * * *", "x * * * *",
    "-5 * * * *", "fri * * * *", "@reboot", "@every soon", "@every", "@Daily", "@every 5",
    "2031-05-04T02:00:00Z", "every day",
)  # fmt: skip
COMPONENT = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component"}
NEXT_RUN = re.compile(r"name: (\w+), next run: (-?)")


class Accepting(BaseHTTPRequestHandler):
    """An app that has what Dapr calls; a binding is read only if there is one."""

    def do_GET(self) -> None:
        """What Dapr asks when it starts."""
        self.send_response(404 if self.path.startswith("/dapr") else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_OPTIONS = do_GET  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def app() -> Iterator[int]:
    """The port of such an app."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Accepting)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(folder: Path, name: str) -> str:
    """The worst that lint says of a component."""
    found = check_resources(list(read_file(folder / "r" / f"{name}.yaml")), ["app"], {}, folder)
    return next((each.severity for each in found), "fine")


def component(folder: Path, name: str, schedule: str) -> None:
    """The file of a binding, whose error does not end daprd."""
    fields = [{"name": "schedule", "value": schedule}, {"name": "direction", "value": "input"}]
    spec = {"type": "bindings.cron", "version": "v1", "ignoreErrors": True, "metadata": fields}
    text = json.dumps({**COMPONENT, "metadata": {"name": name}, "spec": spec})
    (folder / "r").mkdir(exist_ok=True)
    (folder / "r" / f"{name}.yaml").write_text(text)


@pytest.fixture
def runtime() -> Iterator[ProcessRuntime]:
    with ProcessRuntime({"PATH": os.environ["PATH"]}) as opened:
        yield opened


def test_a_zone_without_a_schedule_ends_daprd(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """By a panic, whatever the component says of errors; lint is there before."""
    component(tmp_path, "zone", "TZ=UTC")
    daprd, client = start(runtime, 0, tmp_path)
    client.close()

    def ended() -> Observation:
        return Observation(daprd.state is State.EXITED, str(daprd.state))

    assert (seen := poll(ended, Deadline(LONG))).ok, seen.fact
    assert "slice bounds out of range" in daprd.log.read_text()
    assert "error" == said(tmp_path, "zone")


def test_a_schedule_without_a_pause_fires_as_fast_as_it_can(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    """Which takes a processor; lint warns, and daprd does not."""
    component(tmp_path, "busy", "@every 0s")
    with app() as port:
        daprd, client = start(runtime, 0, tmp_path, {"log-level": "debug", "app-port": port})
        client.close()

        def fired() -> Observation:
            count = daprd.log.read_text().count("schedule fired")
            return alive(daprd, Observation(count > 100, f"fired {count} times"))

        assert (seen := poll(fired, Deadline(LONG))).ok, seen.fact
    assert "warning" == said(tmp_path, "busy")


def test_lint_finds_schedules_that_daprd_refuses_and_those_that_never_fire(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    """The next run of those is in the past: daprd has found none within five years."""
    schedules = {f"c{n:02}": text for n, text in enumerate((*FIRE, *NEVER, *REFUSED))}
    for name, schedule in schedules.items():
        component(tmp_path, name, schedule)
    with app() as port:
        flags = {"log-as-json": "true", "log-level": "debug", "app-port": port}
        daprd, client = start(runtime, 0, tmp_path, flags)
        client.close()
        told = outcome(daprd, len(schedules))
        loaded = [name for name in schedules if not told[name]]

        def planned() -> Observation:
            found = NEXT_RUN.findall(daprd.log.read_text())
            return alive(daprd, Observation(len(found) == len(loaded), f"{len(found)} planned"))

        assert (seen := poll(planned, Deadline(LONG))).ok, seen.fact
        never = {name for name, sign in NEXT_RUN.findall(daprd.log.read_text()) if sign}

    daprd_says = {
        text: "error" if told[name] else "warning" if name in never else "fine"
        for name, text in schedules.items()
    }
    assert {text: said(tmp_path, name) for name, text in schedules.items()} == daprd_says
    expected = ("fine", FIRE), ("warning", NEVER), ("error", REFUSED)
    assert {text: word for word, texts in expected for text in texts} == daprd_says
