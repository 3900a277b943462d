"""What the components of the reference system must say, because no short test would notice."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support import ROOT


def component(file: str) -> dict[str, Any]:
    """One of the reference system's resources."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "components" / file).read_text())
    return found


@pytest.mark.parametrize("pubsub", ["pubsub", "updates"])
def test_an_event_is_delivered_again_for_as_long_as_it_takes(pubsub: str) -> None:
    """With a limit, what comes during a longer outage would end as a dead letter (make soak)."""
    spec = component("resiliency.yaml")["spec"]
    policies, targets = spec["policies"]["retries"], spec["targets"]["components"]

    assert -1 == policies[targets[pubsub]["inbound"]["retry"]]["maxRetries"]


def test_no_cron_binding_runs_the_work_of_a_system() -> None:
    """It would run once for each replica; a job runs once for all of them."""
    types = {component(path.name)["spec"].get("type") for path in (ROOT / "components").glob("*")
             if path.suffix == ".yaml"}  # fmt: skip

    assert "pubsub.kafka" in types
    assert "bindings.cron" not in types


def test_live_updates_are_for_every_replica_and_from_now_on() -> None:
    """Otherwise a new pod would deliver the whole topic first; short tests have no whole topic."""
    updates = component("updates.yaml")
    fields = {each["name"]: each["value"] for each in updates["spec"]["metadata"]}

    assert ["frontend"] == updates["scopes"]
    assert ("{appID}-{podName}", "newest") == (fields["consumerID"], fields["initialOffset"])
