"""Produces a record again as another client has produced it. It blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.core.errors import ProbeError
from harness.core.kafka_access import Brokers, client_settings

ACCEPTING = 15.0
"""Seconds within which the broker must accept it."""


def produce(
    brokers: Brokers,
    topic: str,
    *,
    partition: int,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    value: bytes,
) -> None:
    """Produce a record to the partition that it was in.

    Raises:
        ProbeError: the broker has not accepted it.
    """
    from confluent_kafka import KafkaException, Producer

    refused: list[str] = []

    def told(error: Any, _: object) -> None:
        if error is not None:
            refused.append(error.str())

    try:
        producer = Producer({**client_settings(brokers), "log_level": 0})
        producer.produce(
            topic, value, key=key, partition=partition, headers=[*headers], on_delivery=told
        )
        left = producer.flush(ACCEPTING)
    except (KafkaException, BufferError) as error:
        refused.append(str(error))
        left = 0
    if refused or left:
        raise ProbeError(
            f"a record could not be produced to {topic}[{partition}]",
            last="; ".join(refused) or "the broker does not respond",
            budget=ACCEPTING,
            hint=f"look at the log of the broker at {brokers}",
        )
