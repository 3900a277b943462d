"""The sidecar of the taps has a component of its own, made from the one of the apps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness import Topology
from harness.nodes.tap import TapSidecar
from tests.support import project
from tests.unit.test_environment import book_of

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: bus}
spec:
  type: pubsub.redis
  version: v1
  metadata:
  - {name: redisHost, value: there}
  - {name: ConsumerID, value: shop}
  - {name: Concurrency, value: "20"}
  - {name: protectedTopics, value: orders}
scopes: [shop]
"""


def test_a_tap_has_its_own_group_and_the_order_of_the_topic(tmp_path: Path) -> None:
    """What an app's component says of its group, its workers and its topics is not the tap's."""
    project(tmp_path, r__c_yaml=COMPONENT)
    book = book_of(tmp_path, resources="r")
    tap = TapSidecar("tap-1", pubsub="bus", find=book.pubsub)
    book.topology = Topology(tap, resources="r")

    files = tap.plan(book.scope(tap.name)).files
    found: list[Any] = [yaml.safe_load(text) for text in files.values() if "pubsub.redis" in text]

    (component,) = found
    values = {item["name"]: item["value"] for item in component["spec"]["metadata"]}
    assert {"redisHost": "there", "consumerID": "tap-1", "concurrency": "1"} == values
    assert "scopes" not in component
