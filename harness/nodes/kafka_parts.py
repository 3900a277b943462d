"""Removes what the sidecars of one namespace have on a broker that others use, too."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future

from harness.core.kafka_access import Brokers
from harness.ready.kafka import UNANSWERED, admin_of, group_names

ANSWERING = 10.0
"""Seconds within which the broker must respond."""


def delete_named(brokers: Brokers, prefix: str) -> None:
    """Delete the consumer groups and topics whose names begin with a prefix.

    Raises:
        KafkaException, TimeoutError: the broker does not respond, or rejects it.
    """
    admin = admin_of(brokers)
    groups = [name for name in group_names(admin, ANSWERING) if name.startswith(prefix)]
    if groups:
        _await(admin.delete_consumer_groups(groups, request_timeout=UNANSWERED).values())
    known = admin.list_topics(timeout=ANSWERING).topics
    topics = [name for name in known if name.startswith(prefix)]
    if topics:
        _await(admin.delete_topics(topics, request_timeout=UNANSWERED).values())


def _await(futures: Iterable[Future[None]]) -> None:
    for each in futures:
        each.result(ANSWERING)
