"""What a Prometheus endpoint returns, as metrics."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from harness.otlp.attributes import fill
from harness.otlp.signals import request_of

_DECLARED = re.compile(r"^# TYPE (\S+) counter", re.MULTILINE)

CUMULATIVE = 2
"""AGGREGATION_TEMPORALITY_CUMULATIVE."""


def metrics_request(text: str, resource: Mapping[str, str], began: int) -> bytes:
    """A request with every metric of a text.

    Args:
        text: in Prometheus's format.
        resource: the attributes of the node.
        began: when its counters began, in nanoseconds since the epoch.

    Raises:
        ValueError: the text is not in this format.
    """
    request = request_of("metrics")
    group = request.resource_metrics.add()
    fill(group.resource.attributes, resource)
    scope = group.scope_metrics.add()
    scope.scope.name = "dapr-harness"
    moments = {"time_unix_nano": time.time_ns(), "start_time_unix_nano": began}
    declared = set(_DECLARED.findall(text))
    for family in text_string_to_metric_families(text):
        if family.samples:
            # The parser takes `_total` from the name of a counter that has it.
            name = family.name if family.name in declared else f"{family.name}_total"
            name = name if family.type == "counter" else family.name
            made = scope.metrics.add(name=name, description=family.documentation)
            _FILLED.get(family.type, _gauge)(made, family, moments)
    body: bytes = request.SerializeToString()
    return body


def _gauge(made: Any, family: Metric, moments: Mapping[str, int]) -> None:
    made.gauge.SetInParent()
    for sample in family.samples:
        point = made.gauge.data_points.add(as_double=sample.value, **moments)
        fill(point.attributes, sample.labels)


def _counter(made: Any, family: Metric, moments: Mapping[str, int]) -> None:
    made.sum.is_monotonic, made.sum.aggregation_temporality = True, CUMULATIVE
    for sample in family.samples:
        if sample.name.endswith("_created"):
            continue
        point = made.sum.data_points.add(as_double=sample.value, **moments)
        fill(point.attributes, sample.labels)


def _histogram(made: Any, family: Metric, moments: Mapping[str, int]) -> None:
    made.histogram.aggregation_temporality = CUMULATIVE
    for labels, samples in _by_labels(family.samples, "le").items():
        point = made.histogram.data_points.add(**moments)
        fill(point.attributes, dict(labels))
        buckets = sorted(
            (float(each.labels["le"]), each.value) for each in samples if "le" in each.labels
        )
        before = 0.0
        for bound, value in buckets:
            if not math.isinf(bound):
                point.explicit_bounds.append(bound)
            point.bucket_counts.append(round(value - before))
            before = value
        point.count, point.sum = _total(samples, "_count"), _total(samples, "_sum")


def _summary(made: Any, family: Metric, moments: Mapping[str, int]) -> None:
    made.summary.SetInParent()
    for labels, samples in _by_labels(family.samples, "quantile").items():
        point = made.summary.data_points.add(**moments)
        fill(point.attributes, dict(labels))
        for each in samples:
            if "quantile" in each.labels:
                quantile = float(each.labels["quantile"])
                point.quantile_values.add(quantile=quantile, value=each.value)
        point.count, point.sum = _total(samples, "_count"), _total(samples, "_sum")


_FILLED = {"counter": _counter, "histogram": _histogram, "summary": _summary}


def _total(samples: Iterable[Sample], suffix: str) -> Any:
    value = next((each.value for each in samples if each.name.endswith(suffix)), 0.0)
    return round(value) if suffix == "_count" else value


def _by_labels(
    samples: Iterable[Sample], without: str
) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
    """The samples of each point: those whose other labels are the same."""
    found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for each in samples:
        if not each.name.endswith("_created"):
            key = tuple(sorted((name, v) for name, v in each.labels.items() if name != without))
            found.setdefault(key, []).append(each)
    return found
