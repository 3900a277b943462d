"""Which topic a sidecar delivers to which path of its app, as far as it is known. It blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import httpx

from harness.core.observation import Occurrence
from harness.core.roles import HasSidecar
from harness.core.tracing import NOT_SAMPLED
from harness.dapr.model import Metadata, Subscription
from harness.dapr.resources import plain_fields
from harness.dapr.state_keys import prefix_of
from harness.ledger.model import Names
from harness.probe.deliveries import Delivery
from harness.probe.records import decoded
from harness.ready.loopback import ask
from harness.stack.stack import Stack

SUBSCRIBE = "/dapr/subscribe"
"""The path at which daprd asks an app for its subscriptions."""

ANSWERING = 1.0
"""Seconds within which a sidecar responds, unless it is stopped."""

Route = tuple[str, str]
"""An app, and a path of its API."""


class Routes:
    """Learns what the names in observations of a stack stand for.

    Args:
        stack: a running stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._topics = defaultdict[Route, frozenset[str]](frozenset)
        self._unknown: set[Route] = set()
        self._has_state = False
        self._apps = apps_of(stack)

    def names(self) -> Names:
        """What is known."""
        self._ask_sidecars()
        shared = self._shared if self._has_state else frozenset()
        return Names(dict(self._topics), self._apps, self._stack.book.namespace, shared)

    def see(self, node: str, delivery: Delivery) -> None:
        """Learn from a request to an app.

        Args:
            node: the app's node.
            delivery: what it received, and its answer.
        """
        app = self._apps.get(node, node)
        if delivery.path == SUBSCRIBE:
            self._learn(app, _subscriptions_in(delivery))

    def meet(self, each: Occurrence) -> None:
        """Note the path of an event, so that its topic is asked for if it is not known."""
        route = self._apps.get(each.node, each.node), each.facts["path"]
        # On other brokers than Kafka, a delivery does not say where it comes from.
        is_event = each.facts.get("origin") or each.facts.get("event")
        if is_event and route not in self._topics:
            self._unknown.add(route)

    def see_call(self, call: Occurrence) -> None:
        """Note a call of the API of a sidecar: the keys of its state stores may be shared."""
        self._has_state = self._has_state or call.facts.get("api") == "state"

    @cached_property
    def _shared(self) -> frozenset[tuple[str, str]]:
        """The apps and state stores whose keys are not those of one app."""
        return frozenset(
            (self._apps.get(sidecar.app, sidecar.app), each.name)
            for sidecar in self._stack.topology.sidecars()
            for each in self._stack.book.resources(sidecar.name)
            if each.type.startswith("state.")
            and not prefix_of(each.name, plain_fields(each).get("keyprefix", ""), "").by_app
        )

    def _ask_sidecars(self) -> None:
        """One of an app that is stopped is asked again next time."""
        apps = {app for app, _ in self._unknown}
        for sidecar in self._stack.topology.sidecars():
            if self._apps.get(sidecar.app, sidecar.app) in apps:
                self._learn(
                    self._apps.get(sidecar.app, sidecar.app), self._subscriptions_of(sidecar.name)
                )
        self._unknown -= set(self._topics)

    def _learn(self, app: str, found: Iterable[Subscription]) -> None:
        for each in found:
            for path in each.routes:
                self._topics[app, path] |= {each.topic}

    def _subscriptions_of(self, sidecar: str) -> Iterable[Subscription]:
        answer = ask_sidecar(self._stack, sidecar, "/v1.0/metadata")
        return Metadata.parse(answer.json()).subscriptions if answer is not None else ()


def apps_of(stack: Stack) -> dict[str, str]:
    """The app of each replica, by its node and by its app-id."""
    first: dict[str, str] = {}
    nodes = [each for each in stack.topology.nodes if isinstance(each, HasSidecar)]
    for each in nodes:
        first.setdefault(each.app_id, each.name)
    return first | {each.name: first[each.app_id] for each in nodes}


def ask_sidecar(stack: Stack, sidecar: str, path: str) -> httpx.Response | None:
    """The response of a sidecar; None if it does not respond, or responds with an error."""
    address = stack.book.endpoint(sidecar, "http")
    token = stack.book.exports(sidecar)["token"]
    headers = NOT_SAMPLED | ({"dapr-api-token": token} if token else {})
    try:
        answer = ask("GET", f"{address.http}{path}", headers=headers, timeout=ANSWERING)
    except httpx.HTTPError:
        return None
    return answer if answer.is_success else None


def _subscriptions_in(delivery: Delivery) -> Iterator[Subscription]:
    """What an app has told its sidecar."""
    rows: Any = decoded(delivery.answer)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping):
            yield Subscription(
                row.get("pubsubname", ""),
                row.get("topic", ""),
                "PROGRAMMATIC",
                tuple(_routes_in(row)),
                row.get("deadLetterTopic", ""),
            )


def _routes_in(row: Mapping[str, Any]) -> Iterator[str]:
    routes = row.get("routes") or {}
    yield from (rule.get("path", "") for rule in routes.get("rules") or ())
    yield from (each for each in (routes.get("default"), row.get("route")) if each)
