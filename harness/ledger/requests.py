"""Requests of sidecars to apps that are neither events nor jobs: invocations, input bindings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.core.observation import Occurrence


@dataclass(frozen=True)
class Request:
    """A request of a sidecar to its app.

    Attributes:
        app: the app; its replicas have the same.
        node: the app's node: one of the replicas.
        path: without a query.
        data: the decoded body.
        time: when daprd sent it, in nanoseconds since the epoch.
        took: seconds until the response.
        status: of the response.
        answer: the body of the response.
        failed: ``before`` or ``after`` the app did its work, if the inbox responded in its place.
        headers: of the request, names in lower case.
    """

    app: str
    node: str
    method: str
    path: str
    data: Any
    time: int
    took: float
    status: int
    answer: str
    failed: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def requests_of(
    occurrences: Iterable[Occurrence],
    apps: dict[str, str],
    of_ledger: Callable[[Occurrence], bool],
) -> list[Request]:
    """The requests among what was observed, in the order of time.

    Args:
        occurrences: in any order.
        apps: the app of each replica, by the replica's node.
        of_ledger: whether an occurrence is an event or a job.
    """
    found = [each for each in occurrences if each.source == "delivery" and not of_ledger(each)]
    return [_request(each, apps) for each in sorted(found, key=lambda each: each.time)]


def _request(each: Occurrence, apps: dict[str, str]) -> Request:
    facts = each.facts
    path = str(facts["path"]).partition("?")[0]
    return Request(
        apps.get(each.node, each.node), each.node, facts["method"], path, each.payload, each.time,
        each.took or 0.0, facts["status"], facts["answer"], facts["failed"],
        facts["headers"],
    )  # fmt: skip
