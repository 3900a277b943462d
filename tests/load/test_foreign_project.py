"""`dapr-harness load` in a project that is not ours: its own app, topics, users and profile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.support import CLI, ROOT, environment, leftovers

pytestmark = pytest.mark.real

FILES = {
    "pyproject.toml": """
        [tool.dapr-harness]
        topology = "shop.system:topology"
    """,
    "shop/__init__.py": "",
    "shop/system.py": """
        from pathlib import Path
        from harness import App, Broker, Topology
        HERE = Path(__file__).parent
        topology = Topology(
            Broker(topics=["orders:3", "refunds:3", "returns:3", "probe:3"]),
            App("till", asgi="shop.till:app", cwd=HERE.parent, inbox=True),
            resources=HERE / "resources",
        )
    """,
    # It drops every fourth refund and tells daprd so with status 200: daprd does not retry.
    "shop/till.py": """
        import json
        SUBSCRIBED = [
            {"pubsubname": "messages", "topic": topic, "route": "/" + topic}
            for topic in ("orders", "refunds")
        ]
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                while (await receive())["type"] != "lifespan.shutdown":
                    await send({"type": "lifespan.startup.complete"})
                return await send({"type": "lifespan.shutdown.complete"})
            body = b""
            while (part := await receive()).get("more_body"):
                body += part.get("body", b"")
            body += part.get("body", b"")
            said = SUBSCRIBED if scope["path"] == "/dapr/subscribe" else {}
            if scope["path"] == "/refunds" and json.loads(body)["data"]["number"] % 4 == 0:
                said = {"status": "DROP"}
            text = json.dumps(said).encode()
            headers = [(b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": text})
    """,
    "shop/resources/messages.yaml": """
        apiVersion: dapr.io/v1alpha1
        kind: Component
        metadata: {name: messages}
        spec:
          type: pubsub.kafka
          version: v1
          metadata:
          - {name: brokers, value: "${broker.brokers}"}
          - {name: authType, value: none}
          - {name: initialOffset, value: oldest}
    """,
    "loadtests/locustfile.py": """
        from harness.load import dapr_users

        class Orders(dapr_users.Publish):
            app, pubsub, topic, name = "till", "messages", "orders", "publish an order"

            def data(self, arrival):
                return {"id": arrival.id, "sku": "book"}

        class Refunds(dapr_users.Publish):
            app, pubsub, topic = "till", "messages", "refunds"

        class Returns(dapr_users.Publish):
            app, pubsub, topic = "till", "messages", "returns"

        class Idle(dapr_users.Floor):
            pass
    """,
    "loadtests/profiles/sales.toml": """
        about = "Orders and refunds."
        warmup = 1
        steps = [[1, 8]]
        pairs = [["publish an order", "Refunds"]]
        raw_kafka = {topic = "probe", rate = 15}

        [rates]
        Orders = 15
        Refunds = 15
        Returns = 5
        Idle = 15

        [budgets."publish an order / Refunds"]
        p50 = 1000

        [budgets."publish an order to handler / raw Kafka to consumer"]
        p50 = 0.001
    """,
}


@pytest.mark.timeout(300)
def test_a_load_test_of_another_project_checks_losses_delivery_and_references(
    tmp_path: Path,
) -> None:
    """Events that an app drops are lost, although their status is 200; the exit code is 1.

    Events to which no app subscribes cannot be looked for: the run is invalid as well.
    """
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    variables = {
        **environment(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
    }  # fmt: skip
    done = subprocess.run(
        [*CLI, "load", "sales", "--runtime", "processes", "--broker", "kafka"],
        cwd=tmp_path, env=variables, capture_output=True, text=True,
    )  # fmt: skip

    file = tmp_path / "artefacts" / "load" / "sales.json"
    assert file.is_file(), done.stdout + done.stderr
    result = json.loads(file.read_text())
    orders = result["ledgers"]["publish an order to handler"]
    assert (0, "") == (orders["lost"], orders["problem"])
    assert orders["acknowledged"] > 40
    refunds = result["ledgers"]["Refunds to handler"]
    numbers = [int(each.rpartition("-")[2]) for each in refunds["lost_ids"]]
    assert refunds["lost"] > 0
    assert {0} == {number % 4 for number in numbers}
    references = {"raw Kafka acknowledged", "raw Kafka to consumer", "asyncio timer", "floor"}
    assert references < result["names"].keys()
    assert result["names"]["publish an order to handler"]["intended"]["count"] > 40
    assert {
        "publish an order / raw Kafka acknowledged",
        "publish an order to handler / raw Kafka to consumer",
        "publish an order / Refunds",
        "publish an order / floor",
    } <= {f"{each['name']} / {each['beside']}" for each in result["overheads"]}
    kept = {each["name"]: each["met"] for each in result["thresholds"]}
    assert (True, False) == (
        kept["lost: publish an order to handler"], kept["lost: Refunds to handler"],
    )  # fmt: skip
    assert (True, False) == (
        kept["publish an order / Refunds, p50"],
        kept["publish an order to handler / raw Kafka to consumer, p50"],
    )
    seen = {each["name"]: each for each in result["validity"] if "seen" in each["name"]}
    assert seen["seen: publish an order to handler"]["met"]
    nobody = seen["seen: Returns to handler"]
    assert (False, True) == (
        nobody["met"], "no app subscribes to 'returns' of 'messages'" in nobody["fact"],
    )  # fmt: skip
    assert not result["valid"]
    assert 1 == done.returncode, done.stderr
    page = (tmp_path / "artefacts" / "load" / "sales.html").read_text()
    assert re.search(r"lost: Refunds to handler", page)
    assert [] == leftovers(tmp_path)
