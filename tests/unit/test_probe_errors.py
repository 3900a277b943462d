"""Probes raise the project's own errors, with the reason, if their source does not respond."""

from __future__ import annotations

import pytest

from harness import ProbeError
from harness.core.endpoint import Endpoint
from harness.core.ports import free_port
from harness.probe.metrics import total
from harness.probe.table import Table


def test_a_table_that_cannot_be_read_is_named_with_the_reason() -> None:
    """And without the password."""
    table = Table(f"postgresql://me:hidden@127.0.0.1:{free_port()}/todo", "tasks")

    with pytest.raises(ProbeError, match="table tasks cannot be read") as caught:
        table.rows()

    assert "refused" in caught.value.last
    assert "hidden" not in str(caught.value)


def test_metrics_that_cannot_be_read_are_named_with_the_reason() -> None:
    """Of a sidecar that has ended, say."""
    endpoint = Endpoint("127.0.0.1", free_port())

    with pytest.raises(ProbeError, match=f"the metrics at {endpoint} cannot be read") as caught:
        total(endpoint, "dapr_x", {})

    assert "ConnectError" in caught.value.last
