"""Keys as state stores have them: which apps can read them, and what the apps call them.

daprd puts a prefix before the key of an app, which the field ``keyPrefix`` of the component decides
(`GetModifiedStateKey` in pkg/components/state of 1.18.2). The state of actors and workflows has
the key ``app||type||id||name`` in every store (pkg/actors/state).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

SEPARATOR = "||"
"""daprd refuses it in keys of apps and in prefixes."""

ACTOR_PARTS = 4
"""A key with this many parts, or more, belongs to an actor, whose id may contain the separator."""

INTERNAL = "dapr.internal."
"""How the types of the actors that run workflows begin."""

Kind = Literal["state", "actor", "workflow"]


@dataclass(frozen=True)
class KeyPrefix:
    """What daprd puts before the keys of a store.

    Attributes:
        by_app: whether it contains the app-id, so that each app has keys of its own.
        start: the namespace with a dot before the app-id, or else the whole prefix; "" if there is
            none.
    """

    by_app: bool
    start: str = ""

    def before(self, app: str) -> str:
        """What the keys of an app begin with; "" if they have no prefix."""
        if self.by_app:
            return f"{self.start}{app}{SEPARATOR}"
        return f"{self.start}{SEPARATOR}" if self.start else ""


def prefix_of(store: str, field: str, namespace: str) -> KeyPrefix:
    """The prefix of a store's keys.

    Args:
        store: the component's name.
        field: its field ``keyPrefix``; "" without one.
        namespace: of the sidecar, from its variable NAMESPACE; "" if that is not set.
    """
    # daprd compares the field in lower case, and uses a fixed prefix as it has compared it.
    strategy = field.lower()
    if strategy in ("", "appid"):
        return KeyPrefix(True)
    if strategy == "namespace":
        return KeyPrefix(True, f"{namespace}." if namespace else "")
    fixed = {"name": store, "none": ""}
    return KeyPrefix(False, fixed.get(strategy, strategy))


@dataclass(frozen=True)
class NamedKey:
    """A key of a store in the words of its app.

    Attributes:
        app: the app whose key it is; "" if all apps that use the store share it.
        key: as the app uses it; of an actor, the name within its state.
        actor_type, actor_id: of an actor or a workflow; "" otherwise.
    """

    app: str
    key: str
    kind: Kind = "state"
    actor_type: str = ""
    actor_id: str = ""


def named(raw: str, prefix: KeyPrefix) -> NamedKey:
    """What an app calls a key of a store.

    Args:
        raw: as the store has it.
        prefix: of the store's keys.
    """
    parts = raw.split(SEPARATOR)
    if len(parts) >= ACTOR_PARTS:
        app, type_, *id_, name = parts
        kind: Kind = "workflow" if type_.startswith(INTERNAL) else "actor"
        return NamedKey(app, name, kind, type_, SEPARATOR.join(id_))
    head, separator, key = raw.partition(SEPARATOR)
    if prefix.by_app and separator and head.startswith(prefix.start):
        return NamedKey(head.removeprefix(prefix.start), key)
    return NamedKey("", raw if prefix.by_app else raw.removeprefix(prefix.before("")))


@dataclass(frozen=True)
class Reach:
    """The keys of a store that some apps can read through their sidecars.

    Attributes:
        starts: what they begin with.
        bare: whether those without a separator are among them.
        actors: what those of the apps' actors begin with.
    """

    starts: tuple[str, ...]
    bare: bool
    actors: tuple[str, ...]

    def has(self, raw: str) -> bool:
        """Whether a key is one of them."""
        if raw.startswith(self.starts) or (self.bare and SEPARATOR not in raw):
            return True
        return raw.count(SEPARATOR) + 1 >= ACTOR_PARTS and raw.startswith(self.actors)


def reach_of(prefix: KeyPrefix, apps: Collection[str]) -> Reach:
    """The keys of a store that these apps can read.

    Args:
        prefix: of the store's keys.
        apps: their app-ids.
    """
    starts = sorted({each for app in apps if (each := prefix.before(app))})
    bare = bool(apps) and not prefix.before("") and not prefix.by_app
    return Reach(tuple(starts), bare, tuple(f"{app}{SEPARATOR}" for app in sorted(apps)))
