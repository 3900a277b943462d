"""What the components of the reference system must say, because no short test would notice."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support import ROOT


def test_an_event_is_delivered_again_for_as_long_as_it_takes() -> None:
    """With a limit, what comes during a longer outage would end as a dead letter (make soak)."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "components" / "resiliency.yaml").read_text())
    policies, targets = spec["spec"]["policies"]["retries"], spec["spec"]["targets"]["components"]

    assert -1 == policies[targets["pubsub"]["inbound"]["retry"]]["maxRetries"]
