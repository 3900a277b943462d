"""Rules that find the probable cause of a failure in a bundle: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.bundle.causes.components import (
    component_not_loaded,
    component_unknown,
    events_forbidden,
    invoked_app_unknown,
    token_refused,
)
from harness.bundle.causes.deliveries import (
    app_rejects_event,
    event_expired,
    group_without_member,
    held_up,
    not_a_cloud_event,
    publish_failed,
    subscription_missing,
)
from harness.bundle.causes.processes import (
    broker_unavailable,
    node_exited,
    port_taken,
    start_failed,
    stopped_by_the_test,
)
from harness.bundle.causes.values import clock_differs, key_collision
from harness.bundle.model import Bundle, Cause

Rule = Callable[[Bundle], Iterator[Cause]]

RULES: tuple[Rule, ...] = (
    port_taken,
    node_exited,
    component_not_loaded,
    start_failed,
    broker_unavailable,
    stopped_by_the_test,
    # What the error itself says comes before what has happened besides.
    component_unknown,
    events_forbidden,
    invoked_app_unknown,
    key_collision,
    token_refused,
    not_a_cloud_event,
    app_rejects_event,
    event_expired,
    subscription_missing,
    publish_failed,
    group_without_member,
    held_up,
    clock_differs,
)
"""The order matters: what explains others comes first."""


def causes_of(bundle: Bundle) -> list[Cause]:
    """The probable causes, the best first; each is a fact of the bundle, not a guess."""
    return [cause for rule in RULES for cause in rule(bundle)]
