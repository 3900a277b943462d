"""What CI keeps of a failing test: its JUnit file, and what the workers of xdist say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.plugin.conftest import Run
from tests.projects import COMPONENT, HELLO_APP
from tests.support import cli, leftovers

pytestmark = pytest.mark.real

POISONED = HELLO_APP.replace(
    "    def do_OPTIONS(self):",
    """\
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_OPTIONS(self):""",
).replace(
    # In one piece: the event is delivered again while the test asks.
    'print("asked", self.path, flush=True)',
    'os.write(1, b"asked " + self.path.encode() + b"\\nagain" * 3 + b"\\n")',
)
SUBSCRIPTION = """\
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: orders}
spec: {pubsubname: pubsub, topic: orders, routes: {default: /orders}}
"""
BROKER = """
import sys
import pytest
from harness import App, Kafka, Topology

@pytest.fixture(scope="session")
def dapr_topology():
    app = App("hello", command=[sys.executable, "hello.py", "{port}"])
    return Topology(Kafka(topics=["orders"]), app, resources="components")
"""


@pytest.fixture
def resources(folder: Path) -> Path:
    """A subscription to a topic on Kafka."""
    made = folder / "components"
    made.mkdir()
    (made / "pubsub.yaml").write_text(COMPONENT.replace("value: x", "value: ${kafka.brokers}"))
    (made / "orders.yaml").write_text(SUBSCRIPTION)
    return made


@pytest.mark.usefixtures("resources")
def test_the_junit_file_has_the_logs_and_says_whose_event_is_in_the_way(
    inner: Run, folder: Path
) -> None:
    """A test that passes has no section; the poison of an earlier one is named with it."""
    result = inner(
        """
        def test_poison(dapr_sync):
            dapr_sync.sidecar("hello").publish("pubsub", "orders", {"poison": 1})
            assert dapr_sync.topic("orders").next(timeout=60).data == {"poison": 1}

        def test_victim(dapr_sync):
            dapr_sync.app("hello").get("/during")
            dapr_sync.sidecar("hello").publish("pubsub", "orders", {"mine": 1})
            assert False, "my event was not handled"
        """,
        "--junitxml=report.xml",
        conftest=BROKER,
        app=POISONED,
    )

    result.assert_outcomes(passed=1, failed=1)
    cases = {
        each.get("name"): [found.text or "" for found in each.iter("system-out")]
        for each in ET.parse(folder / "report.xml").iter("testcase")
    }
    assert cases["test_poison"] == []
    text = "\n".join(cases["test_victim"])
    log = text.partition("--- dapr-harness: log of hello during this test ---\n")[2]
    assert "asked /during\nagain\n[the last line repeated 2 more times; " in log
    held = r"group hello has committed nothing of orders\[0\], whose offset 0 is an event "
    assert re.search(held + r"that was written while \S+::test_poison ran: .*'poison': 1", text)


def test_a_topic_that_does_not_exist_is_a_failure_that_names_it(
    inner: Run, resources: Path
) -> None:
    """FAILED: the system subscribes to a topic that does not exist."""
    (resources / "orders.yaml").write_text(SUBSCRIPTION.replace("topic: orders", "topic: ordres"))
    result = inner("async def test_one(dapr): pass", conftest=BROKER)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "group 'hello' subscribes to topic 'ordres', which does not exist",
            "*did you mean 'orders'?*",
        ]
    )


def test_the_stack_that_workers_of_xdist_share_is_left_up_once(inner: Run, folder: Path) -> None:
    """Both have a failing test, and one of them reports it; the printed command stops it."""
    result = inner(
        """
        import pytest

        @pytest.mark.parametrize("n", range(2))
        async def test_failing(dapr, n):
            assert False
        """,
        "--dapr-keep",
        "-n2",
        "--dist=each",
    )

    result.assert_outcomes(failed=4)
    (name,) = re.findall(r"gw\d: .*dapr-harness down --name (\S+)", result.stdout.str())
    assert 1 == result.stdout.str().count("was left running")
    rows = json.loads(cli(folder, "status", "--name", name, "--json").stdout)
    assert {"healthy", "running"} == {node["state"] for node in rows[0]["nodes"]}
    assert 0 == cli(folder, "down", "--name", name).returncode
    assert [] == leftovers(folder)
