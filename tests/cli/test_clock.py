"""``clock``: the time of a stack that is up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import cli

pytestmark = pytest.mark.real


def test_a_shell_moves_the_time_of_a_stack(mini: Path) -> None:
    """And is told what is wrong with what it asks."""
    topology = mini / "topology.py"
    topology.write_text(topology.read_text().replace('"{port}"]))', '"{port}"]), time="virtual")'))
    assert cli(mini, "up").returncode == 0

    before = json.loads(cli(mini, "clock", "--json").stdout)
    moved = cli(mini, "clock", "advance", "28 days")
    after = json.loads(cli(mini, "clock", "run-until-idle", "--json").stdout)
    wrong = [cli(mini, "clock", *words) for words in (("back",), ("advance",), ("freeze", "1"))]

    assert "fired: 0" in moved.stdout
    assert (before["fired"], before["speed"], before["next_due"]) == (0, 0.0, None)
    assert before["now"][:10] < after["now"][:10]
    assert after["now"] in moved.stdout
    assert [2, 2, 2] == [each.returncode for each in wrong]
    assert "a clock has no 'back'" in wrong[0].stderr
    assert cli(mini, "down").returncode == 0


def test_a_stack_with_real_time_has_no_clock(mini: Path) -> None:
    """In a sentence."""
    assert cli(mini, "up").returncode == 0
    told = cli(mini, "clock", "advance", "1 day")

    assert 2 == told.returncode
    assert "follows real time" in told.stderr
    assert cli(mini, "down").returncode == 0


CRON = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: nightly}
spec:
  type: bindings.cron
  version: v1
  metadata:
    - {name: schedule, value: "@every 24h"}
    - {name: route, value: /at/night}
    - {name: direction, value: input}
"""


def test_a_shell_ticks_a_cron_binding_in_real_time(mini: Path) -> None:
    """By the route of its component; a name that is not there is refused."""
    (mini / "components").mkdir()
    (mini / "components" / "nightly.yaml").write_text(CRON)
    app, topology = mini / "hello.py", mini / "topology.py"
    app.write_text(
        app.read_text().replace("def do_OPTIONS", "do_POST = do_GET\n\n    def do_OPTIONS")
    )
    there = '"{port}"]), resources="components")'
    topology.write_text(topology.read_text().replace('"{port}"]))', there))
    assert cli(mini, "up").returncode == 0

    told = cli(mini, "clock", "tick", "nightly")
    ticked = json.loads(cli(mini, "clock", "tick", "nightly", "--json").stdout)
    wrong = [cli(mini, "clock", "tick", *words) for words in (("nightli",), ())]

    assert "hello: 200 hello" in told.stdout
    assert [{"app": "hello", "status": 200, "text": "hello"}] == ticked["answers"]
    assert ticked["at"].endswith("+00:00")
    assert [2, 2] == [each.returncode for each in wrong]
    assert "did you mean 'nightly'?" in wrong[0].stderr
    assert "needs the name of a cron binding" in wrong[1].stderr
    assert cli(mini, "logs", "hello").stdout.count("asked /at/night") == 2
    assert cli(mini, "down").returncode == 0
