"""A sidecar's metrics, by their Prometheus names."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from harness.core.endpoint import Endpoint
from harness.core.errors import ProbeError
from harness.ready.loopback import ask


def samples(endpoint: Endpoint) -> Iterator[Sample]:
    """Every sample that a metrics port returns now: its ``name``, ``labels`` and ``value``.

    Raises:
        ProbeError: the port does not respond.
    """
    try:
        text = ask("GET", f"{endpoint.http}/").raise_for_status().text
    except httpx.HTTPError as error:
        raise ProbeError(
            f"the metrics at {endpoint} cannot be read",
            last=f"{type(error).__name__}: {error}",
            hint="was its sidecar stopped? look at its log",
        ) from error
    for family in text_string_to_metric_families(text):
        yield from family.samples


def total(endpoint: Endpoint, name: str, labels: dict[str, str]) -> float:
    """The sum of a metric's samples that have these labels; 0 as long as nothing was counted."""
    wanted = labels.items()
    # Prometheus's parser adds `_total` to a counter, and the names of daprd's counters lack it.
    names = (name, f"{name}_total")
    return sum(s.value for s in samples(endpoint) if s.name in names and wanted <= s.labels.items())
