"""The readiness checks that query a sidecar.

Healthy is not ready: ``healthz`` succeeds although a subscription has failed, although components
were skipped, and before the scheduler stream is up. Each check tests one of these by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness.core.deadline import Observation
from harness.core.endpoint import Endpoint
from harness.core.errors import DaprError, LaunchError
from harness.dapr.model import Metadata
from harness.dapr.status import Sidecar
from harness.dapr.subscribe import Subscribed, ask_subscriptions
from harness.ready.local_http import UNANSWERED


@dataclass
class HealthCheck:
    """``/v1.0/healthz`` (or its outbound half) answers 204.

    Attributes:
        waits_for: the node whose readiness it waits for, and which is to blame if it is not ready.
    """

    client: Sidecar
    outbound: bool
    name: str
    waits_for: str = ""

    def observe(self) -> Observation:
        """Send one request; an unready sidecar names its unready parts."""
        return _observed(lambda: self.client.health(outbound=self.outbound), lambda _: (True, "ok"))


@dataclass
class MetadataCheck:
    """The sidecar reports it in ``/v1.0/metadata``.

    Attributes:
        judge: takes the metadata, returns whether it meets the condition, and the fact in words.
        warn: takes metadata that meets the condition, returns a warning to report.
    """

    client: Sidecar
    name: str
    judge: Callable[[Metadata], tuple[bool, str]]
    warn: Callable[[Metadata], str] = lambda _: ""

    def observe(self) -> Observation:
        """Send one request."""
        warning = ""

        def judge(seen: Metadata) -> tuple[bool, str]:
            nonlocal warning
            warning = self.warn(seen)
            return self.judge(seen)

        seen = _observed(self.client.metadata, judge)
        return replace(seen, warning=warning) if seen.ok else seen


def components_check(client: Sidecar, declared: Mapping[str, str]) -> MetadataCheck:
    """Every declared component is loaded, by name and type."""

    def judge(seen: Metadata) -> tuple[bool, str]:
        loaded = {each.name: each.type for each in seen.components}
        missing = sorted(n for n, kind in declared.items() if loaded.get(n) != kind)
        return not missing, f"loaded: {sorted(loaded)}, missing: {missing}"

    return MetadataCheck(client, "components", judge)


def placement_check(client: Sidecar, actor_stores: Sequence[str] = ()) -> MetadataCheck:
    """The sidecar has its placement table.

    Args:
        client: a client of the sidecar.
        actor_stores: the actor state stores. An app that hosts actors without one gets a warning:
            daprd calls its actors, and drops the connection of a caller that requests their state
            (observed in 1.18.2).
    """

    def judge(seen: Metadata) -> tuple[bool, str]:
        return seen.placement == "placement: connected", f"actorRuntime: {seen.placement!r}"

    def warn(seen: Metadata) -> str:
        able = {each.name for each in seen.components if "ACTOR" in each.capabilities}
        if not seen.actor_types or able & {*actor_stores}:
            return ""
        return (
            f"the app hosts the actors {', '.join(seen.actor_types)}, which have no state store: "
            'a transactional one needs the metadata actorStateStore: "true"'
        )

    return MetadataCheck(client, "placement", judge, warn)


def scheduler_check(client: Sidecar) -> MetadataCheck:
    """The sidecar is connected to a scheduler, so a job can reach its app."""

    def judge(seen: Metadata) -> tuple[bool, str]:
        return bool(seen.schedulers), f"connected schedulers: {list(seen.schedulers)}"

    return MetadataCheck(client, "scheduler", judge)


def identity_check(client: Sidecar, app_id: str, promised: str = "") -> MetadataCheck:
    """The sidecar that answers on this port is the one that was started here.

    Args:
        client: a client of the sidecar.
        app_id: the id of its app.
        promised: the version of Dapr in the name of its image; "" if there is none.
    """

    def judge(seen: Metadata) -> tuple[bool, str]:
        if seen.app_id != app_id:
            raise LaunchError(
                f"the sidecar at {client.endpoint} belongs to another stack",
                expected=f"app-id {app_id}",
                last=f"app-id {seen.app_id}, Dapr {seen.runtime_version}",
                hint="another daprd took the port; run `dapr-harness doctor`",
            )
        if promised and seen.runtime_version != promised:
            raise LaunchError(
                f"the sidecar of {app_id} is not the version that its image names",
                expected=f"Dapr {promised}, as the image's tag says",
                last=f"Dapr {seen.runtime_version}",
                hint="pull or build the image again, or set DAPR_HARNESS_IMAGE_DAPRD",
            )
        return True, f"app-id {seen.app_id}, Dapr {seen.runtime_version}"

    return MetadataCheck(client, "identity", judge)


@dataclass
class SubscriptionsCheck:
    """Every subscription that the app or a resource declares is in the sidecar's metadata.

    The app is sent ``GET /dapr/subscribe`` once, as by daprd. If daprd cannot use the response, it
    continues without it, and so does this check: a warning quotes the response.

    Attributes:
        app: None if daprd does not query it over HTTP.
    """

    client: Sidecar
    app: Endpoint | None
    app_token: str
    declared: Sequence[tuple[str, str]]
    declared_queues: Sequence[tuple[str, str]] = ()
    name: str = "subscriptions"

    @cached_property
    def answer(self) -> Subscribed:
        """The app's response."""
        return ask_subscriptions(self.app, self.app_token) if self.app else Subscribed()

    @property
    def wanted(self) -> set[tuple[str, str]]:
        """Pub/sub component and topic of every required subscription."""
        return {*self.answer.topics, *self.declared}

    @property
    def own_queues(self) -> set[tuple[str, str]]:
        """The required subscriptions that name their queue on the broker."""
        return {*self.answer.own_queues, *self.declared_queues}

    def observe(self) -> Observation:
        """Compare once."""

        asked = False

        def judge(seen: Metadata) -> tuple[bool, str]:
            nonlocal asked
            # Without a pub/sub component, daprd does not query the app.
            asked = any(each.type.startswith("pubsub.") for each in seen.components)
            wanted = self.wanted if asked else {*self.declared}
            found = {(each.pubsub, each.topic) for each in seen.subscriptions}
            return wanted <= found, f"found {sorted(found)}, missing {sorted(wanted - found)}"

        seen = _observed(self.client.metadata, judge)
        return replace(seen, warning=self.answer.complaint) if seen.ok and asked else seen


def _observed(ask: Callable[[], Any], judge: Callable[[Any], tuple[bool, str]]) -> Observation:
    try:
        return Observation(*judge(ask()))
    except DaprError as error:
        return Observation(False, f"{error.status} {error.error_code}: {error.message}")
    except UNANSWERED as error:
        return Observation(False, f"{type(error).__name__}: {error}")
    except Exception as error:
        import httpx  # has been imported if the client is that of httpx

        if not isinstance(error, httpx.HTTPError):
            raise
        return Observation(False, f"{type(error).__name__}: {error}")
