"""Keys of state stores of a stack that is up. Everything here blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from harness.core.as_json import AsJson
from harness.core.errors import ConfigError, did_you_mean
from harness.dapr import calls
from harness.inspection.calling import components_of
from harness.inspection.sidecars import Refused, UpSidecar, candidates
from harness.probe.records import decoded
from harness.stack.registry import UpStack


@dataclass(frozen=True)
class Place:
    """A state store as one app sees it."""

    sidecar: UpSidecar
    store: str

    def __str__(self) -> str:
        return f"state store {self.store!r} of app {self.sidecar.app_id!r}"

    def run(self, call: calls.Call[calls.T], purpose: str) -> calls.T:
        """Send a call.

        Args:
            call: the call.
            purpose: what it is for, as an infinitive without "to".

        Raises:
            ConfigError: the store does not exist.
            Refused: daprd answered with an error.
            ProbeError: it did not answer.
        """
        try:
            return self.sidecar.run(call, purpose)
        except Refused as refused:
            if refused.error.error_code != "ERR_STATE_STORE_NOT_FOUND":
                raise
            known = [n for _, names in components_of([self.sidecar], "state.") for n in names]
            raise ConfigError(
                f"the sidecar of {self.sidecar.app_id!r} has no state store {self.store!r}",
                last=refused.last,
                hint=did_you_mean(self.store, known),
            ) from None


@dataclass(frozen=True)
class StateRow(AsJson):
    """A key of a state store.

    Attributes:
        key: as the app uses it, without a prefix.
        exists: whether it has a value.
        value: the value; text if it is not JSON.
    """

    app: str
    store: str
    key: str
    exists: bool
    value: Any
    etag: str


def place_of(stack: UpStack, app: str | None, store: str | None, key: str) -> Place:
    """The selected sidecar and state store.

    Raises:
        ConfigError: there is none, or it is not clear which one is meant.
    """
    if not key:
        raise ConfigError("a key must not be empty")
    having = components_of(candidates(stack, app), "state.")
    if not having:
        who = f"the sidecar of {app!r}" if app else f"stack {stack.name!r}"
        raise ConfigError(f"{who} has no state store")
    if store is not None:
        having = [each for each in having if store in each[1]] or having
    if len(having) > 1:
        raise ConfigError(
            f"several apps of stack {stack.name!r} have a state store",
            last=", ".join(sidecar.app_id for sidecar, _ in having),
            hint="choose one with --app: unless the store's keyPrefix says otherwise, each app "
            "has keys of its own",
        )
    sidecar, names = having[0]
    if store is None and len(names) > 1:
        raise ConfigError(
            f"the sidecar of {sidecar.app_id!r} has several state stores",
            last=", ".join(sorted(names)),
            hint=f"choose one: --store {sorted(names)[0]}",
        )
    return Place(sidecar, names[0] if store is None else store)


def read_key(place: Place, key: str) -> httpx.Response:
    """The response with the value of a key as it is stored, which need not be JSON.

    It has no ``etag`` if the key does not exist.

    Raises:
        ConfigError, SystemFailure, ProbeError: see `Place.run`.
    """
    call = calls.get_state(place.store, key, {})
    raw = calls.Call[httpx.Response](call.method, call.path, lambda answer: answer)
    return place.run(raw, f"read key {key!r}")


def state_row(stack: UpStack, key: str, app: str | None, store: str | None) -> StateRow:
    """The value of a key; see `place_of` and `read_key` for the errors."""
    place = place_of(stack, app, store, key)
    answer = read_key(place, key)
    etag = answer.headers.get("etag", "")
    value = decoded(answer.content.decode("utf-8", "replace"))
    return StateRow(place.sidecar.app_id, place.store, key, bool(etag), value, etag)
