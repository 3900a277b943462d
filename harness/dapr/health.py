"""The rungs of the ladder that only a sidecar can tell about.

healthy is not ready: ``healthz`` is green with a subscription that failed, with components that
were skipped, and before the scheduler stream is up. Each rung asks for one of these by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from harness.dapr.client import DaprClient
from harness.dapr.model import Metadata
from harness.deadline import Observation
from harness.endpoint import Endpoint
from harness.errors import AppFailed, DaprError, LaunchError
from harness.loopback import ask


@dataclass
class HealthCheck:
    """``/v1.0/healthz`` (or its outbound half) answers 204."""

    client: DaprClient
    outbound: bool
    rung: str

    def observe(self) -> Observation:
        """Ask once; an unready sidecar names its unready parts."""
        return _observed(lambda: self.client.health(outbound=self.outbound), lambda _: (True, "ok"))


@dataclass
class MetadataCheck:
    """One fact of ``/v1.0/metadata``.

    Attributes:
        judge: takes the metadata, returns whether they are as wanted and the fact in words.
    """

    client: DaprClient
    rung: str
    judge: Callable[[Metadata], tuple[bool, str]]

    def observe(self) -> Observation:
        """Ask once."""
        return _observed(self.client.metadata, self.judge)


def components_check(client: DaprClient, declared: Mapping[str, str]) -> MetadataCheck:
    """Every declared component is loaded, by name and type."""

    def judge(seen: Metadata) -> tuple[bool, str]:
        loaded = {each.name: each.type for each in seen.components}
        missing = sorted(n for n, kind in declared.items() if loaded.get(n) != kind)
        return not missing, f"loaded: {sorted(loaded)}, missing: {missing}"

    return MetadataCheck(client, "components", judge)


def placement_check(client: DaprClient) -> MetadataCheck:
    """The sidecar has its placement table."""

    def judge(seen: Metadata) -> tuple[bool, str]:
        return seen.placement == "placement: connected", f"actorRuntime: {seen.placement!r}"

    return MetadataCheck(client, "placement", judge)


def scheduler_check(client: DaprClient) -> MetadataCheck:
    """The sidecar is connected to a scheduler, so a job can reach its app."""

    def judge(seen: Metadata) -> tuple[bool, str]:
        return bool(seen.schedulers), f"connected schedulers: {list(seen.schedulers)}"

    return MetadataCheck(client, "scheduler", judge)


def identity_check(client: DaprClient, app_id: str, promised: str = "") -> MetadataCheck:
    """The sidecar that answers on this port is the one that was started here.

    Args:
        client: of the sidecar.
        app_id: of its app.
        promised: the version of Dapr that its image's name promises, "" for none.
    """

    def judge(seen: Metadata) -> tuple[bool, str]:
        if seen.app_id != app_id:
            raise LaunchError(
                f"the sidecar at {client.endpoint} is a stranger",
                expected=f"app-id {app_id}",
                last=f"app-id {seen.app_id}, Dapr {seen.runtime_version}",
                hint="another daprd took the port; run `dapr-harness doctor`",
            )
        if promised and seen.runtime_version != promised:
            raise LaunchError(
                f"the sidecar of {app_id} is not what its image promises",
                expected=f"Dapr {promised}, as the image's tag says",
                last=f"Dapr {seen.runtime_version}",
                hint="pull or build the image again, or set DAPR_HARNESS_IMAGE_DAPRD",
            )
        return True, f"app-id {seen.app_id}, Dapr {seen.runtime_version}"

    return MetadataCheck(client, "identity", judge)


@dataclass
class SubscriptionsCheck:
    """Every subscription that the app or a resource declares is in the sidecar's metadata.

    The app is asked ``GET /dapr/subscribe`` as daprd does, once; an answer that daprd could not
    read is the app's failure and ends the wait.

    Attributes:
        app: None when it cannot be asked: it does not listen, or speaks gRPC.
    """

    client: DaprClient
    app: Endpoint | None
    app_token: str
    declared: Sequence[tuple[str, str]]
    rung: str = "subscriptions"

    @cached_property
    def wanted(self) -> set[tuple[str, str]]:
        """Pubsub and topic of every subscription that must be there."""
        asked = ask_subscriptions(self.app, self.app_token) if self.app else []
        return {*asked, *self.declared}

    def observe(self) -> Observation:
        """Compare once."""
        try:
            wanted = self.wanted
        except httpx.HTTPError as error:
            return Observation(False, f"GET /dapr/subscribe of the app: {error}")

        def judge(seen: Metadata) -> tuple[bool, str]:
            found = {(each.pubsub, each.topic) for each in seen.subscriptions}
            return wanted <= found, f"found {sorted(found)}, missing {sorted(wanted - found)}"

        return _observed(self.client.metadata, judge)


def ask_subscriptions(app: Endpoint, token: str) -> list[tuple[str, str]]:
    """Pubsub and topic of what an app answers to ``GET /dapr/subscribe``.

    Raises:
        AppFailed: the answer is not a list of subscriptions; daprd would subscribe to nothing.
        httpx.HTTPError: the app could not be asked.
    """
    headers = {"dapr-api-token": token} if token else {}
    url = f"{app.http}/dapr/subscribe"
    answer = ask("GET", url, headers=headers)
    if answer.status_code == 404:
        return []
    problem = f"status {answer.status_code}" if not answer.is_success else ""
    try:
        rows: Any = answer.json() if answer.is_success else []
    except ValueError:
        rows, problem = [], "not JSON"
    if not isinstance(rows, list):
        rows, problem = [], f"a JSON {type(rows).__name__}"
    for row in rows:
        if not isinstance(row, dict) or not row.get("pubsubname") or not row.get("topic"):
            problem = f"an item without pubsubname or topic: {row!r}"
    if problem:
        raise AppFailed(
            f"the app at {app} answered GET /dapr/subscribe with garbage",
            expected="404, or a JSON list of {pubsubname, topic, route or routes}",
            last=f"{problem}; the body begins {answer.text[:200]!r}",
            hint="daprd asks once and then subscribes to nothing, while the app looks healthy",
        )
    return [(row["pubsubname"], row["topic"]) for row in rows]


def _observed(ask: Callable[[], Any], judge: Callable[[Any], tuple[bool, str]]) -> Observation:
    try:
        return Observation(*judge(ask()))
    except DaprError as error:
        return Observation(False, f"{error.status} {error.error_code}: {error.message}")
    except httpx.HTTPError as error:
        return Observation(False, f"{type(error).__name__}: {error}")
