"""The keys of all state stores of a stack. Everything here blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.core.errors import ConfigError, HarnessError, did_you_mean
from harness.core.masking import mask
from harness.dapr.state_keys import Reach, named, reach_of
from harness.stack.stack import Stack
from harness.stored import postgres_keys, redis_keys, sqlite_keys
from harness.stored.found import COUNTED, Found, Stored, Wanted
from harness.stored.model import KeyPage, KeyRow, StoredValue
from harness.stored.places import File, Hashes, Place, Tables, places_of
from harness.stored.values import line_of, shown

MOST = 1000
"""The number of keys in a page, at most."""

VALUE = 100_000
"""The number of bytes of a value that are shown."""

UP = ("running", "external")
"""The states in which a node can answer."""


@dataclass
class Listing:
    """A page that is being filled.

    Attributes:
        more: whether there are keys that have no room in it.
        last: the store and the key at which the next page begins.
    """

    limit: int
    rows: list[KeyRow] = field(default_factory=list)
    more: bool = False
    last: tuple[str, str, str] = ("", "", "")
    total: int = 0
    at_least: bool = False

    def add(self, place: Place, found: Found) -> None:
        """Add keys of a store, as far as there is room, and count all of them."""
        room = self.limit - len(self.rows)
        for each in found.keys[:room]:
            self.rows.append(row_of(place, each))
            self.last = (*_position(place), each.raw)
        self.more = self.more or len(found.keys) > room
        self.total += min(found.total, COUNTED)
        self.at_least = self.at_least or found.total > COUNTED


def key_page(
    stack: Stack,
    states: Mapping[str, str],
    *,
    store: str | None = None,
    app: str | None = None,
    text: str = "",
    after: str = "",
    limit: int = 200,
    secrets: Sequence[str] = (),
) -> KeyPage:
    """The keys that apps of a stack can read, by store and in alphabetical order.

    Args:
        stack: the stack.
        states: of its nodes.
        store: only of this state store.
        app: only those that this app can read.
        text: only those with this text, in any case.
        after: the cursor: `KeyPage.next` of the page before.
        limit: the number of keys.
        secrets: what is masked.

    Raises:
        ConfigError: there is no such store or app, or the cursor is not one.
    """
    start = _cursor(after)
    listing, missing = Listing(max(1, min(limit, MOST))), []
    for place in _chosen(stack, store, app):
        if reason := reason_of(place, states):
            missing.append(f"the keys of state store {place.name!r}: {reason}")
            continue
        try:
            listing.add(place, _ask(place, app, text, start, listing))
        except HarnessError as error:
            missing.append(
                f"the keys of state store {place.name!r}: {line_of(error.subject, error.last)}"
            )
    rows = [masked_row(each, secrets) for each in listing.rows]
    end = json.dumps(listing.last) if listing.more else ""
    told = [mask(each, secrets) for each in missing]
    return KeyPage(rows, end, listing.total, listing.at_least, told)


def stored_value(
    stack: Stack,
    states: Mapping[str, str],
    raw: str,
    *,
    store: str | None = None,
    app: str | None = None,
    secrets: Sequence[str] = (),
) -> StoredValue:
    """The value of a key as the store has it.

    Args:
        stack: the stack.
        states: of its nodes.
        raw: the key as the store has it, see `KeyRow.raw`.
        store: the state store; the first one that has the key if None.
        app: an app that can read it.
        secrets: what is masked.

    Raises:
        ConfigError: there is no such store or app, or its keys cannot be read here.
        ProbeError: the database does not respond.
    """
    chosen = _chosen(stack, store, app)
    reasons = [reason_of(each, states) for each in chosen]
    for place, reason in zip(chosen, reasons, strict=True):
        if not reason and reach_to(place, app).has(raw) and (found := _read(place, raw)):
            known, data = found
            cut = known.size > VALUE
            row = masked_row(row_of(place, known), secrets)
            return StoredValue(row, True, shown(data, secrets, cut=cut), cut)
    if chosen and all(reasons):
        raise ConfigError(
            f"the key {raw!r} cannot be read from the store itself",
            last=mask("; ".join(dict.fromkeys(reasons)), secrets),
            hint="`dapr-harness state get KEY` asks the app's sidecar",
        )
    return StoredValue(None, False, None)


def row_of(place: Place, each: Stored) -> KeyRow:
    """A key in the words of its app."""
    found = named(each.raw, place.prefix)
    return KeyRow(
        place.name, found.app, found.key, found.kind, found.actor_type, found.actor_id,
        each.raw, each.etag, each.size, each.updated, each.expires,
    )  # fmt: skip


def _chosen(stack: Stack, store: str | None, app: str | None) -> list[Place]:
    known = places_of(stack)
    apps = list(dict.fromkeys(each.app_id for each in stack.topology.sidecars()))
    if app and app not in apps:
        raise ConfigError(f"no app with a sidecar is {app!r}", hint=did_you_mean(app, apps))
    names = sorted({each.name for each in known})
    if store and store not in names:
        raise ConfigError(
            f"no sidecar is given a state store {store!r}", hint=did_you_mean(store, names)
        )
    return [
        each
        for each in known
        if (not store or each.name == store) and (not app or app in each.apps)
    ]


def reason_of(place: Place, states: Mapping[str, str]) -> str:
    """Why the keys of a store cannot be listed; "" if they can."""
    state = states.get(place.node, "running")
    return place.reason or ("" if state in UP else f"{place.node} is {state}")


def reach_to(place: Place, app: str | None = None) -> Reach:
    """The keys of a store that an app can read, or any of its apps."""
    found = reach_of(place.prefix, [app] if app else place.apps)
    return found if place.actors else replace(found, actors=())


def _ask(
    place: Place, app: str | None, text: str, start: tuple[str, str, str], listing: Listing
) -> Found:
    before, raw = start[:2], start[2]
    room = listing.limit - len(listing.rows)
    if _position(place) < before:
        room = -1  # They were in an earlier page, and are only counted.
    after = raw if _position(place) == before else ""
    keeper, wanted = place.keeper, Wanted(reach_to(place, app), text, after, room + 1)
    if isinstance(keeper, Tables):
        return postgres_keys.list_keys(keeper, wanted)
    if isinstance(keeper, Hashes):
        return redis_keys.list_keys(keeper, wanted)
    if isinstance(keeper, File):
        return sqlite_keys.list_keys(keeper, wanted)
    raise AssertionError(place)


def _read(place: Place, raw: str) -> tuple[Stored, bytes] | None:
    if isinstance(place.keeper, Hashes):
        return redis_keys.read_value(place.keeper, raw, VALUE)
    if isinstance(place.keeper, File):
        return sqlite_keys.read_value(place.keeper, raw, VALUE)
    if isinstance(place.keeper, Tables) and "\0" not in raw:
        return postgres_keys.read_value(place.keeper, raw, VALUE)
    return None


def _position(place: Place) -> tuple[str, str]:
    return place.name, place.apps[0]


def _cursor(text: str) -> tuple[str, str, str]:
    try:
        found = json.loads(text) if text else ["", "", ""]
        store, app, raw = map(str, found)
    except (ValueError, TypeError):
        raise ConfigError(
            f"{text!r} is not a cursor", expected="the field `next` of the page before"
        ) from None
    return store, app, raw


def masked_row(row: KeyRow, secrets: Sequence[str]) -> KeyRow:
    """A key without secrets in its names."""
    names = {"key": row.key, "actor_id": row.actor_id, "raw": row.raw}
    return replace(row, **{name: mask(each, secrets) for name, each in names.items()})  # type: ignore[arg-type]  # all of them are texts
