"""Which sidecar a firing goes to: the streams by namespace, app and actor type, and their limits.

It decides as `pool/loops/connections` of Dapr's scheduler does.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")

APP, ACTOR = "app", "actorreminder"
WINDOW = 100
"""How many firings one app or actor type is sent at once, at most.

The real scheduler has no such limit. There, a thousand jobs due in one second whose app refuses
some are tried again a second later; here, that second takes no time.
"""


@dataclass(frozen=True)
class Target:
    """Whom a job is for.

    Attributes:
        kind: an app, or an actor with a reminder.
        limit_key: by which firings of one actor type are limited further; None if they are not.
    """

    kind: str
    namespace: str
    app_id: str
    actor_type: str = ""
    actor_id: str = ""
    limit_key: str | None = None

    @property
    def prefix(self) -> str:
        """What the full names of its jobs begin with."""
        if self.kind == ACTOR:
            return "||".join((ACTOR, self.namespace, self.actor_type, self.actor_id, ""))
        return "||".join((APP, self.namespace, self.app_id, ""))


@dataclass(frozen=True)
class Joining:
    """What a sidecar says when it opens a stream.

    Attributes:
        takes_jobs: whether it takes jobs of its app.
        takes_reminders: whether it takes reminders of its actor types.
        limits: how many firings may be in flight, by actor type or by ``type:key``.
    """

    namespace: str
    app_id: str
    takes_jobs: bool = True
    takes_reminders: bool = True
    actor_types: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def prefixes(self) -> list[str]:
        """What the full names of the jobs begin with that it can deliver."""
        found = [f"{APP}||{self.namespace}||{self.app_id}||"] if self.takes_jobs else []
        types = self.actor_types if self.takes_reminders else ()
        return [*found, *(f"{ACTOR}||{self.namespace}||{each}||" for each in types)]


class _Turn(Generic[S]):
    """Streams that take turns."""

    def __init__(self) -> None:
        self.streams: list[S] = []
        self._next = 0

    def take(self) -> S:
        chosen = self.streams[self._next % len(self.streams)]
        self._next += 1
        return chosen


class Connections(Generic[S]):
    """The streams that are open."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str, str], _Turn[S]] = {}
        self._joined: dict[int, tuple[S, Joining]] = {}

    def add(self, stream: S, joining: Joining) -> None:
        """A stream was opened."""
        self._joined[id(stream)] = (stream, joining)
        for key in _keys(joining):
            self._turns.setdefault(key, _Turn()).streams.append(stream)

    def remove(self, stream: S) -> None:
        """A stream has ended. It may have ended already."""
        if id(stream) not in self._joined:
            return
        _, joining = self._joined.pop(id(stream))
        for key in _keys(joining):
            turn = self._turns[key]
            turn.streams.remove(stream)
            if not turn.streams:
                del self._turns[key]

    def stream_of(self, target: Target) -> S | None:
        """Whose turn it is to deliver to a target; None if nobody can."""
        turn = self._turns.get(_key(target))
        return turn.take() if turn else None

    def can_reach(self, target: Target) -> bool:
        """Whether somebody can deliver to a target."""
        return _key(target) in self._turns

    def limits(self, namespace: str) -> dict[str, int]:
        """The limits in force in a namespace: the latest that was said of each."""
        said = (j.limits for _, j in self._joined.values() if j.namespace == namespace)
        return {key: most for limits in said for key, most in limits.items()}


def _keys(joining: Joining) -> list[tuple[str, str, str]]:
    apps = [(joining.namespace, APP, joining.app_id)] if joining.takes_jobs else []
    return [*apps, *((joining.namespace, ACTOR, each) for each in joining.actor_types)]


def _key(target: Target) -> tuple[str, str, str]:
    if target.kind == ACTOR:
        return target.namespace, ACTOR, target.actor_type
    return target.namespace, APP, target.app_id


Start = Callable[[], None]


class Gates:
    """Firings that wait because too many of their kind are in flight."""

    def __init__(self) -> None:
        self._busy: Counter[str] = Counter()
        self._pending: dict[tuple[str, ...], deque[tuple[Mapping[str, int], Start]]] = {}
        self._looked_at: dict[tuple[str, ...], None] = {}
        self._admitting = False

    def enter(self, keys: Sequence[str], limits: Mapping[str, int], start: Start) -> None:
        """Start a firing, or as soon as its limits allow; those with the same keys in order."""
        self._pending.setdefault(tuple(keys), deque()).append((limits, start))
        self._admit([tuple(keys)])

    def leave(self, keys: Iterable[str]) -> None:
        """A firing that was started has an outcome."""
        self._busy.subtract(keys)
        self._admit(self._pending)

    def _admit(self, groups: Iterable[tuple[str, ...]]) -> None:
        """Start those of these groups that may; one group does not wait for another."""
        self._looked_at.update(dict.fromkeys(groups))
        # A firing whose outcome is known at once comes back here. The first caller goes on with
        # what that makes possible: there may be more of them than calls can be nested.
        if self._admitting:
            return
        self._admitting = True
        try:
            while self._looked_at:
                self._start(next(iter(self._looked_at)))
        finally:
            self._admitting = False

    def _start(self, keys: tuple[str, ...]) -> None:
        del self._looked_at[keys]
        pending = self._pending.get(keys)
        while pending and all(self._busy[key] < pending[0][0][key] for key in keys):
            _, start = pending.popleft()
            self._busy.update(keys)
            start()
        if not pending:
            self._pending.pop(keys, None)


def limits_of(target: Target, said: Mapping[str, int]) -> dict[str, int]:
    """The limits that a firing counts for, by key: the sidecars', and ours on each target.

    Args:
        said: what sidecars have said of their actor types.
    """
    found = {"||".join(_key(target)): WINDOW}
    if target.kind != ACTOR:
        return found
    keys = [target.actor_type]
    if target.limit_key is not None:
        keys.append(f"{target.actor_type}:{target.limit_key}")
    return found | {key: said[key] for key in keys if key in said}
