"""The sidecars of a running stack, and calls to them whose failures are explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import httpx

from harness.core.causes import cause_of
from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError, DaprError, ProbeError, SystemFailure, did_you_mean
from harness.core.names import app_of
from harness.core.tracing import NOT_SAMPLED
from harness.dapr.calls import Call
from harness.dapr.client import DaprClient
from harness.stack.failures import tail_of
from harness.stack.registry import UpNode, UpStack

T = TypeVar("T")
S = TypeVar("S")


class Refused(SystemFailure):
    """daprd answered a command's call with an error.

    Attributes:
        error: its answer.
    """

    def __init__(self, subject: str, error: DaprError, hint: str = "") -> None:
        self.error = error
        super().__init__(subject, last=told(error), hint=hint)


@dataclass(frozen=True)
class UpSidecar:
    """One sidecar of a running stack.

    Attributes:
        app_id: its app; replicas of one app-id differ in the names of their nodes.
        node: its node.
    """

    stack: UpStack
    app_id: str
    node: UpNode

    @property
    def dapr_id(self) -> str:
        """The app-id under which Dapr knows its app."""
        return self.node.app_id or self.app_id

    def run(self, call: Call[T], purpose: str, timeout: float = 15.0) -> T:
        """Send one call, with the stack's API token.

        Args:
            call: the call.
            purpose: what it is for, as an infinitive without "to".
            timeout: seconds until the sidecar is considered unavailable.

        Raises:
            Refused: daprd answered with an error.
            ConfigError: it rejected the token, or the request cannot be sent.
            ProbeError: it did not answer.
        """
        endpoint = endpoint_of(self.node, "http")
        try:
            with DaprClient(endpoint, self.stack.token, timeout=timeout) as client:
                return client.run(call)
        except DaprError as error:
            raise self._refusal(error, purpose) from None
        except httpx.HTTPError as error:
            raise self._silence(error, endpoint, timeout) from None
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ConfigError(f"no request can be made to {purpose}", last=str(error)) from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ProbeError(
                f"what answers for the sidecar of {self.app_id!r} at {endpoint} is not daprd",
                last=f"{type(error).__name__}: {error}",
                hint=self.look,
            ) from None

    def _refusal(self, error: DaprError, purpose: str) -> ConfigError | Refused:
        if error.status != HTTPStatus.UNAUTHORIZED:
            notes = " ".join(getattr(error, "__notes__", []))
            return Refused(f"the sidecar of {self.app_id!r} did not {purpose}", error, hint=notes)
        problem = "has another API token than" if self.stack.token else "requires a token, unlike"
        return ConfigError(
            f"the sidecar of {self.app_id!r} {problem} stack {self.stack.name!r}",
            last=told(error),
            hint="its DAPR_API_TOKEN was set by something else; the stack's is what "
            f"`dapr-harness token --name {self.stack.name}` prints",
        )

    def _silence(self, error: httpx.HTTPError, endpoint: Endpoint, timeout: float) -> ProbeError:
        cause = cause_of(tail_of(Path(self.node.log)))
        fact = str(error) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            return ProbeError(
                f"the sidecar of {self.app_id!r} at {endpoint} did not answer",
                last=fact,
                budget=timeout,
                hint=self.look,
            )
        return ProbeError(
            f"the sidecar of {self.app_id!r} is not reachable at {endpoint}",
            last=f"{fact}; its log: {cause}" if cause else fact,
            hint=self.look,
        )

    @property
    def look(self) -> str:
        """The next step when it is unavailable."""
        name = self.stack.name
        return (
            f"`dapr-harness logs {self.node.name} --name {name}`, `dapr-harness doctor -n {name}`"
        )


def untraced(call: Call[T]) -> Call[T]:
    """The call without a span: who only looks must not be among the traces that are looked at."""
    return replace(call, headers={**call.headers, **NOT_SAMPLED})


def told(error: DaprError) -> str:
    """daprd's own message."""
    return " ".join(f"{error.status} {error.error_code}: {error.message}".split()).replace(
        " :", ":"
    )


def endpoint_of(node: UpNode, port: str) -> Endpoint:
    """The address of one of a node's ports.

    Raises:
        ConfigError: it has no such port, or no valid address for it.
    """
    host, _, number = node.endpoints.get(port, "").rpartition(":")
    try:
        return Endpoint(host, int(number))
    except ValueError:
        raise ConfigError(
            f"{node.name} has no port {port!r}", last=f"ports: {node.endpoints}"
        ) from None


def sidecars_of(stack: UpStack) -> dict[str, UpSidecar]:
    """Every sidecar, by the id of its app, in alphabetical order."""
    found = sorted(stack.nodes, key=lambda each: each.name)
    ids = {app: each for each in found if (app := app_of(each.name)) and "http" in each.endpoints}
    return {app_id: UpSidecar(stack, app_id, node) for app_id, node in ids.items()}


def require_sidecar(stack: UpStack, app_id: str) -> UpSidecar:
    """The sidecar of an app.

    Raises:
        ConfigError: there is none.
    """
    known = sidecars_of(stack)
    if app_id not in known:
        raise ConfigError(
            f"stack {stack.name!r} has no app {app_id!r} with a sidecar",
            hint=did_you_mean(app_id, list(known)),
        )
    return known[app_id]


def candidates(stack: UpStack, app_id: str | None) -> list[UpSidecar]:
    """The sidecar of an app, or all of them in alphabetical order if none is named.

    Raises:
        ConfigError: there is none.
    """
    if app_id is not None:
        return [require_sidecar(stack, app_id)]
    found = list(sidecars_of(stack).values())
    if not found:
        raise ConfigError(f"stack {stack.name!r} has no sidecars")
    return found


def at_once(act: Callable[[S], T], things: Sequence[S]) -> list[T]:
    """The results in the same order; all calls run at the same time."""
    with ThreadPoolExecutor(max_workers=max(1, min(len(things), 16))) as pool:
        return list(pool.map(act, things))
