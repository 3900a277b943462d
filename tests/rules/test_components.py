"""What the components of the reference system must say, because no short test would notice."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from services.common.cron import fired_at
from services.common.sidecar import from_sidecar
from tests.services.routes import operations
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


def test_every_cron_binding_calls_a_route_of_its_apps_whose_work_is_done_once() -> None:
    """It fires in each replica: its route has the time of the tick, which one replica takes."""
    found = [component(path.name) for path in (ROOT / "components").glob("*.yaml")]
    bindings = [each for each in found if each["spec"].get("type") == "bindings.cron"]

    assert {"reminder-cron", "daily-cleanup"} == {each["metadata"]["name"] for each in bindings}
    for binding in bindings:
        for app in binding["scopes"]:
            name = binding["metadata"]["name"]
            (route,) = [each for each in operations(app) if each.path == f"/{name}"]
            assert fired_at in [each.call for each in route.dependant.dependencies]
            assert from_sidecar in [each.call for each in route.dependant.dependencies]


def test_live_updates_are_for_every_replica_and_from_now_on() -> None:
    """Otherwise a new pod would deliver the whole topic first; short tests have no whole topic."""
    updates = component("updates.yaml")
    fields = {each["name"]: each["value"] for each in updates["spec"]["metadata"]}

    assert ["frontend"] == updates["scopes"]
    assert ("{appID}-{podName}", "newest") == (fields["consumerID"], fields["initialOffset"])
